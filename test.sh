#!/usr/bin/env bash
# Runs every test. Installs what the tests need and the machine lacks: the published Python
# clients of the public API, unchanged, each version in a folder of its own.
set -euo pipefail
cd "$(dirname "$0")"

clients=target/clients
for version in 0.1.0 1.1.0 2.0.0; do
    if [ ! -d "$clients/$version/tryiton" ]; then
        mkdir -p "$clients"
        python3 -m pip --version >/dev/null 2>&1 || {
            echo "error: the client tests need Python with pip" >&2
            echo "hint: apt-get install python3-pip" >&2
            exit 1
        }
        # Moved into place whole: an interrupted installation is not taken for a finished one.
        rm -rf "$clients/$version.part"
        python3 -m pip install --quiet --no-warn-script-location --root-user-action ignore \
            --target "$clients/$version.part" "tryiton==$version" "requests==2.32.5"
        rm -rf "${clients:?}/$version"
        mv "$clients/$version.part" "$clients/$version"
    fi
done
export TRYON_TEST_CLIENTS="$PWD/$clients"

cargo test --workspace --quiet "$@"
