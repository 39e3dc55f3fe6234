//! Traces as an operator has them: real processes, and a collector that reads what they send.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    canary::{self, canary, holds, middle},
    cluster::{Cluster, submission},
    collector::{Collector, Span},
    process::{PATIENCE, Service, errors, example, fail, http, tryon},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT: &str = "b7ad6b7169203331";
const COLLECTOR_KEY: &str = "a-key-of-the-collector";

/// What every job of one picture is made of: each span, whose it is, and what it follows.
const CHAIN: [(&str, &str, &str); 16] = [
    ("POST /api/v1/tryon/clothes", "tryon-gateway", ""),
    ("submit", "tryon-gateway", "POST /api/v1/tryon/clothes"),
    ("prepare", "tryon-gateway", "submit"),
    ("decode", "tryon-gateway", "prepare"),
    ("queue", "tryon-gateway", "submit"),
    ("dispatch", "tryon-gateway", "submit"),
    ("POST /tryon", "tryon-node", "dispatch"),
    ("inference", "tryon-node", "POST /tryon"),
    ("read-garment", "tryon-node", "inference"),
    ("read-person", "tryon-node", "inference"),
    ("dress", "tryon-node", "inference"),
    ("encode", "tryon-node", "POST /tryon"),
    ("spool", "tryon-node", "POST /tryon"),
    ("deliver", "tryon-node", "POST /tryon"),
    ("POST /internal/v1/results", "tryon-gateway", "deliver"),
    ("settle", "tryon-gateway", "POST /internal/v1/results"),
];

fn parent(flags: &str) -> String {
    format!("00-{TRACE}-{CLIENT}-{flags}")
}

fn traced_cluster(collector: &Collector) -> Cluster {
    let mut cluster = Cluster::new();
    cluster.tell("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    let headers = format!("x-collector-key={COLLECTOR_KEY}");
    cluster.tell("OTEL_EXPORTER_OTLP_HEADERS", &headers);
    cluster
}

fn submit(cluster: &Cluster, body: &Value, flags: &str) -> String {
    let request = cluster.request(Method::POST, "/api/v1/tryon/clothes");
    let request = request.header("idempotency-key", canary::ORDER);
    let request = request.header("traceparent", parent(flags)).json(body);
    let answer: Value = request.send().unwrap().json().unwrap();
    let id = answer["id"].as_str();
    id.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn of_trace(spans: &[Span], trace: &str) -> Vec<Span> {
    spans
        .iter()
        .filter(|it| it.trace == trace)
        .cloned()
        .collect()
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|it| it.name == name).collect()
}

/// Whether every span of a job is there.
fn is_whole(spans: &[Span], trace: &str) -> bool {
    let spans = of_trace(spans, trace);
    CHAIN
        .iter()
        .all(|(name, ..)| !named(&spans, name).is_empty())
}

/// Each span is its service's and follows what it came of.
#[track_caller]
fn assert_chain(spans: &[Span]) {
    for (name, service, after) in CHAIN {
        for span in named(spans, name) {
            assert_eq!(span.service, service, "{span:#?}");
            let parent = spans.iter().find(|it| it.id == span.parent);
            match parent {
                Some(parent) => assert_eq!(parent.name, after, "{span:#?}"),
                None => assert_eq!((span.parent.as_str(), after), (CLIENT, ""), "{span:#?}"),
            }
        }
    }
}

/// The stages of the inference, in this order, are in it, and each begins where the one before ends.
#[track_caller]
fn assert_stages(spans: &[Span], order: &[&str]) {
    let inference = named(spans, "inference")[0];
    let (mut from, end) = (inference.began, inference.began + inference.nanos);
    for (index, name) in order.iter().enumerate() {
        let stage = named(spans, name)[0];
        assert_eq!(stage.parent, inference.id, "{stage:#?}");
        let follows = stage.began == from || (index == 0 && stage.began > from);
        assert!(follows, "{stage:#?} of {inference:#?}");
        from = stage.began + stage.nanos;
        assert!(from <= end, "{stage:#?} of {inference:#?}");
    }
}

/// A receiver of webhooks; gives its address.
fn receive_webhooks() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = client.read(&mut vec![0; 64 * 1024]);
            let _ = client.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        }
    });
    format!("http://{address}/told?token={}", canary::QUERY)
}

