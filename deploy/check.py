"""Holds what deploy/ says to the tools that will read it, and to the binary. Called by check.sh."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path

import helm_python as helm
import jsonschema
import kubernetes_validate
import yaml

DEPLOY = Path(__file__).resolve().parent
ROOT = DEPLOY.parent
CHART = DEPLOY / "helm" / "tryon"
# What a node tells where there is a GPU, as a test of it has it.
SNAPSHOTS = ROOT / "crates" / "node" / "src" / "gpu" / "snapshots"
GPU_FIGURES = SNAPSHOTS / "tryon_node__gpu__figure__tests__open.snap"
SECRET = "0123456789abcdef"
# The oldest that the chart allows, and the newest that is known here.
KUBERNETES = ["1.27", "1.37"]
# Of operators; their definitions are not among Kubernetes' own.
FOREIGN = {"ServiceMonitor", "PodMonitor", "ScaledObject"}

# Sixty-four pixels of white each way.
NO_GARMENT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAAAAACPAi4CAAAAKUlEQVR42u3MQREAAAwCIPuX"
    "1hD77SAA6VEEAoFAIBAIBAKBQCAQfA8Gpwvw4qrwDDIAAAAASUVORK5CYII="
)

LEAST = {
    "image": {"repository": "registry.example.com/tryon"},
    "publicUrl": "https://tryon.example.com",
    "storageUrl": "s3://tryon/pictures",
    "existingSecret": "tryon",
}
MOST = LEAST | {
    "gateway": {
        "autoscaling": {"enabled": True},
        "ingress": {"enabled": True, "className": "public", "tlsSecret": "tls"},
        "config": {"tasks": [{"task": "clothes", "provider": "lightxv", "steps": 4}]},
        "env": [{"name": "AWS_REGION", "value": "eu-central-1"}],
    },
    "nodes": {
        "preview": None,
        "gpu": {
            "modelType": "lightxv",
            "gpus": 1,
            "runtimeClassName": "nvidia",
            "modelsClaim": "models",
            "config": {"limits": {"shutdown_grace": 120}},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "autoscaling": {"enabled": True, "prometheus": "http://prometheus.monitoring:9090"},
        },
    },
    "serviceAccount": {"annotations": {"example.com/role": "tryon"}},
    "monitoring": {"enabled": True, "labels": {"release": "prometheus"}},
    "networkPolicy": {"clients": [{"namespaceSelector": {}}]},
}
BAD = [
    {},
    LEAST | {"publicUrl": "tryon.example.com"},
    LEAST | {"existingSecret": ""},
    LEAST | {"gateways": {}},
    LEAST | {"nodes": {"gpu": {"gpu": 1}}},
]


def run(*command, cwd=DEPLOY, **options):
    """What a command says; fails with it where the command does."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, **options
    )
    if done.returncode != 0:
        raise SystemExit(f"error: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def expect(condition, otherwise):
    if not condition:
        raise SystemExit(f"error: {otherwise}")


def check_image():
    run("hadolint", ROOT / "Dockerfile")


def check_compose():
    text = (DEPLOY / "compose.yaml").read_text()
    needed = set(re.findall(r"\$\{(\w+):\?", text))
    given = dict.fromkeys(needed, SECRET) | {"TRYON_PUBLIC_URL": LEAST["publicUrl"]}
    files = ["-f", "compose.yaml", "-f", "compose/gpu.yaml"]
    command = ["docker-compose", "--env-file", "/dev/null", *files, "config", "--format", "json"]
    # The package's `docker-compose` ends with 0 whatever it found: what it says has to be looked at.
    quiet = {"cwd": DEPLOY, "capture_output": True, "text": True}
    compose = lambda env: subprocess.run(command, env=env, **quiet)
    read = compose(os.environ | given)
    expect(read.stdout and not read.stderr, f"compose.yaml is refused: {read.stderr}")
    services = json.loads(read.stdout)["services"]
    for name in needed:
        refused = compose(os.environ | given | {name: ""})
        expect(f"required variable {name}" in refused.stderr, f"compose.yaml starts without `{name}`")
    published = [name for name, service in services.items() if service.get("ports")]
    expect(published == ["gateway"], f"compose.yaml publishes ports of {published}")
    return services


def render(values):
    with helm.Chart.load(CHART) as chart:
        files = chart.render(values, name="shop", namespace="tryon")
    notes = [text for path, text in files.items() if path.endswith("NOTES.txt")]
    expect(len(notes) == 1 and LEAST["publicUrl"] in notes[0], "NOTES.txt does not name the address")
    texts = [text for path, text in files.items() if path.endswith(".yaml")]
    return [item for text in texts for item in yaml.safe_load_all(text) if item]


def check_chart():
    """Helm's own engine, without a cluster; then Kubernetes' own schemas."""
    found = helm.lint(CHART, LEAST, strict=True)["messages"]
    found = [it for it in found if "icon is recommended" not in it["error"]]
    expect(not found, f"helm lint: {found}")
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    for values in BAD:
        with contextlib.suppress(helm.HelmError):
            render(values)
            raise SystemExit(f"error: the chart takes {values}")
    rendered = [item for values in (LEAST, MOST) for item in render(values)]
    for item in rendered:
        name = f"{item['kind']} {item['metadata']['name']}"
        # A value that is misspelt in a template is null, which Kubernetes takes for absent.
        expect(not (found := list(find_nulls(item))), f"{name} has no value for {found}")
        for version in [] if item["kind"] in FOREIGN else KUBERNETES:
            try:
                kubernetes_validate.validate(item, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                raise SystemExit(f"error: {name}, Kubernetes {version}: {error}") from error
    kinds = {item["kind"] for item in rendered}
    expect(kinds >= FOREIGN, f"the chart renders {sorted(kinds)} alone")
    return rendered


def find_nulls(value, path=""):
    if value is None:
        yield path
    items = {}
    if isinstance(value, dict):
        items = value
    elif isinstance(value, list):
        items = dict(enumerate(value))
    for key, inner in items.items():
        yield from find_nulls(inner, f"{path}.{key}")


def check_units():
    """In a root of its own, where what the units start is there."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copytree("/lib/systemd/system", root / "usr/lib/systemd/system", symlinks=True)
        for program in ("usr/local/bin/tryon", "bin/kill"):
            (root / program).parent.mkdir(parents=True)
            (root / program).touch(0o755)
        units = sorted((DEPLOY / "systemd").glob("*.service"))
        for unit in units:
            shutil.copy(unit, root / "usr/lib/systemd/system")
        for unit in units:
            verify = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no"]
            run(*verify, f"--root={root}", unit.name)
            # 0 is nothing that can be done, 10 everything; 2.0 is what a service with a device has.
            run("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)


def check_configs(binary, services, rendered):
    """Every configuration is read by the service that it is for. Its database, bucket and Redis are
    not there: what is wrong with those is not looked at."""
    configs = {}
    for service in ("gateway", "node"):
        text = (DEPLOY / "compose" / f"{service}.yaml").read_text()
        configs[f"compose/{service}.yaml"] = (service, text, services[service]["environment"])
    # What values.yaml asks of the Secret.
    secret = dict.fromkeys(
        (f"TRYON_{name}" for name in ("LINK_SIGNING_KEY", "CALLBACK_TOKEN", "NODE_TOKEN")), SECRET
    )
    deployments = [item for item in rendered if item["kind"] == "Deployment"]
    pods = {it["metadata"]["name"]: it["spec"]["template"]["spec"] for it in deployments}
    for index, item in enumerate(rendered):
        if item["kind"] == "ConfigMap":
            name = item["metadata"]["name"]
            [container] = pods[name]["containers"]
            variables = {it["name"]: it.get("value", SECRET) for it in container.get("env", [])}
            variables |= secret if "envFrom" in container else {}
            configs[f"{name} ({index})"] = (container["name"], item["data"]["config.yaml"], variables)
    for name, (service, text, variables) in configs.items():
        with tempfile.TemporaryDirectory() as folder:
            config = yaml.safe_load(text)
            # What doctor would wait for.
            for section in ("storage", "rates"):
                config.get(section, {}).pop("url", None)
            if service == "node":
                config["spool"]["dir"] = f"{folder}/spool"
                # Others would be loaded.
                config["model"]["model_type"] = "preview"
                # Of the container or the pod.
                variables = variables | {"ADVERTISE_URL": "http://10.0.0.7:8000"}
            file = Path(folder) / "config.yaml"
            file.write_text(yaml.safe_dump(config))
            database = {"TRYON_DATABASE_URL": f"sqlite://{folder}/tryon.db"}
            environment = {"PATH": os.environ["PATH"]} | variables | database
            doctor = [binary, "--config", file, "doctor", "--for", service]
            said = subprocess.run(
                doctor, cwd=folder, env=environment, capture_output=True, text=True
            )
            expect(said.returncode == 0, f"{name} is refused:\n{said.stdout}{said.stderr}")


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [it.getsockname()[1] for it in sockets]
    for it in sockets:
        it.close()
    return ports


def ask(url, body=None, **headers):
    data = None if body is None else json.dumps(body).encode()
    if data:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def read_figures(binary):
    """The names of all figures, each with its labels, of a gateway and a node that had something
    to count: a picture, a failure, a refusal and a webhook that nobody takes."""
    public, internal, node, nobody = free_ports(4)
    with tempfile.TemporaryDirectory() as folder:
        config = {
            "gateway": {
                "server": {"port": public, "internal_port": internal},
                "fetch": {"allowed_hosts": ["localhost"]},
            },
            "node": {"server": {"port": node}},
        }
        file = Path(folder) / "config.yaml"
        file.write_text(yaml.safe_dump(config))
        with open(Path(folder) / "log", "w") as log:
            command = [binary, "--config", file, "--data", f"{folder}/data", "serve"]
            served = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
            try:
                accept = {"Accept": "application/openmetrics-text"}
                urls = [f"http://127.0.0.1:{port}/metrics" for port in (internal, node)]
                read = lambda: "\n".join(ask(url, **accept)[1] for url in urls)
                count_something(Path(log.name), public, node, nobody)
                wait_for(lambda: "webhook_tries" in read(), "no webhook is tried")
                text = read()
            finally:
                served.send_signal(signal.SIGTERM)
                served.wait(60)
    figures = {}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? ", text + GPU_FIGURES.read_text(), re.M):
        figures.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return figures


def count_something(log, public, node, nobody):
    find_key = lambda: re.search(r"key +(\S+)", log.read_text())
    key = wait_for(find_key, "tryon serve does not start")[1]
    url, bearer = f"http://127.0.0.1:{public}", {"Authorization": f"Bearer {key}"}
    examples = [ROOT / "examples" / f"{name}.jpg" for name in ("person-studio", "garment-tee")]
    encoded = (b64encode(file.read_bytes()).decode() for file in examples)
    person, garment = (f"data:image/jpeg;base64,{text}" for text in encoded)
    webhook = f"http://localhost:{nobody}/"
    ask(f"http://127.0.0.1:{node}/tryon", {})
    for garment in (garment, NO_GARMENT):
        body = {"model_image": person, "garment_image": garment, "webhook_url": webhook}
        status, said = ask(f"{url}/api/v1/tryon/clothes", body | {"category": "tops"}, **bearer)
        expect(status == 200, f"a submission is answered {status} {said}")
        job = f"{url}/api/v1/status/{json.loads(said)['id']}"
        wait_for(lambda: '"processing"' not in ask(job, **bearer)[1], f"{job} does not end")


def wait_for(condition, otherwise):
    for _ in range(240):
        if found := condition():
            return found
        time.sleep(0.25)
    raise SystemExit(f"error: {otherwise}")


def check_queries(figures, rendered):
    """Dashboards, alarms and scaling ask for figures that there are, in words that Prometheus reads."""
    queries = []
    dashboard = json.loads((DEPLOY / "grafana/tryon.json").read_text())
    for panel in dashboard["panels"]:
        queries += [target["expr"] for target in panel.get("targets", [])]
    alarms = yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text())
    queries += [rule["expr"] for group in alarms["groups"] for rule in group["rules"]]
    for item in rendered:
        if item["kind"] == "ScaledObject":
            queries += [trigger["metadata"]["query"] for trigger in item["spec"]["triggers"]]
    # What Prometheus adds, and what Grafana puts in.
    added = {"namespace", "service", "pod", "instance", "job"}
    rules = []
    asked = set()
    for index, query in enumerate(queries):
        query = query.replace("$__rate_interval", "5m")
        rules.append({"record": f"q{index}", "expr": query})
        names = re.findall(r"\b(?:tryon|vton|gpu)_\w+", query)
        expect(names, f"a query asks for nothing of ours: {query}")
        for name in names:
            expect(name in figures, f"`{name}` is no figure: {query}")
        asked.update(names)
        known = added.union(*(figures[name] for name in names))
        used = re.findall(r'(\w+)(?:=~|!~|!=|=)"', query)
        used += re.findall(r"[\w]+", " ".join(re.findall(r"\b(?:by|on) \(([^)]*)\)", query)))
        for label in used:
            expect(label in known, f"`{label}` is no label of {names}: {query}")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump({"groups": [{"name": "queries", "rules": rules}]}, file)
        file.flush()
        run("promtool", "check", "rules", file.name)
    run("promtool", "check", "rules", "prometheus/alerts.yaml")
    run("promtool", "test", "rules", "prometheus/alerts.test.yaml")
    run("promtool", "check", "config", "--syntax-only", "prometheus/prometheus.yaml")
    of = lambda name: re.sub(r"_(bucket|sum|count)$", "", name)
    unseen = {of(name) for name in figures} - {of(name) for name in asked}
    expect(not unseen, f"no dashboard shows {sorted(unseen)}")


def main():
    binary = Path(sys.argv[1]).resolve()
    check_image()
    services = check_compose()
    rendered = check_chart()
    check_units()
    check_configs(binary, services, rendered)
    check_queries(read_figures(binary), rendered)
    print("what deploy/ says holds")


main()
