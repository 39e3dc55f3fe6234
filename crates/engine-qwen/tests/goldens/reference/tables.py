"""What needs no model: sizes, schedules, noise, resizes, positions and token ids."""

import math

import numpy
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.qwenimage.pipeline_qwenimage_edit_plus import (
    calculate_dimensions,
    calculate_shift,
    retrieve_timesteps,
)
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize
from transformers.vision_utils import get_vision_window_index

from . import tiny
from .adapt import FP8_MAX, Fp8Linear, quantise, to_fp8

SIZES = [
    (768, 1024),
    (1024, 768),
    (720, 960),
    (1024, 1024),
    (512, 512),
    (1080, 1920),
    (1920, 1080),
    (800, 1200),
    (36, 48),
    (40, 40),
    (17, 900),
    (900, 17),
    (1, 1),
    (333, 777),
    (4000, 3000),
]
RESIZES = [
    ("lanczos", (97, 61), (32, 31)),
    ("lanczos", (31, 23), (64, 48)),
    ("lanczos", (40, 40), (40, 28)),
    ("lanczos", (40, 40), (28, 40)),
    ("lanczos", (90, 3), (7, 40)),
    ("lanczos", (1, 1), (5, 4)),
    ("bicubic", (48, 64), (42, 70)),
    ("bicubic", (33, 20), (28, 28)),
    ("bicubic", (61, 47), (14, 9)),
    ("bilinear", (50, 70), (64, 64)),
    ("bilinear", (75, 51), (32, 32)),
    ("bilinear", (24, 24), (24, 24)),
]
GRIDS = [
    [[1, 8, 8]],
    [[1, 10, 6]],
    [[1, 16, 16]],
    [[1, 2, 2]],
    [[1, 32, 22]],
    [[1, 28, 28]],
    [[1, 10, 6], [1, 8, 8]],
    [[1, 4, 18], [1, 18, 4], [1, 6, 6]],
]
PROMPTS = [
    "",
    " ",
    "put the dress of picture 2 on",
    "The system's image, isn't it? They'RE HERE'S",
    "1234567890 3.14 ½ ²",
    "tabs\tand\t\tlines\n\n\nof  text \r\n  end  ",
    "   leading and trailing   ",
    "café cafe\u0301 ÅA\u030a ﬁ",
    "把第二张图里的连衣裙换到第一张图的人身上，保持姿势不变。",
    "日本語 текст عربي हिन्दी ไทย",
    "👗👩🏽‍🦱 🇫🇷",
    "a\u00a0b\u2003c\u3000d\u200be",
    "snake_case CamelCase x=1;y!=2 ---- ...",
    "\u0000\u0007\ufeff",
    "<|im_end|> and <|im_start|>user",
    "<|image_pad|>",
    "<| im_end |>",
    "don’t “quote”",
    "ſhort K ß İ",
]


def sizes():
    """What becomes of each width and height: for the text encoder (of whose size the processor
    makes another), for the VAE, and for an encoder of another area."""
    rows = []
    for width, height in SIZES:
        condition, vae, tiny_condition = (
            list(calculate_dimensions(side * side, width / height)) for side in (384, 1024, 112)
        )
        resized = smart_resize(
            condition[1], condition[0], factor=28, min_pixels=3136, max_pixels=12845056
        )
        row = {
            "size": [width, height],
            "condition": condition,
            "vae": vae,
            "processor": [resized[1], resized[0]],
            # No picture has a side of nothing: the reference fails on it.
            "tiny": tiny_condition if all(tiny_condition) else None,
        }
        rows.append(row)
    return rows


def lightning_scheduler():
    """As the authors of Qwen-Image-Lightning: shift 3 at every size, no terminal value."""
    config = dict(tiny.scheduler().config)
    config.update(base_shift=math.log(3), max_shift=math.log(3), shift_terminal=None)
    return FlowMatchEulerDiscreteScheduler.from_config(config)


def schedule(scheduler, steps, tokens):
    """The sigmas, the timesteps, and 1000 τ of a model in 16 bits."""
    config = scheduler.config
    mu = calculate_shift(
        tokens,
        config["base_image_seq_len"],
        config["max_image_seq_len"],
        config["base_shift"],
        config["max_shift"],
    )
    sigmas = numpy.linspace(1.0, 1 / steps, steps)
    timesteps, _ = retrieve_timesteps(scheduler, steps, "cpu", sigmas=sigmas, mu=mu)
    rounded = timesteps.to(torch.bfloat16) / 1000
    return {
        "steps": steps,
        "tokens": tokens,
        "sigmas": scheduler.sigmas.tolist(),
        "timesteps": timesteps.tolist(),
        "bf16_timesteps": timesteps.to(torch.bfloat16).tolist(),
        "bf16_embedded": (rounded.float() * 1000).tolist(),
    }


