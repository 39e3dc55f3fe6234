"""Drives one published version of the `tryiton` client, unchanged but for its base URL.

Run by the `clients` test with PYTHONPATH naming the version's folder:

    tryiton_client.py BASE_URL KEY PERSON GARMENT NOISE DESIGN

Prints one JSON object a line, `{"case": …, …}`, which the test compares with what the contract says.
"""

import base64
import json
import sys

import requests
from tryiton import TryItOn, TryItOnError

base_url, key, person, garment, noise, design = sys.argv[1:7]


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


client = TryItOn(key, base_url=base_url)
# The method was renamed in 2.0.0.
try_on = getattr(client, "try_on_fashion", None) or client.try_on_clothes
person, garment, noise, design = map(data_url, (person, garment, noise, design))


def wait(job):
    return client.wait_for_result(job, poll_interval=0.2, timeout=110)


def credits_left():
    credits = client.get_credits()
    return [credits.on_demand, credits.subscription, credits.purchased, credits.reserved]


report("credits before", credits=credits_left())
job = try_on(
    model_image=person,
    garment_image=garment,
    category="clothing",
    subcategory="tops",
    mode="performance",
)
report("job id", length=len(job), hex=all(c in "0123456789abcdef" for c in job))
outputs = wait(job)
picture = requests.get(outputs[0], timeout=30)
report(
    "completed",
    outputs=len(outputs),
    type=picture.headers["content-type"],
    png=picture.content.startswith(b"\x89PNG\r\n\x1a\n"),
)
report("credits after", credits=credits_left())

tattoo = {"placement": "on the chest"}
if "region" in TryItOn.try_on_tattoo.__kwdefaults__:
    tattoo["region"] = {"x": 0.42, "y": 0.2, "w": 0.16, "h": 0.1}
    job = client.try_on_tattoo(body_image=person, design_image=design, **tattoo)
    report("tattoo", outputs=len(wait(job)))

failing("UnauthorizedAccess", TryItOn("tryon_wrong", base_url=base_url).get_credits)
failing("BadRequest", lambda: try_on(model_image=person, garment_image=garment, mode="fastest"))
failing("NotFound", lambda: client.get_status("0" * 24))
failing(
    "hairstyle is offered by nobody",
    lambda: client.try_on_hairstyle(face_image=person, haircut="BuzzCut"),
)
unreadable = "data:image/png;base64," + base64.b64encode(b"not a picture").decode()
failing(
    "ImageLoadError",
    lambda: wait(try_on(model_image=unreadable, garment_image=garment, category="tops")),
)
failing(
    "PoseError",
    lambda: wait(try_on(model_image=noise, garment_image=garment, category="tops")),
)
report("credits at the end", credits=credits_left())
