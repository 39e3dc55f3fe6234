"""Drives one published version of the `tryiton` client, unchanged but for its base URL.

Run by the `clients` test with PYTHONPATH naming the version's folder:

    tryiton_client.py PART URL KEYS PERSON GARMENT NOISE DESIGN

Prints one JSON object a line, `{"case": …, …}`, which the test compares with what the contract says.
"""

import base64
import inspect
import json
import sys

import requests
from tryiton import TryItOn, TryItOnError

part, url, keys, person, garment, noise, design = sys.argv[1:8]
keys = json.loads(keys)


def client_of(key):
    return TryItOn(key, base_url=f"{url}/api/v1")


def data_url(path):
    with open(path, "rb") as file:
        kind = "png" if path.endswith(".png") else "jpeg"
        return f"data:image/{kind};base64,{base64.b64encode(file.read()).decode()}"


def report(case, **values):
    print(json.dumps({"case": case, **values}, sort_keys=True), flush=True)


def failing(case, call):
    """Reports the error that `call` raises, or that it raised none."""
    try:
        call()
    except TryItOnError as error:
        report(case, status=error.status, error_name=error.error_name)
    else:
        report(case, status=None, error_name=None)


def try_on(client, model_image=None, **options):
    # The method was renamed in 2.0.0.
    method = getattr(client, "try_on_fashion", None) or client.try_on_clothes
    return method(model_image=model_image or person, garment_image=garment, **options)


def wait(client, job):
    return client.wait_for_result(job, poll_interval=0.2, timeout=110)


def credits_left(client):
    credits = client.get_credits()
    return [credits.on_demand, credits.subscription, credits.purchased, credits.reserved]


def jobs(client):
    report("credits before", credits=credits_left(client))
    job = try_on(client, category="clothing", subcategory="tops", mode="performance")
    report("job id", length=len(job), hex=all(c in "0123456789abcdef" for c in job))
    outputs = wait(client, job)
    picture = requests.get(outputs[0], timeout=30)
    report(
        "completed",
        outputs=len(outputs),
        type=picture.headers["content-type"],
        png=picture.content.startswith(b"\x89PNG\r\n\x1a\n"),
    )
    report("credits after", credits=credits_left(client))
    # Only later versions know the region that says where to ink.
    if "region" in inspect.signature(client.try_on_tattoo).parameters:
        region = {"x": 0.42, "y": 0.2, "w": 0.16, "h": 0.1}
        job = client.try_on_tattoo(body_image=person, design_image=design, region=region)
        report("tattoo", outputs=len(wait(client, job)))


def errors(client):
    failing("UnauthorizedAccess", client_of("tryon_wrong").get_credits)
    failing("BadRequest for a wrong mode", lambda: try_on(client, mode="fastest"))
    failing(
        "BadRequest for a task that nobody offers",
        lambda: client.try_on_hairstyle(face_image=person, haircut="BuzzCut"),
    )
    failing("NotFound", lambda: client.get_status("0" * 24))
    failing("OutOfCredits", lambda: try_on(client_of(keys["poor"])))
    hasty = client_of(keys["hasty"])
    hasty.get_credits()
    failing("RateLimitExceeded", hasty.get_credits)
    failing("ConcurrencyLimitExceeded", lambda: try_on(client_of(keys["crowded"])))
    unreadable = "data:image/png;base64," + base64.b64encode(b"not a picture").decode()
    for case, picture in [("ImageLoadError", unreadable), ("PoseError", noise)]:
        failing(case, lambda: wait(client, try_on(client, picture, category="tops")))
    report("credits at the end", credits=credits_left(client))


person, garment, noise, design = map(data_url, (person, garment, noise, design))
main = client_of(keys["main"])
if part == "working":
    jobs(main)
    errors(main)
elif part == "once":
    outputs = wait(main, try_on(main, category="clothing", subcategory="tops"))
    picture = requests.get(outputs[0], timeout=30).content
    report("once", outputs=len(outputs), png=picture.startswith(b"\x89PNG\r\n\x1a\n"))
else:
    failing("InternalServerError", lambda: try_on(main))