#[test]
fn a_job_is_one_trace_through_both_processes_and_tells_no_secret() {
    let collector = Collector::start();
    let mut cluster = traced_cluster(&collector);
    cluster.start_node(None);
    cluster.start_gateway(None);
    let picture = canary();
    let garment = fs::read(example("garment-tee.jpg")).unwrap();
    let garment = BASE64_STANDARD.encode(garment);
    let mut body = submission();
    body["model_image"] = canary::serve(picture.clone()).into();
    body["garment_image"] = format!("data:image/jpeg;base64,{garment}").into();
    body["end_user_id"] = canary::PERSON.into();
    body["webhook_url"] = receive_webhooks().into();
    let job = submit(&cluster, &body, "01");
    assert_eq!(cluster.wait(&job)["status"], "completed");
    let spans = collector.wait_for("the job's spans", |spans| {
        is_whole(spans, TRACE) && spans.iter().any(|it| it.name == "webhook")
    });

    let own = of_trace(&spans, TRACE);
    assert_chain(&own);
    // Of this picture one was fetched and one came along.
    let names: BTreeSet<_> = CHAIN.iter().map(|(name, ..)| *name).collect();
    for span in &own {
        let count = if span.name == "decode" { 2 } else { 1 };
        assert_eq!(named(&own, &span.name).len(), count, "{own:#?}");
        let known = names.contains(&*span.name);
        assert!(
            known || ["fetch", "read", "webhook"].contains(&&*span.name),
            "{span:#?}"
        );
        assert!(!span.failed, "{span:#?}");
        assert!(Duration::from_nanos(span.nanos) < PATIENCE, "{span:#?}");
    }
    let only = |name: &str| named(&own, name)[0];
    for (name, after) in [
        ("fetch", "prepare"),
        ("read", "prepare"),
        ("webhook", "submit"),
    ] {
        assert_eq!(only(name).parent, only(after).id);
    }
    // Nothing of it is anywhere else.
    let elsewhere = spans.iter().filter(|it| it.trace != TRACE);
    let elsewhere: Vec<_> = elsewhere
        .filter(|it| it.attributes.values().any(|value| value.contains(&job)))
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");

    assert_eq!(only("submit").attributes["tryon.job.id"], job);
    let server = only("POST /api/v1/tryon/clothes");
    assert_eq!(server.kind, SpanKind::Server);
    assert_eq!(server.attributes["http.response.status_code"], "200");
    let dispatch = only("dispatch");
    assert_eq!(dispatch.kind, SpanKind::Client);
    let told = [
        "tryon.node",
        "tryon.attempt",
        "tryon.provider",
        "tryon.answer",
    ];
    let told = told.map(|key| dispatch.attributes[key].as_str());
    assert_eq!(told, ["node", "1", "preview", "accepted"]);
    let inference = only("inference");
    let steps = &inference.attributes["tryon.steps"];
    let (last, at) = inference.events.last().unwrap();
    assert_eq!(
        (last.as_str(), &at["tryon.step"]),
        ("step", &at["tryon.steps"]),
        "{steps}"
    );
    assert_stages(&own, &["read-garment", "read-person", "dress"]);
    assert_eq!(only("settle").attributes["tryon.outcome"], "delivered");
    assert_eq!(
        only("webhook").attributes["http.response.status_code"],
        "204"
    );

    let text = BASE64_STANDARD.encode(&picture);
    let secrets: [&[u8]; 11] = [
        cluster.key().as_bytes(),
        canary::QUERY.as_bytes(),
        canary::PERSON.as_bytes(),
        canary::ORDER.as_bytes(),
        canary::EXIF.as_bytes(),
        &middle(&picture),
        &middle(text.as_bytes()),
        &middle(garment.as_bytes()),
        b"a-node-token-of-a-test",
        b"a-callback-token-of-a-test",
        COLLECTOR_KEY.as_bytes(),
    ];
    let bytes = collector.bytes();
    assert!(holds(&bytes, job.as_bytes()));
    for secret in secrets {
        let secret_text = String::from_utf8_lossy(secret);
        assert!(!holds(&bytes, secret), "{secret_text} is told");
    }
    let head = collector.heads().remove(0);
    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    let key = format!("x-collector-key: {COLLECTOR_KEY}");
    assert!(
        head.contains(&key) && head.contains("application/x-protobuf"),
        "{head}"
    );
}

