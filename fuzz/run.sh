#!/usr/bin/env bash
# Runs every fuzz target, or those that are named, for some seconds each, as many at a time as there
# are cores: `fuzz/run.sh [seconds] [target...]`. Needs cargo-fuzz
# (`cargo install --locked cargo-fuzz@0.13.2`) and a C++ compiler, and no other toolchain than the
# pinned one: without a sanitizer, for which Rust has little use, its instruments are those of any
# compiler.
#
# What it finds is kept in fuzz/corpus, and used again; an input that fails, in fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."

export seconds=${1:-30}
shift || true
logs=$(mktemp -d)
export logs
trap 'rm -rf "$logs"' EXIT
fuzz() { # target
    mkdir -p "fuzz/corpus/$1"
    status=0
    cargo fuzz run --sanitizer none "$1" "fuzz/corpus/$1" "fuzz/seeds/$1" -- \
        -max_total_time="$seconds" -max_len=16384 -timeout=10 -rss_limit_mb=1024 \
        -print_final_stats=1 -verbosity=0 >"$logs/$1" 2>&1 || status=$?
    printf '\n── %s ──\n%s\n' "$1" "$(cat "$logs/$1")"
    return $status
}
export -f fuzz
cargo fuzz build --sanitizer none
targets=${*:-$(cargo fuzz list)}
# shellcheck disable=SC2086 # A name is a word.
printf '%s\n' $targets | xargs -P "$(nproc)" -I{} bash -c 'fuzz "$1"' _ {}
