"""The tiny checkpoint: the published architecture with every width shrunk."""

import math
import pathlib
import shutil

import torch
from diffusers import (
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    QwenImageTransformer2DModel,
)
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen2VLProcessor,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from .store import save_json

VOCABULARY = 512
MODEL_INDEX = {
    "_class_name": "QwenImageEditPlusPipeline",
    "_diffusers_version": "0.42.1",
    "processor": ["transformers", "Qwen2VLProcessor"],
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "Qwen2_5_VLForConditionalGeneration"],
    "tokenizer": ["transformers", "Qwen2Tokenizer"],
    "transformer": ["diffusers", "QwenImageTransformer2DModel"],
    "vae": ["diffusers", "AutoencoderKLQwenImage"],
}


def transformer(zero_cond_t):
    return QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=16,
        out_channels=4,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=3,
        joint_attention_dim=16,
        guidance_embeds=False,
        axes_dims_rope=(8, 4, 4),
        zero_cond_t=zero_cond_t,
    )


def vae():
    return AutoencoderKLQwenImage(
        base_dim=4,
        z_dim=4,
        dim_mult=[1, 2, 4, 4],
        num_res_blocks=2,
        temperal_downsample=[False, True, True],
        latents_mean=[0.1, -0.2, 0.3, -0.4],
        latents_std=[1.5, 0.7, 1.1, 0.9],
    )


def scheduler():
    """The published scheduler configuration."""
    return FlowMatchEulerDiscreteScheduler(
        base_image_seq_len=256,
        base_shift=0.5,
        max_image_seq_len=8192,
        max_shift=0.9,
        num_train_timesteps=1000,
        shift=1.0,
        shift_terminal=0.02,
        time_shift_type="exponential",
        use_dynamic_shifting=True,
    )


def text_encoder(tokenizer):
    """Full attention in the second of three vision layers only, two query heads on one key head."""
    token = tokenizer.convert_tokens_to_ids
    vision = {
        "depth": 3,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_heads": 2,
        "out_hidden_size": 16,
        "fullatt_block_indexes": [1],
        "window_size": 112,
    }
    text = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"},
        "rope_theta": 1000000.0,
        "vocab_size": VOCABULARY,
        "rms_norm_eps": 1e-6,
        "bos_token_id": token("<|endoftext|>"),
        "eos_token_id": token("<|im_end|>"),
    }
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        hidden_size=16,
        vision_end_token_id=token("<|vision_end|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_token_id=token("<|vision_pad|>"),
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
    )
    return Qwen2_5_VLForConditionalGeneration(config).eval()


class Processor(Qwen2VLProcessor):
    """The check of argument types needs torchvision, for a video processor that is not used."""

    def check_argument_for_proper_class(self, _name, argument):
        return type(argument)


def processor(tokenizer):
    images = Qwen2VLImageProcessorPil(min_pixels=3136, max_pixels=12845056)
    return Processor(image_processor=images, tokenizer=tokenizer)


def is_norm(name):
    return "norm" in name or "ln_q" in name


def redraw_text_encoder(model, generator):
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        if "embed_tokens" in name:
            weight.copy_(noise)
        elif weight.ndim >= 2 and "lm_head" not in name:
            weight.copy_(noise * (1.5 / math.sqrt(weight[0].numel())))
        elif name.endswith("bias"):
            weight.copy_(noise * 0.1)
        elif is_norm(name):
            weight.copy_(1 + 0.2 * noise)


def redraw_transformer(model, generator):
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        if weight.ndim == 2:
            weight.copy_(noise * (1.5 / math.sqrt(weight.shape[1])))
        elif name.endswith("bias"):
            weight.copy_(noise * 0.3)
        elif is_norm(name):
            weight.copy_(1 + 0.2 * noise)


def redraw_vae(model, generator):
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        if name.endswith("gamma"):
            weight.copy_(1 + 0.2 * noise)
        elif name.endswith("bias"):
            weight.copy_(noise * 0.1)
        elif weight.ndim >= 3:
            # Only the last temporal tap acts on a single picture.
            taps = 1 if weight.ndim == 4 else weight.shape[2]
            weight.copy_(noise * (1.2 / math.sqrt(weight[0].numel() / taps)))
    model.decoder.conv_out.weight.mul_(0.25)


def components(tokenizer_folder, zero_cond_t):
    """The parts of a pipeline. Weights are drawn so large that a wrong position, a wrong GELU or
    a swapped chunk moves the output by more than a gate: a default initialisation hides them."""
    torch.manual_seed(0)
    tokenizer = Qwen2Tokenizer.from_pretrained(tokenizer_folder)
    parts = {
        "transformer": transformer(zero_cond_t).eval(),
        "vae": vae().eval(),
        "text_encoder": text_encoder(tokenizer),
        "tokenizer": tokenizer,
        "scheduler": scheduler(),
        "processor": processor(tokenizer),
    }
    generator = torch.Generator().manual_seed(1234)
    with torch.no_grad():
        redraw_text_encoder(parts["text_encoder"], generator)
        redraw_transformer(parts["transformer"], generator)
        redraw_vae(parts["vae"], generator)
    return parts


def save(parts, tokenizer_folder, folder):
    """Writes the published layout: `tokenizer.json` is in `processor` only, and the transformer
    and the text encoder are in several files."""
    folder = pathlib.Path(folder)
    save_json(folder / "model_index.json", MODEL_INDEX)
    parts["scheduler"].save_pretrained(folder / "scheduler")
    parts["vae"].save_pretrained(folder / "vae")
    save_transformer(parts["transformer"], folder / "transformer")
    parts["text_encoder"].save_pretrained(folder / "text_encoder", max_shard_size="120KB")
    parts["tokenizer"].save_pretrained(folder / "processor")
    images = parts["processor"].image_processor.to_dict()
    images["processor_class"] = "Qwen2_5_VLProcessor"
    save_json(folder / "processor" / "preprocessor_config.json", images)
    shutil.copytree(tokenizer_folder, folder / "tokenizer", dirs_exist_ok=True)
    make_readable(folder)


def save_transformer(model, folder):
    model.save_pretrained(folder, max_shard_size="400KB")
    make_readable(folder)


def make_readable(folder):
    """The library writes weights that only their owner can read."""
    for file in folder.rglob("*.safetensors"):
        file.chmod(0o644)