def schedules():
    base = [
        {"schedule": "base", **schedule(tiny.scheduler(), steps, tokens)}
        for steps in (4, 8, 40)
        for tokens in (15, 3072, 4096, 6889)
    ]
    lightning = [
        {"schedule": "lightning_shift3", **schedule(lightning_scheduler(), steps, tokens)}
        for steps in (4, 8)
        for tokens in (15, 3072)
    ]
    return base + lightning


def noise():
    """What a generator on the CPU draws, in 32 and in 16 bits. More than one round of its state."""
    tensors = {}
    for seed in (0, 42, 2**32 + 42, 2**63 - 1):
        for count in (16, 240, 1280):
            for name, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
                generator = torch.Generator().manual_seed(seed)
                drawn = torch.randn(1, 1, 16, 1, count // 16, generator=generator, dtype=dtype)
                tensors[f"noise.{seed}.{count}.{name}"] = drawn
    return tensors


def harsh(width, height):
    """Noise with blocks of black and white, so that a filter with negative lobes is clamped."""
    random = numpy.random.RandomState(width * 1000 + height)
    picture = random.randint(0, 256, (height, width, 3), dtype=numpy.uint8)
    y, x = numpy.mgrid[0:height, 0:width]
    picture[(x // 5 + y // 7) % 3 == 0] = 255
    picture[(x // 5 + y // 7) % 3 == 1] = 0
    return picture


def resizes():
    tensors = {}
    for filter_name, before, after in RESIZES:
        picture = harsh(*before)
        resized = Image.fromarray(picture).resize(after, Image.Resampling[filter_name.upper()])
        name = f"{filter_name}.{before[0]}x{before[1]}.{after[0]}x{after[1]}"
        tensors[f"{name}.in_u8"] = torch.from_numpy(picture)
        tensors[f"{name}.out_u8"] = torch.from_numpy(numpy.array(resized))
    return tensors


def fp8_rounding():
    """What 32 bits round to in FP8, at and around every boundary, and what each code stands for."""
    codes = torch.arange(256, dtype=torch.int16).to(torch.uint8)
    decoded = codes.view(torch.float8_e4m3fn).float()
    finite = decoded[~decoded.isnan()].sort().values.unique()
    halves = (finite[1:] + finite[:-1]) / 2
    around = [torch.nextafter(halves, torch.full_like(halves, side)) for side in (-1e9, 1e9)]
    far = torch.tensor([448.0, 464.0, 465.0, 1e6, -449.0, -1e30, 1e-30, -1e-30, 0.0, -0.0])
    values = torch.cat([finite, halves, *around, far])
    return {
        "rounding.values": values,
        "rounding.codes_u8": to_fp8(values).view(torch.uint8),
        "decoding.codes_u8": codes,
        # The two codes of NaN read as zero here: a golden is of numbers.
        "decoding.values": decoded.nan_to_num(0.0),
    }


def fp8_linear():
    """A linear layer in both forms, of tokens that differ in size and have an outlier each."""
    generator = torch.Generator().manual_seed(8)
    x = torch.randn(7, 48, generator=generator) * torch.logspace(-4, 3, 7)[:, None]
    x[torch.arange(7), torch.arange(7) * 6] *= 30
    sizes = torch.logspace(-3, 1, 64)[:, None]
    weight, scale = quantise(torch.randn(64, 48, generator=generator) * sizes)
    bias = torch.randn(64, generator=generator) * 0.1
    token_scale = x.abs().amax(dim=-1, keepdim=True) / FP8_MAX
    return {
        "x": x,
        "x.scale": token_scale,
        "x.codes_u8": to_fp8(x / token_scale).view(torch.uint8),
        "weight.codes_u8": weight.view(torch.uint8),
        "weight.scale": scale,
        "bias": bias,
        "w8.y": Fp8Linear(weight, scale, bias, quantise_activations=False)(x),
        "w8a8.y": Fp8Linear(weight, scale, bias, quantise_activations=True)(x),
    }


def windows():
    """The order of the vision tower's tokens, for pictures of some grids."""
    rows = []
    for grid in GRIDS:
        index, lengths = get_vision_window_index(torch.tensor(grid), 2, 112, 14)
        row = {"window_index": index.tolist(), "cu_window_seqlens": lengths.tolist()}
        rows.append({"grid_thw": grid, **row})
    return rows


def positions(model, image_token):
    """Positions on three axes of: some text, then each picture and some text."""
    rows = []
    for grid in GRIDS:
        kinds = [0] * 3
        for _, height, width in grid:
            kinds += [1] * (height * width // 4) + [0] * 2
        ids = torch.tensor([[image_token if kind else 7 for kind in kinds]])
        axes, _ = model.get_rope_index(
            ids,
            mm_token_type_ids=torch.tensor([kinds]),
            image_grid_thw=torch.tensor(grid),
            attention_mask=torch.ones_like(ids),
        )
        row = {"text": [3] + [2] * len(grid), "position_ids": axes[:, 0].tolist()}
        rows.append({"grid_thw": grid, **row})
    return rows


def tokens(tokenizer):
    return [{"text": text, "ids": tokenizer(text)["input_ids"]} for text in PROMPTS]
