"""The two kinds of file that change a transformer: FP8 weights and a low rank adapter."""

import torch
from torch import nn

FP8 = torch.float8_e4m3fn
FP8_MAX = torch.finfo(FP8).max
ATTENTION = (
    "attn.to_q",
    "attn.to_k",
    "attn.to_v",
    "attn.to_out.0",
    "attn.add_q_proj",
    "attn.add_k_proj",
    "attn.add_v_proj",
    "attn.to_add_out",
)
MLP = ("img_mlp.net.0.proj", "img_mlp.net.2", "txt_mlp.net.0.proj", "txt_mlp.net.2")
MODULATION = ("img_mod.1", "txt_mod.1")
# As the published adapters: everything but the modulation, rank 64 and alpha 8.
RANK, ALPHA = 4, 2.0


def linears(model, suffixes):
    for index in range(len(model.transformer_blocks)):
        for suffix in suffixes:
            yield f"transformer_blocks.{index}.{suffix}"


def to_fp8(values):
    """Rounds half to even, after clamping: the type has no infinity."""
    return values.clamp(-FP8_MAX, FP8_MAX).to(FP8)


def quantise(weight):
    """One scale an output channel, as LightX2V's `tools/convert/converter.py`."""
    scale = weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-5) / FP8_MAX
    return to_fp8(weight / scale), scale


def fp8_state(model):
    """The tensors of a file in LightX2V's layout: the linear layers of the blocks in FP8 with
    `weight_scale`, the rest in 16 bits."""
    quantised = {f"{name}.weight" for name in linears(model, ATTENTION + MLP + MODULATION)}
    state = {}
    for name, tensor in model.state_dict().items():
        if name in quantised:
            state[name], state[f"{name}_scale"] = quantise(tensor)
        else:
            state[name] = tensor.to(torch.bfloat16)
    return state


class Fp8Linear(nn.Module):
    """A linear layer with FP8 weights, and activations in 32 bits or in FP8 with a scale for each
    token."""

    def __init__(self, weight, scale, bias, quantise_activations):
        super().__init__()
        self.weight, self.scale, self.bias = weight.float(), scale.float(), bias.float()
        self.quantise_activations = quantise_activations

    def forward(self, x):
        if not self.quantise_activations:
            return (x @ self.weight.T) * self.scale.T + self.bias
        token = x.abs().amax(dim=-1, keepdim=True) / FP8_MAX
        quantised = to_fp8(x / token).float()
        return (quantised @ self.weight.T) * token * self.scale.T + self.bias


@torch.no_grad()
def load_fp8(model, state, quantise_activations):
    """Puts the weights of a file in LightX2V's layout in a model."""
    for name, parameter in model.named_parameters():
        if f"{name}_scale" not in state:
            parameter.copy_(state[name].float())
    for name in linears(model, ATTENTION + MLP + MODULATION):
        parent, _, child = name.rpartition(".")
        weight, scale = state[f"{name}.weight"], state[f"{name}.weight_scale"]
        layer = Fp8Linear(weight, scale, state[f"{name}.bias"], quantise_activations)
        setattr(model.get_submodule(parent), child, layer)


def lora_state(model):
    """An adapter as published: 16 bits, `lora_down`, `lora_up` and `alpha` of each layer."""
    generator = torch.Generator().manual_seed(99)
    state = {}
    for name in linears(model, ATTENTION + MLP):
        out_features, in_features = model.get_parameter(f"{name}.weight").shape
        down = torch.randn(RANK, in_features, generator=generator) / in_features**0.5
        up = torch.randn(out_features, RANK, generator=generator) / RANK**0.5
        state[f"{name}.lora_down.weight"] = down.to(torch.bfloat16)
        state[f"{name}.lora_up.weight"] = up.to(torch.bfloat16)
        state[f"{name}.alpha"] = torch.tensor(ALPHA, dtype=torch.bfloat16)
    return state


@torch.no_grad()
def merge_lora(model, state):
    """`W + alpha / rank * (up @ down)` in 32 bits."""
    for name in linears(model, ATTENTION + MLP):
        down = state[f"{name}.lora_down.weight"].float()
        up = state[f"{name}.lora_up.weight"].float()
        scale = state[f"{name}.alpha"].float() / down.shape[0]
        model.get_parameter(f"{name}.weight").add_(scale * (up @ down))
