"""Runs the reference pipeline on the tiny checkpoint and keeps what it computes on its way."""

import diffusers.pipelines.qwenimage.pipeline_qwenimage_edit_plus as plus
import numpy
import torch
from PIL import Image
from transformers.vision_utils import get_vision_window_index

CONDITION_AREA = 112 * 112
VAE_AREA = 128 * 128
DROP = 64
WIDTH, HEIGHT = 48, 80
PROMPT = "put the dress of picture 2 on"
# The words of the prompt's frame, without its special tokens and the pictures.
SYSTEM = (
    "system\nDescribe the key features of the input image (color, shape, size, texture, objects, "
    "background), then explain how the user's text instruction should alter or modify the image. "
    "Generate a new image that meets the user's requirements while maintaining consistency with "
    "the original input where appropriate."
)
FRAME = [SYSTEM, "\n", "user\n", "assistant\n", "Picture 1: "]

plus.CONDITION_IMAGE_SIZE = CONDITION_AREA
plus.VAE_IMAGE_SIZE = VAE_AREA


class Pipeline(plus.QwenImageEditPlusPipeline):
    """diffusers 0.42.1 does not hand `mm_token_type_ids` to the text encoder, without which
    transformers 5 numbers positions along one axis. Passing them mends it."""

    inputs = None

    def _get_qwen_prompt_embeds(self, prompt=None, image=None, *_device_and_type):
        assert SYSTEM in self.prompt_template_encode
        pictures = "".join(
            f"Picture {index + 1}: <|vision_start|><|image_pad|><|vision_end|>"
            for index in range(len(image))
        )
        text = self.prompt_template_encode.format(pictures + prompt[0])
        inputs = self.processor(text=[text], images=image, padding=True, return_tensors="pt")
        if self.inputs is None:
            self.inputs = inputs
        output = self.text_encoder(**inputs, output_hidden_states=True)
        embeds = output.hidden_states[-1][:, DROP:]
        return embeds, torch.ones(embeds.shape[:2], dtype=torch.long)


class Taps:
    """Keeps the first value seen under each name."""

    def __init__(self):
        self.tensors = {}

    def keep(self, name, value):
        if torch.is_tensor(value) and name not in self.tensors:
            value = torch.view_as_real(value) if value.is_complex() else value
            self.tensors[name] = value.detach().clone().contiguous()

    def output(self, module, name, index=None):
        """Keeps the output of a module, or one item of it."""

        def hook(_module, _inputs, output):
            self.keep(name, output if index is None else output[index])

        module.register_forward_hook(hook)

    def keywords(self, module, names):
        """Keeps arguments of a module that are passed by keyword."""

        def hook(_module, _inputs, keywords):
            for keyword, name in names.items():
                self.keep(name, keywords[keyword])

        module.register_forward_pre_hook(hook, with_kwargs=True)


def tap_text_encoder(taps, model):
    vision, language = model.model.visual, model.model.language_model
    taps.output(vision.patch_embed, "vis.patch_embed")
    taps.output(vision.rotary_pos_emb, "vis.rope_cos", 0)
    taps.output(vision.rotary_pos_emb, "vis.rope_sin", 1)
    for index, block in enumerate(vision.blocks):
        taps.output(block, f"vis.block.{index}")
    taps.output(vision.merger, "vis.merger_window_order")
    language.layers[0].register_forward_pre_hook(
        lambda _module, inputs: taps.keep("te.inputs_embeds", inputs[0])
    )
    taps.output(language.rotary_emb, "te.rope_cos", 0)
    taps.output(language.rotary_emb, "te.rope_sin", 1)
    for index, layer in enumerate(language.layers):
        taps.output(layer, f"te.layer.{index}")

    def final_norm(_module, _inputs, output):
        # The second call, if there is one, is the negative prompt's.
        name = "neg.te.final_norm" if "te.final_norm" in taps.tensors else "te.final_norm"
        taps.keep(name, output)

    language.norm.register_forward_hook(final_norm)


def tap_vae(taps, vae):
    encoder, decoder = vae.encoder, vae.decoder
    for index in (2, 5, 8, 10):
        taps.output(encoder.down_blocks[index], f"vae.enc.down.{index}")
    taps.output(encoder.mid_block.attentions[0], "vae.enc.mid_attn")
    taps.output(encoder.mid_block, "vae.enc.mid")
    taps.output(encoder.conv_out, "vae.enc.conv_out")
    taps.output(vae.quant_conv, "vae.enc.moments")
    vae.post_quant_conv.register_forward_pre_hook(
        lambda _module, inputs: taps.keep("vae.dec.z", inputs[0])
    )
    taps.output(vae.post_quant_conv, "vae.dec.post_quant")
    taps.output(decoder.conv_in, "vae.dec.conv_in")
    taps.output(decoder.mid_block, "vae.dec.mid")
    for index, block in enumerate(decoder.up_blocks):
        taps.output(block, f"vae.dec.up.{index}")
    taps.output(decoder.norm_out, "vae.dec.norm_out")
    taps.output(decoder.conv_out, "vae.dec.conv_out_unclamped")


