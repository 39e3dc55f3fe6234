#!/usr/bin/env bash
# Starts a node. Set the variables here, or in the environment, which wins; `config.yaml` holds
# what is not set in either. docs/configuration.md lists everything.
set -euo pipefail
cd "$(dirname "$0")"

# Who the node is, and where it listens.
export GPU_NODE_ID="${GPU_NODE_ID:-}"
export SERVER_HOST="${SERVER_HOST:-}"
export SERVER_PORT="${SERVER_PORT:-}"

# What callers send as X-Internal-Auth. Without it the node refuses to start, unless
# REQUIRE_AUTH is false.
export REQUIRE_AUTH="${REQUIRE_AUTH:-}"
export INCOMING_AUTH_TOKEN="${INCOMING_AUTH_TOKEN:-}"

# Where results go, and what is sent along with them.
export RESULT_CALLBACK_URL="${RESULT_CALLBACK_URL:-}"
export RESULT_CALLBACK_AUTH_TOKEN="${RESULT_CALLBACK_AUTH_TOKEN:-}"

# Who is told after each job that the device is free. Optional.
export JOB_COMPLETE_CALLBACK_URL="${JOB_COMPLETE_CALLBACK_URL:-}"
export LOAD_BALANCER_AUTH_TOKEN="${LOAD_BALANCER_AUTH_TOKEN:-}"

export RUST_LOG="${RUST_LOG:-}"

# The installed binary, or the one that was built here.
if command -v tryon >/dev/null; then
    exec tryon node "$@"
fi
if [ ! -x target/release/tryon ]; then
    cargo build --release
fi
exec target/release/tryon node "$@"
