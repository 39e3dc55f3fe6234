"""Times diffusers' own pipeline with random weights of the published sizes, which are made on the
device: rows for the table of `tryon bench gpu`.

What is not there to be told apart is a dash: a step computes its modulation itself.
"""

import argparse
import json
import pathlib
import statistics
import time

import diffusers
import torch
import transformers
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as plus
from PIL import Image

CRATE = pathlib.Path(__file__).resolve().parent.parent / "crates/engine-qwen"
PUBLISHED = CRATE / "src/backend/cuda/measure/published"
# The published one is not needed: which tokens there are makes no difference, how many does.
TOKENIZER = CRATE / "tests/goldens/checkpoint/tiny-2511/tokenizer"
# Those of `Case::ALL`: the tokens of the prompt, the references' sizes, and the picture's.
CASES = [
    ("2 references of 1024x1024 to 1024x1024", 500, [(1024, 1024)] * 2, (1024, 1024)),
    ("2 references of 768x1024 to 768x1024", 500, [(768, 1024)] * 2, (768, 1024)),
    ("768x1024 and 512x512 to 768x1024", 400, [(768, 1024), (512, 512)], (768, 1024)),
]
SMALL = [("a small one", 80, [(64, 32), (32, 32)], (32, 48))]
STEPS = 4
LATER = 3
DROP = 64


def read(folder, name):
    return json.loads((folder / name).read_text())


class Processor(transformers.Qwen2VLProcessor):
    """The check of argument types needs torchvision, for a video processor that is not used."""

    def check_argument_for_proper_class(self, _name, argument):
        return type(argument)


def processor_of(tokenizer):
    try:
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
            Qwen2VLImageProcessorPil as Images,
        )
    except ImportError:
        Images = transformers.Qwen2VLImageProcessor
    images = Images(min_pixels=3136, max_pixels=12845056)
    return Processor(image_processor=images, tokenizer=tokenizer)


def encoder_config(configs, tokenizer):
    config = read(configs, "text_encoder/config.json")
    for key, token in {
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
        "vision_token_id": "<|vision_pad|>",
    }.items():
        config[key] = tokenizer.convert_tokens_to_ids(token)
    return transformers.Qwen2_5_VLConfig.from_dict(config)


