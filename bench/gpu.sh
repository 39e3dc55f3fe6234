#!/usr/bin/env bash
# Checks and measures a GPU: `bench/gpu.sh [program]`, in less than ten minutes. Nothing is built and no
# checkpoint is needed; the program and this repository's files are enough. NVIDIA's driver has to be
# there, and NVRTC, cuBLASLt and cuDNN somewhere, such as in an environment with PyTorch.
#
# Each kernel is compared with the CPU; the whole model of full size makes pictures with random weights,
# in bf16 and FP8, and so does diffusers beside it if $PYTHON (python3) has it; the parts of a step and
# of the stages around it are measured, and the same products and attentions by PyTorch; the tests' tiny
# models are replayed on the GPU and compared with what their reference computed. At the end the device
# is lost on purpose, which it recovers from when the process ends: nothing else should use it meanwhile.
#
# Each part has a time of its own and one that fails ends no other; what failed is said at the end, after
# a table for docs/performance.md.
set -euo pipefail
cd "$(dirname "$0")/.."

tryon=$(realpath "${1:-target/release/tryon}")
python=${PYTHON:-python3}
most=560 # seconds for all parts
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$work/output"
failed=()

try() { # seconds title command...: goes on after a failure
    local seconds=$1 title=$2 begun=$SECONDS status=0
    shift 2
    printf '\n# %s\n' "$title"
    if ((seconds > most - SECONDS)); then seconds=$((most - SECONDS)); fi
    if ((seconds < 5)); then
        echo "no time is left"
        failed+=("$title: no time was left")
        return
    fi
    timeout --kill-after=5 "$seconds" "$@" 2>&1 | tee -a "$work/output" || status=$?
    case $status in
        0) ;;
        124 | 137) failed+=("$title: not done in $seconds s") ;;
        *) failed+=("$title: ended with $status") ;;
    esac
    echo "($((SECONDS - begun)) s)"
}

bench() { # seconds title part
    try "$1" "$2" "$tryon" bench gpu --cache "$work/cache" --part "$3"
}

goldens=crates/engine-qwen/tests/goldens
replay() { # golden checkpoint argument...
    try 20 "$1" "$tryon" verify-model --device cuda --checkpoint "$goldens/checkpoint/$2" \
        --goldens "$goldens/$1.safetensors" "${@:3}"
}

has() { # module...: whether Python has them
    "$python" -c 'import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, sys.argv[1:])))' \
        "$@" 2>/dev/null
}

card=$(nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit --format=csv,noheader || true)
echo "${card:-nvidia-smi says nothing}"

bench 80 "Kernels" results
bench 20 "Memory" memory
bench 130 "The whole model in bf16" bf16
bench 110 "The whole model in FP8" fp8
if has torch diffusers transformers PIL; then
    try 110 "The whole model by diffusers" "$python" -u bench/gpu_diffusers.py --seconds 95
else
    printf '\n# The whole model by diffusers\nskipped: %s lacks torch, diffusers, transformers or PIL\n' "$python"
fi
bench 100 "Parts of it" speed
replay edit2511_4step tiny-2511
replay edit2511_cfg4_2step tiny-2511
replay edit2511_fp8_4step tiny-2511 --fp8 "$goldens/checkpoint/fp8.safetensors"
if has torch; then
    try 40 "Parts of it by PyTorch" "$python" -u bench/gpu_torch.py
else
    printf '\n# Parts of it by PyTorch\nskipped: %s lacks torch\n' "$python"
fi
bench 20 "A lost device" lose

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
