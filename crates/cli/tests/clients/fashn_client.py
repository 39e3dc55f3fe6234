"""Drives the published `fashn` client for Python, unchanged but for its base URL.

Run by the `clients` test, as `fashn_client.mjs` is, with the same arguments and for the same lines:

    fashn_client.py URL KEYS PERSON GARMENT NOISE
"""

import base64
import json
import sys

import fashn
import httpx

url, keys, person, garment, noise = sys.argv[1:6]
keys = json.loads(keys)


def client_of(key):
    return fashn.Fashn(api_key=key, base_url=url)


def data_url(path):
    with open(path, "rb") as file:
        kind = "png" if path.endswith(".png") else "jpeg"
        return f"data:image/{kind};base64,{base64.b64encode(file.read()).decode()}"


def report(case, **values):
    print(json.dumps({"case": case, **values}, sort_keys=True), flush=True)


def failing(case, call):
    """Reports the refusal that `call` meets, or that it met none."""
    try:
        call()
    except fashn.APIStatusError as error:
        name = error.body.get("error") if isinstance(error.body, dict) else error.body
        report(case, status=error.status_code, error_name=name)
    else:
        report(case, status=None, error_name=None)


def credits(client):
    report("credits", **client.get("/v1/credits", cast_to=object)["credits"])


def run(client, model_image=None, model_name="tryon-v1.6", **more):
    inputs = {"model_image": model_image or person, "garment_image": garment, **more}
    return client.predictions.run(model_name=model_name, inputs=inputs)


def subscribe(case, client, model_image=None, **more):
    """Waits for a run and reports how it ended; gives its pictures."""
    inputs = {"model_image": model_image or person, "garment_image": garment, **more}
    ids, states = [], set()
    ended = client.predictions.subscribe(
        model_name="tryon-v1.6",
        inputs=inputs,
        poll_interval=100,
        on_enqueued=ids.append,
        on_queue_update=lambda status: states.add(status.status),
    )
    unknown = states - {"starting", "in_queue", "processing", "completed", "failed"}
    report(
        case,
        status=ended.status,
        outputs=len(ended.output or []),
        credits_used=ended.credits_used,
        error_name=ended.error and ended.error.name,
        enqueued=ids == [ended.id],
        unknown=sorted(unknown),
    )
    return ended.output


person, garment, noise = map(data_url, (person, garment, noise))
main = client_of(keys["main"])
credits(main)
link = subscribe("completed", main, category="tops", mode="performance")[0]
png = httpx.get(link).content.startswith(b"\x89PNG\r\n\x1a\n")
report("linked", png=png)
jpeg = subscribe("another", main, category="tops", output_format="jpeg")[0]
report("linked", jpeg=httpx.get(jpeg).content.startswith(b"\xff\xd8\xff"))
credits(main)
unreadable = "data:image/png;base64," + base64.b64encode(b"not a picture").decode()
subscribe("ImageLoadError", main, unreadable)
subscribe("PoseError", main, noise, category="tops")
failing("UnauthorizedAccess", lambda: run(client_of("tryon_wrong")))
failing("BadRequest for another model", lambda: run(main, model_name="tryon-max"))
failing("BadRequest for base64", lambda: run(main, return_base64=True))
failing("BadRequest for a wrong mode", lambda: run(main, mode="fastest"))
failing("NotFound", lambda: main.predictions.status("0" * 24))
failing("OutOfCredits", lambda: run(client_of(keys["poor"])))
crowded = client_of(keys["crowded"]).with_options(max_retries=0)
failing("ConcurrencyLimitExceeded", lambda: run(crowded))
credits(main)
