#!/usr/bin/env bash
# Runs every test, or with `faults [N]` the fault laboratory alone until it has injected N faults,
# 2,000 where that is not said. Installs what the tests need and the machine lacks: servers that the
# tests start for themselves, and the published clients of the public API, unchanged, each version in
# a folder of its own.
set -euo pipefail
cd "$(dirname "$0")"

need() { # package file...: one of the files is there once the package is installed
    for file in "${@:2}"; do
        [ ! -x "$file" ] || return 0
    done
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "error: the tests need $1" >&2
        echo "hint: apt-get install $1" >&2
        exit 1
    fi
    apt-get update --quiet --quiet
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --quiet --no-install-recommends \
        "$1" >/dev/null
}
need redis-server /usr/bin/redis-server /usr/local/bin/redis-server
need postgresql /usr/lib/postgresql/*/bin/initdb "$(command -v initdb || true)"

if [ "${1-}" = faults ]; then
    export TRYON_TEST_FAULTS="${2-2000}"
    exec cargo test --package tryon-gateway --test it --quiet -- --nocapture lab::
fi

need chromium-driver "$(command -v chromedriver || true)"
need prometheus /usr/bin/promtool
need systemd /usr/bin/systemd-analyze
need g++ "$(command -v g++ || true)"
need npm "$(command -v npm || true)"
clients=target/clients
mkdir -p "$clients"
# Moved into place whole: an interrupted installation is not taken for a finished one.
install() { # name command...: what the command puts into a folder, which it is told last
    [ ! -d "$clients/$1" ] || return 0
    rm -rf "${clients:?}/$1.part"
    "${@:2}" "$clients/$1.part"
    mv "$clients/$1.part" "$clients/$1"
}
python_packages() { # package... folder
    python3 -m pip --version >/dev/null 2>&1 || {
        echo "error: the client tests need Python with pip" >&2
        echo "hint: apt-get install python3-pip" >&2
        exit 1
    }
    python3 -m pip install --quiet --no-warn-script-location --root-user-action ignore \
        --target "${@: -1}" "${@:1:$#-1}"
}
npm_package() { # package folder
    mkdir -p "$2"
    npm install --loglevel=error --no-audit --no-fund --ignore-scripts --prefix "$2" "$1" >/dev/null
}
for version in 0.1.0 1.1.0 2.0.0; do
    install "tryiton-$version" python_packages "tryiton==$version" requests==2.32.5
done
install fashn-python-0.9.0 python_packages fashn==0.9.0
install fashn-npm-0.11.1 npm_package fashn@0.11.1
# What reads the figures of a gateway, strictly.
install prometheus-client-0.26.0 python_packages prometheus-client==0.26.0
# What asks an API whatever its description allows, and more.
install schemathesis-4.32.5 python_packages schemathesis==4.32.5
# Where people sign in.
install oidc-provider-9.13.3 npm_package oidc-provider@9.13.3
# What tells whether everybody can use a page.
install axe-core-4.14.1 npm_package axe-core@4.14.1
# What compiles the kernels of GPUs; it needs none.
install nvrtc-13.0.88 python_packages nvidia-cuda-nvrtc==13.0.88
export TRYON_TEST_CLIENTS="$PWD/$clients"
export TRYON_TEST_FAULTS=2000
cargo test --workspace --quiet "$@"
# What the binary is deployed with, where all is tested.
[ $# -gt 0 ] || deploy/check.sh