#[test]
fn a_trace_goes_on_after_node_and_gateway_were_started_anew_with_a_result_to_deliver() {
    let collector = Collector::start();
    let mut cluster = traced_cluster(&collector);
    // The result of an attempt is late, and the attempt is not given up for that.
    cluster.configure("gateway.yaml", |config| config["jobs"]["lease"] = 60.into());
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://{}/", nowhere.local_addr().unwrap());
    let mut receiver = Value::Null;
    cluster.configure("node.yaml", |config| {
        let url = &mut config["asset_service"]["callback_url"];
        receiver = url.take();
        *url = nowhere.into();
    });
    cluster.start_node(None);
    cluster.start_gateway(None);
    let job = submit(&cluster, &submission(), "01");
    collector.wait_for("a try to deliver", |spans| {
        let tries = named(spans, "deliver");
        tries.iter().any(|it| it.failed)
    });
    for service in [&mut cluster.node, &mut cluster.gateway] {
        let mut service = service.take().unwrap();
        service.signal(Signal::TERM);
        assert_eq!(service.wait(), 0);
    }
    cluster.configure("node.yaml", |config| {
        config["asset_service"]["callback_url"] = receiver;
    });
    cluster.start_gateway(None);
    cluster.start_node(None);
    assert_eq!(cluster.wait(&job)["status"], "completed");
    let spans = collector.wait_for("the job's spans", |spans| {
        let delivered = named(spans, "deliver").iter().any(|it| !it.failed);
        delivered && is_whole(spans, TRACE)
    });
    let own = of_trace(&spans, TRACE);
    assert_chain(&own);
    let tries = named(&own, "deliver");
    let (failed, taken): (Vec<_>, Vec<_>) = tries.into_iter().partition(|it| it.failed);
    assert!(!failed.is_empty());
    assert_eq!(taken.len(), 1, "{own:#?}");
    for name in ["inference", "dispatch", "settle"] {
        assert_eq!(named(&own, name).len(), 1, "{own:#?}");
    }
}

#[test]
fn a_node_that_was_killed_tells_of_its_result_in_the_same_trace() {
    let collector = Collector::start();
    let mut cluster = traced_cluster(&collector);
    cluster.start_node(Some("node::after-spool"));
    cluster.start_gateway(None);
    let job = submit(&cluster, &submission(), "01");
    crate::cluster::wait_killed(&mut cluster.node);
    let spooled = spooled_trace(&cluster.folder().join("data/spool/results"));
    cluster.start_node(None);
    assert_eq!(cluster.wait(&job)["status"], "completed");
    let spans = collector.wait_for("the job's spans", |spans| {
        ["deliver", "settle"]
            .iter()
            .all(|name| !named(spans, name).is_empty())
    });
    let deliver = named(&spans, "deliver")[0];
    assert_eq!(
        format!("00-{}-{}-01", deliver.trace, deliver.parent),
        spooled
    );
    let answered = named(&spans, "POST /internal/v1/results");
    assert!(
        answered.iter().any(|it| it.parent == deliver.id),
        "{spans:#?}"
    );
    let settle = named(&spans, "settle")[0];
    assert_eq!([&deliver.trace, &settle.trace], [TRACE; 2]);
}

