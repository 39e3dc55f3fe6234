#!/usr/bin/env bash
# Runs every fuzz target, or those that are named, for some seconds each: `fuzz/run.sh [seconds]
# [target...]`. Needs cargo-fuzz (`cargo install --locked cargo-fuzz@0.13.2`) and a C++ compiler, and
# no other toolchain than the pinned one: without a sanitizer, for which Rust has little use, its
# instruments are those of any compiler.
#
# What it finds is kept in fuzz/corpus, and used again; an input that fails, in fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-30}
shift || true
targets=${*:-$(cargo fuzz list)}
for target in $targets; do
    printf '\n── %s ──\n' "$target"
    mkdir -p "fuzz/corpus/$target"
    cargo fuzz run --sanitizer none "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -max_len=16384 -timeout=10 -rss_limit_mb=1024 \
        -print_final_stats=1 -verbosity=0
done
