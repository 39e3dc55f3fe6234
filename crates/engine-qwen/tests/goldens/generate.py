"""Writes every fixture of this folder: `python generate.py [OUT]`. See README.md."""

import os

# One thread and the plainest kernels: the same bytes whatever the vector units of the machine.
# Read when PyTorch is loaded, so set before it is.
os.environ.update(
    OMP_NUM_THREADS="1",
    ATEN_CPU_CAPABILITY="default",
    MKL_CBWR="COMPATIBLE",
    ONEDNN_MAX_CPU_ISA="SSE41",
    NPY_DISABLE_CPU_FEATURES="AVX2 AVX512F",
    HF_HUB_OFFLINE="1",
)

import json
import logging
import pathlib
import sys
import tempfile

import torch
from reference import adapt, classifiers, pipeline, tables, tiny, tokenizer
from reference.store import save_json, save_tensors

torch.set_num_threads(1)

HERE = pathlib.Path(__file__).parent
# What replaying a golden file needs of it.
INPUTS = ("img.0.raw_u8", "img.1.raw_u8", "pipe.noise")
# The seed of the noise of the FP8 scenario: see there.
FP8_NOISE = 2735
# What a scenario beside the first keeps.
CHOSEN = ("dit.temb", "dit.norm_out", "pipe.", "neg.")
CHOSEN_OF_BLOCK = ("img_mod", "txt_mod", "img_out", "txt_out")


class Scenarios:
    """Runs the pipeline with a fresh model each time: taps and FP8 layers stay on a model."""

    def __init__(self, out, tokenizer_folder):
        self.out, self.tokenizer_folder = out, tokenizer_folder

    def parts(self, zero_cond_t=True):
        return tiny.components(self.tokenizer_folder, zero_cond_t)

    def write(self, name, tensors, metadata):
        save_tensors(self.out / f"{name}.safetensors", tensors, metadata)

    def full(self):
        """Every tensor of a four step edit, in three files because of their size."""
        tensors, metadata = pipeline.run(self.parts())
        inputs = {name: tensors[name] for name in INPUTS}

        def is_image(name):
            return name == "te.in.pixel_values" or name.endswith((".cond_u8", ".vae_u8"))

        kinds = {
            "edit2511_4step": lambda name: not is_image(name) and not name.startswith("vae."),
            "edit2511_4step_vae": lambda name: name.startswith("vae."),
            "edit2511_4step_images": is_image,
        }
        for kind, belongs in kinds.items():
            chosen = {name: tensor for name, tensor in tensors.items() if belongs(name)}
            self.write(kind, {**inputs, **chosen}, metadata)

    def variant(self, name, parts, **arguments):
        """Only what is not the same in the first scenario."""
        tensors, metadata = pipeline.run(parts, **arguments)
        self.write(name, chosen(tensors), metadata)

    def guided(self):
        self.variant(
            "edit2511_cfg4_2step", self.parts(), steps=2, true_cfg_scale=4.0, negative_prompt=" "
        )

    def lightning(self):
        """The schedule of the adapters' authors, on the plain weights."""
        parts = self.parts()
        parts["scheduler"] = tables.lightning_scheduler()
        tensors, metadata = pipeline.run(parts)
        self.write(
            "edit2511_shift3_4step", steps(tensors), {**metadata, "schedule": "lightning_shift3"}
        )

    def rounded(self):
        """The timesteps of a model in 16 bits, on the plain weights."""
        parts = self.parts()
        pipeline.round_timesteps(parts["transformer"])
        tensors, metadata = pipeline.run(parts)
        self.write("edit2511_bf16_timestep_4step", steps(tensors), {**metadata, "timestep": "bf16"})

    def halved(self):
        """Weights in 16 bits, computed in 32."""
        parts = self.parts()
        model = parts["transformer"].to(torch.bfloat16)
        tiny.save_transformer(model, self.out / "checkpoint" / "tiny-bf16" / "transformer")
        parts["transformer"] = model.to(torch.float32)
        tensors, metadata = pipeline.run(parts)
        self.write("edit2511_bf16_weights_4step", steps(tensors), metadata)

    def adapter(self):
        parts = self.parts()
        state = adapt.lora_state(parts["transformer"])
        save_tensors(self.out / "checkpoint" / "lora.safetensors", state)
        adapt.merge_lora(parts["transformer"], state)
        self.variant("edit2511_lora_4step", parts)

    def fp8(self):
        """Both forms in one file, told apart by the prefix of the names.

        With activations in FP8 only the first step is kept, from a noise whose activations in it
        are all farther than 2e-6 of themselves from a boundary of FP8: what another order of
        summation puts beyond a boundary moves everything after it by up to 2e-2.
        """
        state = adapt.fp8_state(self.parts()["transformer"])
        save_tensors(self.out / "checkpoint" / "fp8.safetensors", state)
        kept = {}
        for prefix, quantise_activations in (("w8", False), ("w8a8", True)):
            parts = self.parts()
            adapt.load_fp8(parts["transformer"], state, quantise_activations)
            tensors, metadata = pipeline.run(parts, seed=FP8_NOISE)
            for name, tensor in chosen(tensors).items():
                if name in INPUTS:
                    kept[name] = tensor
                elif not (quantise_activations and is_later(name)):
                    kept[f"{prefix}.{name}"] = tensor
        self.write("edit2511_fp8_4step", kept, metadata)