def pipeline(configs, device):
    """A pipeline with random weights."""
    tokenizer = transformers.Qwen2Tokenizer.from_pretrained(TOKENIZER)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        transformer = diffusers.QwenImageTransformer2DModel.from_config(
            read(configs, "transformer/config.json")
        )
        vae = diffusers.AutoencoderKLQwenImage.from_config(read(configs, "vae/config.json"))
        encoder = transformers.Qwen2_5_VLForConditionalGeneration(
            encoder_config(configs, tokenizer)
        )
    torch.set_default_dtype(torch.float32)
    pipe = plus.QwenImageEditPlusPipeline(
        transformer=transformer.eval(),
        vae=vae.eval(),
        text_encoder=encoder.eval(),
        tokenizer=tokenizer,
        processor=processor_of(tokenizer),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler.from_config(
            read(configs, "scheduler/scheduler_config.json")
        ),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


class Watch:
    """Times calls until the device has done what they ask for."""

    def __init__(self, pipe, device):
        self.device, self.spans = device, []
        self.over(pipe.text_encoder.model.visual, "forward", "vision")
        self.over(pipe.text_encoder, "forward", "text")
        self.over(pipe.vae, "encode", "encode")
        self.over(pipe.vae, "decode", "decode")
        self.over(pipe.transformer, "forward", "step")

    def over(self, owner, method, name):
        inner = getattr(owner, method)

        def timed(*arguments, **keywords):
            start = self.now()
            result = inner(*arguments, **keywords)
            self.spans.append((name, start, self.now()))
            return result

        setattr(owner, method, timed)

    def now(self):
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def time(self, work):
        """The seconds of each column of the table, but for those that are told apart elsewhere."""
        self.spans.clear()
        start = self.now()
        work()
        total = self.now() - start
        took = {name: 0.0 for name in ("vision", "text", "encode", "decode")}
        steps = []
        for name, begun, ended in self.spans:
            if name == "step":
                steps.append(ended - begun)
            else:
                took[name] += ended - begun
        assert len(steps) == STEPS, steps
        prepare = min(begun for name, begun, _ in self.spans if name == "text") - start
        return [
            prepare,
            took["vision"],
            took["text"] - took["vision"],
            took["encode"],
            *steps,
            took["decode"],
            total,
        ]


def photo(index, size):
    width, height = size
    pixels = bytes(
        byte % 256
        for y in range(height)
        for x in range(width)
        for byte in (x * 7 + index * 31, y * 5 + x, x * y // 64 + index)
    )
    return Image.frombytes("RGB", size, pixels)


def prompt_of(pipe, text, references):
    """A prompt that makes as many tokens of text and pictures as the case has."""
    seen = [
        reference.resize(
            plus.calculate_dimensions(plus.CONDITION_IMAGE_SIZE, reference.width / reference.height)
        )
        for reference in references
    ]
    pictures = "".join(
        f"Picture {index + 1}: <|vision_start|><|image_pad|><|vision_end|>"
        for index in range(len(seen))
    )
    template = pipe.prompt_template_encode.format(pictures)
    inputs = pipe.processor(text=[template], images=seen, padding=True, return_tensors="pt")
    missing = text - (inputs["input_ids"].shape[1] - DROP)
    assert missing > 0, f"a prompt of {text} tokens has no room for its pictures"
    return "!" * missing


def keep_sizes(references):
    """References stay as large as they are, where the pipeline brings each to a megapixel."""
    own = {reference.width / reference.height: reference.size for reference in references}
    calculate = plus.calculate_dimensions

    def dimensions(area, ratio):
        return own[ratio] if area == plus.VAE_IMAGE_SIZE else calculate(area, ratio)

    plus.calculate_dimensions = dimensions
    return calculate


def limit(case):
    """Seconds of the steps at 790 TFLOP/s."""
    _, text, references, result = case
    tokens = text + sum(width // 16 * (height // 16) for width, height in [*references, result])
    return STEPS * 60 * (24 * tokens * 3072**2 + 4 * tokens**2 * 3072) / 790e12


def row(name, run, took, peak, least):
    seconds = [f"{value:.3f}" for value in took]
    seconds.insert(4, "-")
    share = 100 * least / sum(took[4 : 4 + STEPS])
    cells = [
        f"diffusers {diffusers.__version__}",
        name,
        run,
        *seconds,
        f"{peak / 2**30:.1f}",
        f"{share:.0f}",
    ]
    print("| " + " | ".join(cells) + " |")


def measure(pipe, watch, case, end):
    name, text, sizes, (width, height) = case
    references = [photo(index, size) for index, size in enumerate(sizes)]
    prompt = prompt_of(pipe, text, references)
    tokens = []
    pipe.transformer.register_forward_pre_hook(
        lambda _module, _inputs, given: tokens.append(given["encoder_hidden_states"].shape[1]),
        with_kwargs=True,
    )
    calculate = keep_sizes(references)

    def work():
        pipe(
            prompt=prompt,
            image=references,
            width=width,
            height=height,
            num_inference_steps=STEPS,
            true_cfg_scale=1.0,
            generator=torch.Generator().manual_seed(42),
        )

    if watch.device == "cuda":
        torch.cuda.empty_cache()
    first = watch.time(work)
    later = []
    while len(later) < LATER and time.monotonic() + first[-1] < end:
        later.append(watch.time(work))
    plus.calculate_dimensions = calculate
    assert set(tokens) == {text}, tokens
    peak = 0
    if watch.device == "cuda":
        # What was taken for tensors is kept by the allocator.
        free, total = torch.cuda.mem_get_info()
        peak = total - free
    row(name, "first", first, peak, limit(case))
    if later:
        middle = [statistics.median(values) for values in zip(*later, strict=True)]
        row(name, f"median of {len(later)}", middle, peak, limit(case))


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configs", type=pathlib.Path, default=PUBLISHED)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="a picture that a CPU makes")
    parser.add_argument("--seconds", type=float, default=600, help="begins no more runs after it")
    given = parser.parse_args()
    if given.small:
        plus.CONDITION_IMAGE_SIZE = 112 * 112
    end = time.monotonic() + given.seconds
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    print(f"diffusers {diffusers.__version__}, {versions}")
    start = time.monotonic()
    pipe = pipeline(given.configs, given.device)
    print(f"random weights in {time.monotonic() - start:.1f} s")
    watch = Watch(pipe, given.device)
    for case in SMALL if given.small else CASES:
        measure(pipe, watch, case, end)


if __name__ == "__main__":
    main()