#[test]
fn a_node_that_traces_nothing_is_missing_and_the_rest_is_one_trace() {
    let collector = Collector::start();
    let mut cluster = Cluster::new();
    cluster.start_node(None);
    cluster.tell("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    cluster.start_gateway(None);
    let job = submit(&cluster, &submission(), "01");
    assert_eq!(cluster.wait(&job)["status"], "completed");
    let spans = collector.wait_for("a settlement", |spans| !named(spans, "settle").is_empty());
    let settle = named(&spans, "settle")[0];
    assert_eq!(
        (settle.trace.as_str(), &settle.parent),
        (TRACE, &named(&spans, "submit")[0].id)
    );
    assert!(spans.iter().all(|it| it.service == "tryon-gateway"));
}

/// What the one waiting result says of its trace.
fn spooled_trace(folder: &Path) -> String {
    let file = fs::read_dir(folder).unwrap().next().unwrap().unwrap();
    let bytes = fs::read(file.path()).unwrap();
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap();
    let document: Value = serde_json::from_slice(line).unwrap();
    document["trace"].as_str().unwrap().to_owned()
}

/// `tryon serve` with these variables, and where it is.
struct Platform {
    folder: tempfile::TempDir,
    service: Service,
    url: String,
    node: String,
    key: String,
}

impl Platform {
    fn start(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = tryon(folder.path());
        let log = fs::File::create(folder.path().join("log")).unwrap();
        command.args(["serve", "--port", "0", "--log-format", "json"]);
        command.envs(variables.iter().copied()).stderr(log);
        let mut service = Service::start(&mut command);
        let url = service.read("serves on ");
        let node = service.read("  node ");
        let key = service.read("  key ");
        drop(service.read("  engine "));
        Self {
            folder,
            service,
            url,
            node,
            key,
        }
    }

    fn submit(&self, parent: Option<&str>) -> String {
        self.submit_body(&submission(), parent)
    }

    /// Uploads an example picture, and gives its address.
    fn upload(&self, name: &str) -> String {
        let request = http().post(format!("{}/api/v1/uploads", self.url));
        let request = request.header("content-type", "image/jpeg");
        let request = request
            .bearer_auth(&self.key)
            .body(fs::read(example(name)).unwrap());
        let answer: Value = request.send().unwrap().json().unwrap();
        let url = answer["url"].as_str();
        url.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    fn submit_body(&self, body: &Value, parent: Option<&str>) -> String {
        let url = format!("{}/api/v1/tryon/clothes", self.url);
        let mut request = http().post(url).bearer_auth(&self.key).json(body);
        if let Some(parent) = parent {
            request = request.header("traceparent", parent);
        }
        let answer = request.header("prefer", "wait=60").send().unwrap();
        assert_eq!(answer.status(), 200);
        let answer: Value = answer.json().unwrap();
        assert_eq!(answer["status"], "completed", "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    }

    /// What its node's figures say of spans.
    fn spans(&self, outcome: &str) -> u64 {
        let figures = http().get(format!("{}/metrics", self.node));
        let figures = figures.header("accept", "application/openmetrics-text");
        let text = figures.send().unwrap().text().unwrap();
        let name = format!("tryon_node_trace_spans_total{{outcome=\"{outcome}\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&name));
        value.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
    }

    /// Ends it, and gives what it logged.
    fn stop(mut self) -> Vec<Value> {
        self.service.signal(Signal::TERM);
        assert_eq!(self.service.wait(), 0);
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
        let lines = log.lines().filter(|line| line.starts_with('{'));
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[test]
fn an_end_sends_what_waits_and_lines_of_the_log_name_their_trace() {
    let collector = Collector::start();
    let platform = Platform::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
        ("OTEL_SERVICE_NAME", "shop"),
    ]);
    let job = platform.submit(None);
    let log = platform.stop();
    let spans = collector.spans();
    let submit = named(&spans, "submit")[0].clone();
    assert_eq!(
        (&submit.attributes["tryon.job.id"], submit.service.as_str()),
        (&job, "shop")
    );
    assert!(is_whole(&spans, &submit.trace), "{spans:#?}");
    let of_job =
        |line: &&Value| line["job"] == job.as_str() || line["attempt"] == format!("{job}-0.1");
    let traced: Vec<_> = log
        .iter()
        .filter(of_job)
        .filter(|line| line["trace_id"] == submit.trace.as_str())
        .collect();
    for message in ["accepted", "an image was delivered"] {
        assert!(
            traced.iter().any(|line| line["message"] == message),
            "{message}: {log:#?}"
        );
    }
}

#[test]
fn an_upload_is_read_and_not_fetched() {
    let collector = Collector::start();
    let platform = Platform::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())]);
    let mut body = submission();
    body["garment_image"] = platform.upload("garment-tee.jpg").into();
    platform.submit_body(&body, Some(&parent("01")));
    platform.stop();
    let spans = of_trace(&collector.spans(), TRACE);
    let counts = ["read", "fetch"].map(|name| named(&spans, name).len());
    assert_eq!(counts, [2, 0], "{spans:#?}");
}

#[test]
fn who_sends_a_trace_decides_whether_it_is_sent_on_and_nonsense_refuses_nobody() {
    let collector = Collector::start();
    let platform = Platform::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
        ("OTEL_TRACES_SAMPLER_ARG", "0"),
    ]);
    platform.submit(Some(&parent("00")));
    platform.submit(Some("00-nonsense"));
    platform.submit(None);
    platform.submit(Some(&parent("01")));
    platform.stop();
    let spans = collector.spans();
    assert!(spans.iter().all(|it| it.trace == TRACE), "{spans:#?}");
    assert_eq!(named(&spans, "inference").len(), 1, "{spans:#?}");
}

