#!/usr/bin/env bash
# Checks and measures a GPU: `bench/gpu.sh [program]`, made to take less than ten minutes. Nothing is
# built and no checkpoint is needed; the program and this repository's files are enough. NVIDIA's driver
# has to be there, and NVRTC, cuBLASLt and cuDNN somewhere, such as in an environment with PyTorch.
#
# Each kernel is compared with the CPU; the tests' tiny models are replayed on the GPU and compared
# with what their reference computed; a step of the transformer of full size is measured in bf16 and
# FP8, with random weights, and the stages around it. At the end the device is lost on purpose, which
# it recovers from when the process ends: nothing else should use it meanwhile. Beside it, PyTorch's
# attention and products of the same sizes are timed if it is found.
set -euo pipefail
cd "$(dirname "$0")/.."

tryon=$(realpath "${1:-target/release/tryon}")
cache=$(mktemp -d)
trap 'rm -rf "$cache"' EXIT
failed=0
try() { # title command...: goes on after a failure
    printf '\n# %s\n' "$1"
    "${@:2}" || { echo "FAILED: ${*:2}"; failed=1; }
}

nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit --format=csv || true

try "Kernels and speed" "$tryon" bench gpu --cache "$cache" --lose

goldens=crates/engine-qwen/tests/goldens
replay() { # golden checkpoint argument...
    try "$1" "$tryon" verify-model --device cuda --checkpoint "$goldens/checkpoint/$2" \
        --goldens "$goldens/$1.safetensors" "${@:3}"
}
replay edit2511_4step tiny-2511
replay edit2511_cfg4_2step tiny-2511
replay edit2511_fp8_4step tiny-2511 --fp8 "$goldens/checkpoint/fp8.safetensors"

# The same products and the same attention, by PyTorch.
if python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
    try "PyTorch" python3 - <<'PYTHON'
import torch
from torch.nn.functional import linear, scaled_dot_product_attention


def seconds(work, times=10):
    work()
    torch.cuda.synchronize()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(times):
        work()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3 / times


def report(what, operations, work):
    took = seconds(work)
    print(f"{what}: {1e3 * took:.3f} ms, {operations / took / 1e12:.0f} TFLOP/s")


def random(*size):
    return torch.randn(*size, device="cuda", dtype=torch.bfloat16)


print(torch.__version__, torch.cuda.get_device_name())
for tokens in (12788, 9716, 7568):
    q, k, v = (random(1, 24, tokens, 128) for _ in range(3))
    operations = 4 * tokens**2 * 3072
    report(f"attention of {tokens}", operations, lambda: scaled_dot_product_attention(q, k, v))
for rows in (12288, 9216, 7168, 500):
    for outputs, inputs in ((9216, 3072), (3072, 3072), (12288, 3072), (3072, 12288)):
        x, w, b = random(rows, inputs), random(outputs, inputs), random(outputs)
        operations = 2 * rows * inputs * outputs
        report(f"product {rows}x{inputs}x{outputs}", operations, lambda: linear(x, w, b))
PYTHON
fi
exit $failed
