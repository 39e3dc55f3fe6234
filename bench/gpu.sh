#!/usr/bin/env bash
# Checks and measures a GPU: `bench/gpu.sh [program]`, in less than ten minutes. Nothing is built and no
# checkpoint is needed; the program and this repository's files are enough. NVIDIA's driver has to be
# there, and NVRTC, cuBLASLt and cuDNN somewhere, such as in an environment with PyTorch.
#
# The whole model of full size makes pictures with random weights, in bf16 and FP8, and so does diffusers
# beside it if $PYTHON (python3) has it, which is what the table for docs/performance.md is of; each
# kernel is compared with the CPU; the tests' tiny models are replayed on the GPU and compared with what
# their reference computed; the parts of a step and of the stages around it are measured, and the same
# products and attentions by PyTorch. At the end the device is lost on purpose, which it recovers from
# when the process ends: nothing else should use it meanwhile.
#
# Each part has a time of its own, whatever the others take, and one that fails ends no other; what
# failed is said at the end, after the table.
set -euo pipefail
cd "$(dirname "$0")/.."

tryon=$(realpath "${1:-target/release/tryon}")
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$work/output"
failed=()

# Seconds of each part: 540 in all, which leaves some of ten minutes for what does not end at once.
declare -A most=(
    [bf16]=115 [fp8]=95 [diffusers]=95 [results]=65 [memory]=15
    [replay]=16 # of each of three
    [speed]=58 [torch]=34 [lose]=15
)

try() { # part title command...: goes on after a failure
    local seconds=${most[$1]} title=$2 begun=$SECONDS status=0
    shift 2
    printf '\n# %s\n' "$title"
    timeout --kill-after=5 "$seconds" "$@" 2>&1 | tee -a "$work/output" || status=$?
    case $status in
        0) ;;
        124 | 137) failed+=("$title: not done in $seconds s") ;;
        *) failed+=("$title: ended with $status") ;;
    esac
    echo "($((SECONDS - begun)) s)"
}

bench() { # part title
    try "$1" "$2" "$tryon" bench gpu --cache "$work/cache" --part "$1"
}

goldens=crates/engine-qwen/tests/goldens
replay() { # golden checkpoint argument...
    try replay "$1" "$tryon" verify-model --device cuda --cache "$work/cache" \
        --checkpoint "$goldens/checkpoint/$2" --goldens "$goldens/$1.safetensors" "${@:3}"
}

has() { # module...: whether Python has them
    "$python" -c 'import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, sys.argv[1:])))' \
        "$@" 2>/dev/null
}

card=$(nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit --format=csv,noheader || true)
echo "${card:-nvidia-smi says nothing}"

bench bf16 "The whole model in bf16"
bench fp8 "The whole model in FP8"
if has torch diffusers transformers PIL; then
    try diffusers "The whole model by diffusers" "$python" -u bench/gpu_diffusers.py --seconds 80
else
    printf '\n# The whole model by diffusers\nskipped: %s lacks torch, diffusers, transformers or PIL\n' "$python"
fi
bench results "Kernels"
bench memory "Memory"
replay edit2511_4step tiny-2511
replay edit2511_cfg4_2step tiny-2511
replay edit2511_fp8_4step tiny-2511 --fp8 "$goldens/checkpoint/fp8.safetensors"
bench speed "Parts of it"
if has torch; then
    try torch "Parts of it by PyTorch" "$python" -u bench/gpu_torch.py
else
    printf '\n# Parts of it by PyTorch\nskipped: %s lacks torch\n' "$python"
fi
bench lose "A lost device"

printf '\n# Seconds of each stage, with random weights\n\n'
echo "${card:-An unknown card}; $(grep -m1 '^versions: ' "$work/output" | cut -d' ' -f2- || true)"
grep -m1 '^diffusers [0-9]' "$work/output" || true
cat <<'HEAD'

| program | picture | run | prepare | vision | text | VAE encode | tables | step 1 | step 2 | step 3 | step 4 | VAE decode | end to end | peak GiB | % of limit |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
HEAD
grep -E '^\| (tryon|diffusers) ' "$work/output" | awk '!seen[$0]++' || true

if ((${#failed[@]})); then
    printf '\n# Failed\n\n'
    printf -- '- %s\n' "${failed[@]}"
    exit 1
fi
printf '\nEverything was done, in %s s.\n' "$SECONDS"