#[test]
fn a_collector_that_is_away_or_hangs_is_nothing_to_clients() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let away = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let hangs = format!("http://{}", silent.local_addr().unwrap());
    for endpoint in [&away, &hangs] {
        let platform = Platform::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]);
        for _ in 0..3 {
            platform.submit(None);
        }
        let begun = Instant::now();
        while platform.spans("failed") == 0 {
            assert!(begun.elapsed() < PATIENCE);
            thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(platform.spans("sent"), 0);
        let begun = Instant::now();
        let log = platform.stop();
        assert!(begun.elapsed() < Duration::from_secs(30));
        let said = log
            .iter()
            .filter(|line| line["message"].to_string().contains("does not take spans"));
        assert_eq!(said.count(), 1, "{log:#?}");
    }
}

#[test]
fn without_a_collector_nothing_is_traced() {
    let mut cluster = Cluster::new();
    cluster.start_node(Some("node::after-spool"));
    cluster.start_gateway(None);
    submit(&cluster, &submission(), "01");
    crate::cluster::wait_killed(&mut cluster.node);
    let results = fs::read_dir(cluster.folder().join("data/spool/results")).unwrap();
    for file in results {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(!holds(&bytes, TRACE.as_bytes()));
    }
}

#[test]
fn where_traces_cannot_go_is_told_at_the_start_and_by_the_doctor() {
    let folder = tempfile::tempdir().unwrap();
    for service in ["serve", "gateway", "node"] {
        let said = fail(
            folder.path(),
            &[service, "--traces-endpoint", "grpc://collector:4317"],
        );
        assert!(
            said.contains("`traces.endpoint` is a `grpc` address"),
            "{said}"
        );
    }
    let config = json!({"traces": {"endpoint": "http://me:s3cret@collector", "headers": "s3cret"}});
    for service in ["gateway", "node"] {
        fs::write(folder.path().join("config.yaml"), config.to_string()).unwrap();
        let output = tryon(folder.path())
            .args(["doctor", "--for", service])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout.clone()).unwrap() + errors(&output).as_str();
        for fault in [
            "`traces.endpoint` holds a user",
            "header 1 of `traces.headers`",
        ] {
            assert!(said.contains(fault), "{said}");
        }
        assert!(!said.contains("s3cret"), "{said}");
    }
}