def tap_transformer(taps, model):
    inputs = ("hidden_states", "timestep", "encoder_hidden_states")
    taps.keywords(model, {name: f"dit.in.{name}" for name in inputs})
    taps.output(model.img_in, "dit.img_in")
    taps.output(model.txt_norm, "dit.txt_norm")
    taps.output(model.txt_in, "dit.txt_in")
    taps.output(model.time_text_embed.time_proj, "dit.time_proj")
    taps.output(model.time_text_embed, "dit.temb")
    taps.output(model.pos_embed, "dit.rope_img", 0)
    taps.output(model.pos_embed, "dit.rope_txt", 1)
    for index, block in enumerate(model.transformer_blocks):
        prefix = f"dit.block.{index}"
        taps.output(block.img_mod, f"{prefix}.img_mod")
        taps.output(block.txt_mod, f"{prefix}.txt_mod")
        modulated = {
            "hidden_states": f"{prefix}.img_modulated",
            "encoder_hidden_states": f"{prefix}.txt_modulated",
        }
        taps.keywords(block.attn, modulated)
        taps.output(block.attn.norm_q, f"{prefix}.img_q_normed")
        taps.output(block.attn, f"{prefix}.attn_img", 0)
        taps.output(block.attn, f"{prefix}.attn_txt", 1)
        taps.output(block, f"{prefix}.txt_out", 0)
        taps.output(block, f"{prefix}.img_out", 1)
    taps.output(model.norm_out, "dit.norm_out")


def round_timesteps(model):
    """Rounds as the pipeline does when the model is in 16 bits: the timestep, and again after
    the division."""

    def hook(_module, inputs, keywords):
        timestep = (keywords["timestep"] * 1000).to(torch.bfloat16) / 1000
        return inputs, {**keywords, "timestep": timestep.float()}

    model.register_forward_pre_hook(hook, with_kwargs=True)


def pictures():
    """The two references: a gradient of 36x48 and noise of 40x40."""
    y, x = numpy.mgrid[0:48, 0:36]
    gradient = numpy.stack([x * 7 % 256, y * 5 % 256, (x * y) % 256], -1).astype(numpy.uint8)
    noise = numpy.random.RandomState(0).randint(0, 256, (40, 40, 3), dtype=numpy.uint8)
    return [Image.fromarray(gradient), Image.fromarray(noise)]


def keep_pictures(taps, images):
    for index, image in enumerate(images):
        taps.keep(f"img.{index}.raw_u8", torch.from_numpy(numpy.array(image)))
        for kind, area in (("cond", CONDITION_AREA), ("vae", VAE_AREA)):
            size = plus.calculate_dimensions(area, image.width / image.height)
            resized = image.resize(size, Image.LANCZOS)
            taps.keep(f"img.{index}.{kind}_u8", torch.from_numpy(numpy.array(resized)))


def keep_inputs(taps, pipe):
    inputs = pipe.inputs
    for name, value in inputs.items():
        taps.keep(f"te.in.{name}", value)
    position_ids, _ = pipe.text_encoder.model.get_rope_index(
        inputs["input_ids"],
        mm_token_type_ids=inputs["mm_token_type_ids"],
        image_grid_thw=inputs["image_grid_thw"],
        attention_mask=inputs["attention_mask"],
    )
    taps.keep("te.position_ids", position_ids)
    window_index, window_lengths = get_vision_window_index(inputs["image_grid_thw"], 2, 112, 14)
    taps.keep("vis.window_index", window_index)
    taps.keep("vis.cu_window_seqlens", window_lengths)


def watch_steps(taps, scheduler):
    step, count = scheduler.step, iter(range(1000))

    def watched(prediction, timestep, sample, **keywords):
        index = next(count)
        taps.keep(f"pipe.step.{index}.noise_pred", prediction)
        result = step(prediction, timestep, sample, **keywords)
        taps.keep(f"pipe.step.{index}.latents", result[0])
        return result

    scheduler.step = watched


@torch.no_grad()
def run(parts, steps=4, true_cfg_scale=1.0, negative_prompt=None, seed=42):
    """Edits the two pictures. Returns every tensor that was tapped and the metadata that
    replaying it needs."""
    taps, images = Taps(), pictures()
    pipe = Pipeline(**parts)
    pipe.set_progress_bar_config(disable=True)
    tap_text_encoder(taps, pipe.text_encoder)
    tap_vae(taps, pipe.vae)
    tap_transformer(taps, pipe.transformer)
    watch_steps(taps, pipe.scheduler)
    keep_pictures(taps, images)
    tokens = (HEIGHT // 16) * (WIDTH // 16)
    noise = torch.randn(1, tokens, 16, generator=torch.Generator().manual_seed(seed))
    taps.keep("pipe.noise", noise)
    image = pipe(
        prompt=PROMPT,
        negative_prompt=negative_prompt,
        image=images,
        height=HEIGHT,
        width=WIDTH,
        num_inference_steps=steps,
        true_cfg_scale=true_cfg_scale,
        latents=noise,
        output_type="pt",
    ).images
    keep_inputs(taps, pipe)
    taps.keep("pipe.sigmas", pipe.scheduler.sigmas)
    taps.keep("pipe.timesteps", pipe.scheduler.timesteps)
    taps.keep("pipe.image", image)
    taps.keep("pipe.image_u8", (image.clamp(0, 1) * 255).round().to(torch.uint8))
    return taps.tensors, metadata(steps, true_cfg_scale, negative_prompt)


def metadata(steps, true_cfg_scale, negative_prompt):
    return {
        "prompt": PROMPT,
        "negative_prompt": negative_prompt or "",
        "width": WIDTH,
        "height": HEIGHT,
        "steps": steps,
        "true_cfg_scale": true_cfg_scale,
        "condition_area": CONDITION_AREA,
        "vae_area": VAE_AREA,
        "drop_idx": DROP,
    }
