#!/usr/bin/env bash
# Has `tryon serve` work for so many minutes, an hour where nothing is said, and prints each minute
# what it holds: `bench/soak.sh [minutes] [program]`. Two clients have one picture after the other
# made of those in examples/; a third sends what is refused, and hangs up in the middle of requests
# and before answers. Memory and file descriptors are those of the service and of its engine's
# process. What the clients and the service said is kept where something went wrong.
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=${1:-60}
tryon=$(realpath "${2:-target/release/tryon}")
examples=$PWD/examples
folder=$(mktemp -d)
cd "$folder"
end() {
    status=$?
    # Each client stops before its next request.
    rm -f at-work
    kill "$service" 2>/dev/null || true
    wait || true
    if [ $status = 0 ] && [ ! -f failed ]; then
        rm -rf "$folder"
    else
        echo "see $folder" >&2
    fi
}
service=
trap end EXIT
touch at-work

port=18321
url=http://127.0.0.1:$port
# What is kept would otherwise be all that grows.
printf "gateway: {jobs: {output_retention: 60}}\n" >config.yaml
"$tryon" serve --port $port --data data --config config.yaml >serve.log 2>&1 &
service=$!
for _ in $(seq 300); do
    grep -q '^  key' serve.log && break
    kill -0 $service || { cat serve.log >&2; exit 1; }
    sleep 0.2
done
key=$(awk '$1 == "key" {print $2}' serve.log)
account=$(awk '$1 == "account" {sub(",", "", $2); print $2}' serve.log)
"$tryon" credits grant "$account" 1000000 --data data >grant.log
# Who hangs up before the answer has a job all the same.
"$tryon" account limits "$account" --data data --tryon-per-minute 100000 --status-per-minute 100000 \
    --concurrent-jobs 1000 >limits.log

shop() { # number garment category: one picture after the other
    while [ -f at-work ]; do
        if TRYON_API_KEY=$key "$tryon" submit --url $url --category "$3" -o "$1.png" \
            "$examples/person-studio.jpg" "$examples/$2" >"$1.log" 2>&1; then
            echo >>"$1.done"
        else
            cat "$1.log" >>failed
            echo >>"$1.failed"
        fi
        sleep 1
    done
}
shop first garment-tee.jpg tops &
shop second garment-trousers.jpg bottoms &

picture() { printf 'data:image/jpeg;base64,%s' "$(base64 -w0 "$examples/$1")"; }
printf '{"model_image": "%s", "garment_image": "%s", "category": "tops"}' \
    "$(picture person-studio.jpg)" "$(picture garment-tee.jpg)" >whole.json
head -c 100000 whole.json >half.json
annoy() { # refusals, requests without end, clients that are gone before the answer
    submit=(curl -s -o answer -H "Authorization: Bearer $key" -H "Content-Type: application/json")
    while [ -f at-work ]; do
        "${submit[@]}" -d '{"model_image": 7}' $url/api/v1/tryon/clothes || true
        curl -s -o answer -H "Authorization: Bearer nobody" $url/api/v1/credits || true
        "${submit[@]}" -H "Content-Length: 200000" -m 0.2 --data-binary @half.json \
            $url/api/v1/tryon/clothes || true
        "${submit[@]}" $url/api/v1/status/0123456789abcdef01234567 || true
        "${submit[@]}" -m 0.01 --data-binary @whole.json $url/api/v1/tryon/clothes || true
        echo >>third.done
        sleep 1
    done
}
annoy &

count() { if [ -f "$1" ]; then wc -l <"$1"; else echo 0; fi; }
memory() { awk '/^VmRSS/ {printf "%.1f", $2 / 1024}' "/proc/$1/status"; }
# Pictures come and go while they are counted.
size() { du -sm "$1" 2>/dev/null | cut -f1 || true; }
descriptors() { ls "/proc/$1/fd" | wc -l; }
printf '%8s%12s%12s%12s%12s%12s%12s%12s%12s\n' minute pictures failed others \
    'service MiB' fds 'engine MiB' fds 'data MiB'
for minute in $(seq 0 "$minutes"); do
    kill -0 $service || { cat serve.log >&2; exit 1; }
    engine=$(pgrep -P $service | head -1) || { echo "no engine runs" >&2; exit 1; }
    printf '%8s%12s%12s%12s%12s%12s%12s%12s%12s\n' "$minute" \
        $(($(count first.done) + $(count second.done))) \
        $(($(count first.failed) + $(count second.failed))) "$(count third.done)" \
        "$(memory $service)" "$(descriptors $service)" "$(memory "$engine")" \
        "$(descriptors "$engine")" "$(size data)"
    [ "$minute" = "$minutes" ] || sleep 60
done
