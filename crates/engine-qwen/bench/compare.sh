#!/bin/sh
# Times the pieces of `benches/cpu` against PyTorch's, and prints the ratios.
#
#   PYTHON=… crates/engine-qwen/bench/compare.sh [PIECE…]
#
# $PYTHON (python3) has what `../tests/goldens/requirements.txt` lists. The two take turns, $ROUNDS
# (3) times, so that what else the machine does meets both; of the rounds' medians the middle one
# counts. `- file` is the peak without the pages of the mapped checkpoint.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
rounds=${ROUNDS:-3}
[ $# -gt 0 ] || set -- dit_block vae_decode text_layer

lines=$(mktemp)
trap 'rm -f "$lines"' EXIT

cd "$here/.."
cargo bench -q --bench cpu --no-run
uptime >&2
for _ in $(seq "$rounds"); do
    for piece; do
        "$python" "$here/torch_cpu.py" "$piece" | tee -a "$lines" >&2
        cargo bench -q --bench cpu -- "$piece" | tee -a "$lines" >&2
    done
done
uptime >&2

"$python" - "$lines" <<'TABLE'
import json
import statistics
import sys

rows = {}
with open(sys.argv[1]) as lines:
    for line in map(json.loads, lines):
        side = "torch" if "torch" in line else "tryon"
        rows.setdefault(line["piece"], {}).setdefault(side, []).append(line)

print(f"{'':<12}{'seconds':>17}{'':>9}{'best':>17}{'':>9}{'peak MiB':>24}")
print(f"{'':<12}{'torch':>9}{'tryon':>8}{'ratio':>9}{'torch':>9}{'tryon':>8}{'ratio':>9}"
      f"{'torch':>8}{'tryon':>8}{'- file':>8}")
for piece, sides in rows.items():
    middle, best, peak = (
        {side: choose(line[key] for line in lines) for side, lines in sides.items()}
        for key, choose in [
            ("median_s", statistics.median), ("best_s", min), ("peak_rss_mib", max),
        ]
    )
    file = min(line["file_mib"] for line in sides["tryon"])
    columns = [f"{piece:<12}"]
    for times in middle, best:
        ratio = times["tryon"] / times["torch"]
        columns.append(f"{times['torch']:>9.3f}{times['tryon']:>8.3f}{ratio:>9.2f}")
    columns.append(f"{peak['torch']:>8}{peak['tryon']:>8}{peak['tryon'] - file:>8}")
    print("".join(columns))
TABLE
