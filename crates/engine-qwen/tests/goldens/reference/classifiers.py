"""The two small models beside the pipeline: who wears what, and what is fit to be seen."""

import math

import numpy
import torch
from PIL import Image
from torch import nn
from transformers import (
    SegformerConfig,
    SegformerForSemanticSegmentation,
    ViTConfig,
    ViTForImageClassification,
)
from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from .store import save_json
from .tiny import make_readable

LABELS = (
    "Background",
    "Hat",
    "Hair",
    "Sunglasses",
    "Upper-clothes",
    "Skirt",
    "Pants",
    "Dress",
    "Belt",
    "Left-shoe",
    "Right-shoe",
    "Face",
    "Left-leg",
    "Right-leg",
    "Left-arm",
    "Right-arm",
    "Bag",
    "Scarf",
)


def names(labels):
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }


@torch.no_grad()
def redraw(model, seed):
    """Weights so large that a wrong GELU shows. What a normalisation divides by is small where
    that is possible, so that a wrong epsilon shows as well."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        if weight.ndim == 1 and name.endswith("weight"):
            weight.copy_(1 + 0.2 * noise)
        elif weight.ndim == 1 or "embeddings.cls" in name or "embeddings.position" in name:
            weight.copy_(0.1 * noise)
        else:
            weight.copy_(noise * (1.5 / math.sqrt(weight[0].numel())))
    for name, weight in model.named_parameters():
        if ".patch_embeddings." in name and name.endswith((".proj.weight", ".proj.bias")):
            weight.mul_(0.05)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            shape = module.running_mean.shape
            module.running_mean.copy_(0.5 * torch.randn(shape, generator=generator))
            module.running_var.copy_(0.02 + torch.rand(shape, generator=generator))
            module.num_batches_tracked.fill_(1000)
    return model.eval()


def parser():
    """The layout of `mattmdjaga/segformer_b2_clothes`."""
    config = SegformerConfig(
        depths=[2, 1, 1, 1],
        hidden_sizes=[8, 16, 24, 32],
        num_attention_heads=[1, 2, 3, 4],
        decoder_hidden_size=32,
        **names(LABELS),
    )
    return redraw(SegformerForSemanticSegmentation(config), 5)


def moderator():
    """The layout of `Falconsai/nsfw_image_detection`."""
    config = ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        image_size=32,
        patch_size=8,
        **names(("normal", "nsfw")),
    )
    return redraw(ViTForImageClassification(config), 6)


def picture():
    """A picture of 50x70: three gradients under noise."""
    y, x = numpy.mgrid[0:70, 0:50]
    smooth = numpy.stack([x * 5, y * 3, 255 - x * 2 - y], -1)
    noise = numpy.random.RandomState(3).randint(-40, 41, smooth.shape)
    return Image.fromarray((smooth + noise).clip(0, 255).astype(numpy.uint8))


def save(model, processor, folder):
    model.save_pretrained(folder)
    save_json(folder / "preprocessor_config.json", processor.to_dict())
    make_readable(folder)


@torch.no_grad()
def parse(folder):
    """Writes the parser's checkpoint and returns what it computes."""
    model = parser()
    processor = SegformerImageProcessorPil(size={"height": 64, "width": 64}, do_reduce_labels=False)
    image = picture()
    pixels = processor(image, return_tensors="pt")["pixel_values"]
    # No class is the likeliest everywhere.
    classifier = model.decode_head.classifier
    classifier.bias.sub_(model(pixels).logits.mean(dim=(0, 2, 3)))
    save(model, processor, folder)
    output = model(pixels, output_hidden_states=True)
    size = [(image.height, image.width)]
    classes = processor.post_process_semantic_segmentation(output, target_sizes=size)[0]
    tensors = {
        "img.0.raw_u8": torch.from_numpy(numpy.array(image)),
        "seg.pixel_values": pixels,
        "seg.logits": output.logits,
        "seg.classes": classes.to(torch.uint8),
    }
    for index, stage in enumerate(output.hidden_states):
        tensors[f"seg.stage.{index}"] = stage
    return tensors


@torch.no_grad()
def moderate(folder):
    """Writes the moderator's checkpoint and returns what it computes."""
    model = moderator()
    processor = ViTImageProcessorPil(
        size={"height": 32, "width": 32}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    save(model, processor, folder)
    image = picture()
    pixels = processor(image, return_tensors="pt")["pixel_values"]
    output = model(pixels, output_hidden_states=True)
    tensors = {
        "img.0.raw_u8": torch.from_numpy(numpy.array(image)),
        "vit.pixel_values": pixels,
        "vit.embeddings": output.hidden_states[0],
        "vit.logits": output.logits,
        "vit.probabilities": output.logits.softmax(-1),
    }
    for index, hidden in enumerate(output.hidden_states[1:]):
        tensors[f"vit.layer.{index}"] = hidden
    return tensors