def is_later(name):
    """Whether it is computed after the first step."""
    return name.startswith(("pipe.step.", "pipe.image")) and not name.startswith("pipe.step.0.")


def chosen(tensors):
    def is_chosen(name):
        block = name.startswith("dit.block.") and name.endswith(CHOSEN_OF_BLOCK)
        return block or name in INPUTS or name.startswith(CHOSEN)

    return {name: tensor for name, tensor in tensors.items() if is_chosen(name)}


def steps(tensors):
    """What a step begins with and what it comes to, without the picture."""
    names = [*INPUTS, "dit.in.timestep", "dit.time_proj", "dit.temb", "dit.block.1.img_out"]
    names += [
        name for name in tensors if name.startswith("pipe.") and not name.startswith("pipe.image")
    ]
    return {name: tensors[name] for name in names}


def write_checkpoint(out, tokenizer_folder):
    """`checkpoint/tiny-2511`, and of `tiny-2509` the one file that differs."""
    folder = out / "checkpoint" / "tiny-2511"
    tiny.save(tiny.components(tokenizer_folder, zero_cond_t=True), tokenizer_folder, folder)
    config = json.loads((folder / "transformer" / "config.json").read_text())
    config["zero_cond_t"] = False
    save_json(out / "checkpoint" / "tiny-2509" / "transformer" / "config.json", config)


def write_scenarios(out, tokenizer_folder):
    scenarios = Scenarios(out, tokenizer_folder)
    scenarios.full()
    scenarios.variant("edit2509_4step", scenarios.parts(zero_cond_t=False))
    scenarios.guided()
    scenarios.lightning()
    scenarios.rounded()
    scenarios.halved()
    scenarios.adapter()
    scenarios.fp8()


def write_classifiers(out):
    parsed = classifiers.parse(out / "checkpoint" / "parser")
    save_tensors(out / "parser.safetensors", parsed)
    moderated = classifiers.moderate(out / "checkpoint" / "moderator")
    save_tensors(out / "moderator.safetensors", moderated)


def write_tables(out, tokenizer_folder):
    parts = tiny.components(tokenizer_folder, zero_cond_t=True)
    model, tokens = parts["text_encoder"], parts["tokenizer"]
    save_json(out / "sizes.json", tables.sizes())
    save_json(out / "schedules.json", tables.schedules())
    save_json(out / "windows.json", tables.windows())
    save_json(out / "positions.json", tables.positions(model.model, model.config.image_token_id))
    save_json(out / "tokens.json", tables.tokens(tokens))
    save_tensors(out / "noise.safetensors", tables.noise())
    save_tensors(out / "resizes.safetensors", tables.resizes())
    save_tensors(out / "fp8_rounding.safetensors", tables.fp8_rounding())
    save_tensors(out / "fp8_linear.safetensors", tables.fp8_linear())


def main(out):
    for name in ("diffusers", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.write(folder, pipeline.FRAME)
        write_checkpoint(out, folder)
        write_scenarios(out, folder)
        write_tables(out, folder)
    write_classifiers(out)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
