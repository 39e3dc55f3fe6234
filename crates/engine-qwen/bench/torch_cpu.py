"""Times PyTorch on the pieces that `benches/cpu` times.

`python torch_cpu.py [--runs N] [PIECE…]`, with the versions of
`../tests/goldens/requirements.txt`. Two threads, 32 bits, random weights. Each piece runs in a
process of its own, which alone imports what it needs: so its peak memory is its own. One line of
JSON each.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

THREADS = 2
PIECES = ("dit_block", "vae_decode", "text_layer")


def dit_block(torch):
    """A block of the transformer at full width: 1024 picture tokens, of which the last half is of
    a reference, and 64 text tokens."""
    from diffusers.models.transformers.transformer_qwenimage import (
        QwenEmbedRope,
        QwenImageTransformerBlock,
    )

    block = QwenImageTransformerBlock(3072, 24, 128, zero_cond_t=True).eval()
    rope = QwenEmbedRope(theta=10000, axes_dim=[16, 56, 56], scale_rope=True)
    rotary = rope([[(1, 16, 32), (1, 16, 32)]], max_txt_seq_len=64, device=torch.device("cpu"))
    image, text = torch.randn(1, 1024, 3072), torch.randn(1, 64, 3072)
    time_embedding = torch.randn(2, 3072)
    index = torch.tensor([[0] * 512 + [1] * 512])
    return lambda: block(image, text, None, time_embedding, rotary, None, index)


def vae_decode(torch):
    """The decoder at full width, to a picture of 256x256."""
    from diffusers import AutoencoderKLQwenImage

    vae = AutoencoderKLQwenImage().eval()
    latents = torch.randn(1, 16, 1, 32, 32)
    return lambda: vae.decode(latents).sample


def text_layer(torch):
    """A layer of the language model of Qwen2.5-VL-7B, at 256 tokens."""
    from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLTextConfig
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
        Qwen2_5_VLDecoderLayer,
        Qwen2_5_VLRotaryEmbedding,
    )

    config = Qwen2_5_VLTextConfig(
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=1,
        num_attention_heads=28,
        num_key_value_heads=4,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
    )
    config._attn_implementation = "sdpa"
    layer = Qwen2_5_VLDecoderLayer(config, 0).eval()
    hidden = torch.randn(1, 256, 3584)
    positions = torch.arange(256).expand(3, 1, 256)
    rotary = Qwen2_5_VLRotaryEmbedding(config)(hidden, positions)
    return lambda: layer(hidden, position_embeddings=rotary)


def measure(piece, runs):
    """Runs a piece once to warm up, then `runs` times."""
    import torch

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    seconds = []
    with torch.inference_mode():
        run = globals()[piece](torch)
        run()
        for _ in range(runs):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
    return {
        "piece": piece,
        "median_s": round(statistics.median(seconds), 4),
        "best_s": round(min(seconds), 4),
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "runs": runs,
        "threads": THREADS,
        "torch": torch.__version__,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pieces", nargs="*", default=PIECES, metavar="PIECE")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.pieces) - set(PIECES):
        parser.error(f"no such piece: {', '.join(sorted(unknown))} (there are {', '.join(PIECES)})")
    if options.here:
        print(json.dumps(measure(options.pieces[0], options.runs)), flush=True)
        return
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS), "HF_HUB_OFFLINE": "1"}
    for piece in options.pieces:
        command = [sys.executable, __file__, "--here", "--runs", str(options.runs), piece]
        subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    main()
