//! Every row of the node's contract, as it is on the wire.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use insta::{assert_json_snapshot, assert_snapshot};
use reqwest::Method;
use serde_json::{Value, json};
use tryon_testkit::receiver::Delivery;

use crate::{
    form::Form,
    stage::{BALANCER_TOKEN, CALLBACK_TOKEN, Stage, send},
};

/// A result's parts; files by their name, type and first bytes.
fn parts(delivery: &Delivery) -> Value {
    let describe = |part: &tryon_testkit::receiver::Part| match &part.file_name {
        Some(name) => json!({
            "file": name,
            "type": part.content_type,
            "starts": String::from_utf8_lossy(&part.bytes[..4]),
        }),
        None => json!(String::from_utf8_lossy(&part.bytes)),
    };
    delivery
        .parts
        .iter()
        .map(|(name, part)| (name.clone(), describe(part)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_accepted_and_its_picture_delivered() {
    let stage = Stage::start().await;
    let answer = stage.tryon(&Form::tryon("job-12345")).await;
    assert_eq!(answer.status, 202);
    assert_json_snapshot!("accepted", answer.json());

    let result = stage.result().await;
    assert_eq!(result.headers["x-internal-auth"], CALLBACK_TOKEN);
    assert!(
        result.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("multipart/form-data")
    );
    assert_json_snapshot!("result", parts(&result), { ".inference_time_ms" => "[ms]" });
    let file = &result.parts["output_image"].bytes;
    let picture = image::load_from_memory(file).unwrap();
    assert_eq!((picture.width(), picture.height()), (48, 64));
    let texts = tryon_picture::read_text(file);
    assert_eq!(texts, [("Comment".to_owned(), "a test double".to_owned())]);

    let complete = stage.receiver.next("/job_complete").await;
    assert_eq!(complete.headers["x-internal-auth"], BALANCER_TOKEN);
    let body: Value = serde_json::from_slice(&complete.body).unwrap();
    assert_json_snapshot!("job_complete", body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_delivered_as_a_form_too() {
    let stage = Stage::start().await;
    let jobs = [
        ("refuse:pose", "pose"),
        ("refuse:moderation", "moderation"),
        ("refuse:input", "input"),
        ("oom", "memory"),
    ];
    for (prompt, job_id) in jobs {
        stage.submit(&Form::tryon(job_id).doing(prompt)).await;
        let result = stage.result().await;
        assert_eq!(result.text("job_id"), job_id);
        let redactions = insta::dynamic_redaction(|_, _| "[ms]");
        assert_json_snapshot!(format!("failure-{job_id}"), parts(&result), {
            ".inference_time_ms" => redactions
        });
        stage.receiver.next("/job_complete").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_node_says_when_to_come_again() {
    let stage = Stage::start().await;
    stage
        .submit(&Form::tryon("first").doing("sleep:60000"))
        .await;
    let answer = stage.tryon(&Form::tryon("second")).await;
    assert_eq!(answer.status, 429);
    let body = answer.json();
    assert_eq!(
        answer.header("retry-after"),
        body["retry_after"].to_string()
    );
    assert_json_snapshot!("busy", body);

    let answer = stage.infer(&Form::infer()).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), "5");
    assert_json_snapshot!("busy-infer", answer.json());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_is_learned_from_the_job_itself() {
    let stage = Stage::start().await;
    let config = json!({"prompt": "step-sleep:400", "steps": 100});
    stage.submit(&Form::tryon("slow").config(&config)).await;
    stage.wait_for_pace().await;
    // Fewer than 98 steps of 0.4 s remain, each longer on a machine that is busy.
    let wait = stage.tryon(&Form::tryon("next")).await.json()["retry_after"]
        .as_u64()
        .unwrap();
    assert!((20..200).contains(&wait), "{wait}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_guards_what_uses_the_device() {
    let stage = Stage::start().await;
    let guarded = [
        (Method::POST, "/tryon"),
        (Method::POST, "/infer"),
        (Method::DELETE, "/tryon/job"),
        (Method::GET, "/gpu/status"),
    ];
    for (method, path) in guarded {
        for token in [None, Some(""), Some("wrong"), Some("incoming-token ")] {
            let mut request = stage.request(method.clone(), path);
            if let Some(token) = token {
                request = request.header("x-internal-auth", token.replace(' ', "x"));
            }
            let answer = send(request).await;
            assert_eq!(answer.status, 401, "{method} {path} {token:?}");
            assert_eq!(answer.json(), json!({"detail": "Unauthorized"}));
        }
    }
    for path in ["/health", "/test", "/version", "/metrics"] {
        assert_eq!(
            send(stage.request(Method::GET, path)).await.status,
            200,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_can_be_waived() {
    let stage = Stage::start_with(|config| config.security.require_auth = false).await;
    assert_eq!(
        send(stage.request(Method::GET, "/gpu/status")).await.status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loading_node_says_so() {
    let stage = Stage::start_loading("load-sleep:60000", |_| {}).await;
    for path in ["/tryon", "/infer"] {
        let answer = send(stage.posting(path, &Form::tryon("job"))).await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.json(), json!({"detail": "Models not loaded yet"}));
    }
    let bodies = json!({
        "health": stage.get("/health").await.json(),
        "test": stage.get("/test").await.json(),
        "version": stage.get("/version").await.json(),
    });
    assert_json_snapshot!("loading", bodies, { ".version.git_commit" => "[commit]" });
}

/// Of a status everything but the GPU, which is there on a machine that has one.
fn without_gpu(mut status: Value) -> Value {
    status.as_object_mut().unwrap().remove("gpu");
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_node_describes_itself() {
    let stage = Stage::start().await;
    let bodies = json!({
        "health": stage.get("/health").await.json(),
        "test": stage.get("/test").await.json(),
        "version": stage.get("/version").await.json(),
        "gpu_status": without_gpu(stage.get("/gpu/status").await.json()),
        "metrics": stage.get("/metrics").await.json(),
    });
    assert_json_snapshot!("hot", bodies, {
        ".version.git_commit" => "[commit]",
        ".metrics.gpu_memory_used_bytes" => "[bytes]",
        ".metrics.gpu_utilization_percent" => "[percent]",
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_node_tells_how_far_it_is() {
    let stage = Stage::start().await;
    let config = json!({"prompt": "step-sleep:200", "steps": 100});
    stage.submit(&Form::tryon("job-1").config(&config)).await;
    stage.wait_for_pace().await;
    let status = without_gpu(stage.get("/gpu/status").await.json());
    assert_json_snapshot!("gpu-status-busy", status, {
        ".progress.step" => "[step]",
        ".eta_ms" => "[ms]",
    });
    assert_eq!(stage.get("/test").await.json()["status"], "hot");
    assert_eq!(stage.get("/health").await.json()["model_loaded"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_cancelled_at_its_next_step() {
    let stage = Stage::start().await;
    let config = json!({"prompt": "step-sleep:50", "steps": 100});
    stage.submit(&Form::tryon("job/1 ü").config(&config)).await;
    stage.wait_for_pace().await;

    let answer = stage.delete("/tryon/other").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.detail(), "no job `other` is running");

    let answer = stage.delete("/tryon/job%2F1%20%C3%BC").await;
    assert_eq!(answer.status, 202);
    assert_json_snapshot!("cancelling", answer.json());
    let result = stage.result().await;
    assert_eq!(result.text("error"), "cancelled");
    assert_eq!(result.text("error_name"), "Cancelled");
    assert_eq!(result.text("retryable"), "false");
    assert_eq!(stage.delete("/tryon/job%2F1%20%C3%BC").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_are_served_or_refused_and_never_swapped() {
    let stage = Stage::start().await;
    let answer = stage
        .tryon(&Form::tryon("a").set("provider", "invalid_provider"))
        .await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.json(),
        json!({"detail": "Invalid provider: invalid_provider"})
    );

    let answer = stage.tryon(&Form::tryon("b").set("provider", "qwen")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.detail(),
        "Models not loaded yet: `qwen` is not what this node runs, it runs preview"
    );
    let hairstyle = json!({"task": "hairstyle", "haircut": "BobCut"});
    let answer = stage.tryon(&Form::tryon("c").config(&hairstyle)).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.detail(),
        "`config.task` is `hairstyle`, which the loaded engine does not offer; \
         it offers clothes, tattoo"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_in_both_forms() {
    let stage = Stage::start().await;
    stage.submit(&Form::tryon("good")).await;
    stage.result().await;
    stage.submit(&Form::tryon("bad").doing("refuse:pose")).await;
    stage.result().await;
    stage.tryon(&Form::tryon("worse").without("user_id")).await;
    // What was delivered is counted when the receiver's answer was read, and removed then.
    stage.wait_for_empty_spool().await;

    let body = stage.get("/metrics").await.json();
    assert_eq!(body["vton_inference_count"], 1);
    assert_eq!(body["vton_inference_errors_total"], 1);
    assert!(body["vton_inference_latency_ms"].as_f64().unwrap() > 0.0);

    // What a Prometheus server sends.
    let accept = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.6";
    let answer = send(
        stage
            .request(Method::GET, "/metrics")
            .header("accept", accept),
    )
    .await;
    assert!(
        answer
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    let text = String::from_utf8(answer.bytes).unwrap();
    // Of a GPU they are there where there is one.
    let others = ["_bucket", "_sum", "tryon_node_gpu_"];
    let is_shape = |line: &&str| !others.iter().any(|other| line.contains(other));
    let mut shape: Vec<_> = text.lines().filter(is_shape).collect();
    // Those of one family come in any order.
    for family in shape.chunk_by_mut(|a, b| !a.starts_with('#') && !b.starts_with('#')) {
        family.sort_unstable();
    }
    insta::with_settings!({filters => vec![
        (r"(?m)^(gpu_\w+) \d+$", "$1 [value]"),
    ]}, {
        assert_snapshot!("exposition", shape.join("\n"));
    });
    let plain = send(
        stage
            .request(Method::GET, "/metrics")
            .header("accept", "text/plain"),
    )
    .await;
    assert_eq!(
        plain.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
}

/// Gives `text` to a program, which must take it.
fn give(command: &mut Command, text: &str) -> String {
    let mut program = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} is needed, see ./test.sh: {error}"));
    let mut stdin = program.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let said = program.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&said.stderr);
    assert!(
        said.status.success() && errors.is_empty(),
        "{errors}\n{text}"
    );
    String::from_utf8(said.stdout).unwrap()
}

/// What a machine with a GPU adds to a node's figures, as a unit test has it, in both forms.
const GPU_FIGURES: [&str; 2] = [
    include_str!("../../src/gpu/snapshots/tryon_node__gpu__figure__tests__open.snap"),
    include_str!("../../src/gpu/snapshots/tryon_node__gpu__figure__tests__older.snap"),
];

/// The published parsers are strict: names, types, units, order and end. They take a node's figures
/// before anything was counted, and after; and there are the same ones then. So they do
/// those of a GPU.
#[tokio::test(flavor = "multi_thread")]
async fn the_published_parsers_take_both_forms() {
    let clients = std::env::var("TRYON_TEST_CLIENTS");
    let clients =
        clients.expect("the published parser is needed: run ./test.sh, which installs it");
    let stage = Stage::start().await;
    let read = async |accept: &str| {
        let request = stage.request(Method::GET, "/metrics");
        let answer = send(request.header("accept", accept)).await;
        let text = String::from_utf8(answer.bytes).unwrap();
        // Where there is a GPU, they are there once it has been read.
        let lines = text.split_inclusive('\n');
        let others = lines.filter(|line| !line.contains("tryon_node_gpu_"));
        others.collect::<String>()
    };
    let parse = |module: &str, text: &str| {
        let script = format!(
            "import sys
from prometheus_client.{module} import text_string_to_metric_families as parse
told = [(family.type, sample) for family in parse(sys.stdin.read()) for sample in family.samples]
print(*sorted(f'{{kind}} {{it.name}} {{sorted(it.labels.items())}}' for kind, it in told), sep='\\n')"
        );
        let mut python = Command::new("python3");
        let path = format!("{clients}/prometheus-client-0.26.0");
        give(python.args(["-c", &script]).env("PYTHONPATH", path), text)
    };
    let parse_strictly = |open: &str, older: &str| {
        give(Command::new("promtool").args(["check", "metrics"]), older);
        let (open, older) = (parse("openmetrics.parser", open), parse("parser", older));
        assert_eq!(open, older, "the two forms tell different things");
        open
    };
    let [open, older] = GPU_FIGURES.map(|file| file.splitn(3, "---\n").nth(2).unwrap());
    let of_gpu = parse_strictly(&format!("{open}# EOF\n"), older);
    assert_eq!(of_gpu.lines().count(), 13, "{of_gpu}");
    let read_strictly = async || {
        let open = read("application/openmetrics-text; version=1.0.0").await;
        parse_strictly(&open, &read("text/plain").await)
    };
    let before = read_strictly().await;
    for name in [
        "counter vton_inference_errors_total [('error_name', 'Timeout')]",
        "counter tryon_node_refusals_total [('reason', 'busy')]",
        "counter tryon_node_deliveries_total [('outcome', 'given_up')]",
        "counter tryon_node_trace_spans_total [('outcome', 'dropped')]",
        "histogram tryon_node_inference_stage_seconds_count [('provider', 'preview'), ('stage', 'denoise')]",
    ] {
        assert!(before.lines().any(|line| line == name), "{before}");
    }
    stage.submit(&Form::tryon("good")).await;
    stage.result().await;
    stage.submit(&Form::tryon("bad").doing("refuse:pose")).await;
    stage.result().await;
    stage.tryon(&Form::tryon("worse").without("user_id")).await;
    send(stage.request(Method::GET, "/nowhere")).await;
    send(
        stage
            .request(Method::POST, "/tryon")
            .header("x-internal-auth", "wrong"),
    )
    .await;
    assert_eq!(read_strictly().await, before);
}

/// Of the last job none is counted: it gave no picture.
#[tokio::test(flavor = "multi_thread")]
async fn the_seconds_of_each_stage_of_a_picture_are_told() {
    let stage = Stage::start().await;
    for (job, prompt) in [
        ("a", "sleep:40,step-sleep:15"),
        ("b", "sleep:40"),
        ("c", "sleep:40,refuse:pose"),
    ] {
        stage.wait_for_slot().await;
        stage.submit(&Form::tryon(job).doing(prompt)).await;
        stage.result().await;
    }
    let request = stage.request(Method::GET, "/metrics");
    let answer = send(request.header("accept", "text/plain")).await;
    let text = String::from_utf8(answer.bytes).unwrap();
    let figure = |name: &str| -> f64 {
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value
            .unwrap_or_else(|| panic!("{name}: {text}"))
            .trim()
            .parse()
            .unwrap()
    };
    let mut all = 0.0;
    for (name, least) in [
        ("encode-inputs", 0.08),
        ("denoise", 0.03),
        ("decode-latents", 0.0),
    ] {
        let labels = format!("{{provider=\"preview\",stage=\"{name}\"}}");
        let of = |part| format!("tryon_node_inference_stage_seconds_{part}{labels}");
        assert_eq!(stage.figure(&of("count")).await, 2, "{name}");
        let seconds = figure(&of("sum"));
        assert!(seconds >= least, "{name}: {seconds}");
        all += seconds;
    }
    assert!(
        all <= figure("vton_inference_latency_seconds_sum"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_are_told_to_whom_the_job_names() {
    let stage = Stage::start().await;
    let url = stage.receiver.url("/progress");
    let config = json!({"prompt": "step-sleep:20", "steps": 3, "progress_url": url});
    stage.submit(&Form::tryon("job-1").config(&config)).await;
    let mut last = 0;
    while last < 3 {
        let progress = stage.receiver.next("/progress").await;
        assert_eq!(progress.headers["x-internal-auth"], CALLBACK_TOKEN);
        let body: Value = serde_json::from_slice(&progress.body).unwrap();
        assert_eq!(
            (&body["job_id"], &body["steps"]),
            (&json!("job-1"), &json!(3))
        );
        let step = body["step"].as_u64().unwrap();
        assert!(step > last, "{step} after {last}");
        last = step;
    }
    assert_eq!(stage.result().await.text("job_id"), "job-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_not_sent_to_strangers() {
    let stage = Stage::start().await;
    let stranger = tryon_testkit::receiver::Receiver::start().await;
    let config = json!({"steps": 1, "progress_url": stranger.url("/steps")});
    stage.submit(&Form::tryon("job-1").config(&config)).await;
    assert!(
        !stranger
            .next("/steps")
            .await
            .headers
            .contains_key("x-internal-auth")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jpeg_is_delivered_when_asked_for() {
    let stage = Stage::start().await;
    stage
        .submit(&Form::tryon("job-1").config(&json!({"output_format": "jpeg"})))
        .await;
    let result = stage.result().await;
    assert_json_snapshot!("result-jpeg", parts(&result)["output_image"]);
    let texts = tryon_picture::read_text(&result.parts["output_image"].bytes);
    assert_eq!(
        texts,
        [("Comment".to_owned(), "Comment: a test double".to_owned())]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_answered_in_the_same_form() {
    let stage = Stage::start().await;
    let answer = stage.get("/nowhere").await;
    assert_eq!(
        (answer.status, answer.detail().as_str()),
        (404, "Not Found")
    );
    let answer = send(stage.request(Method::POST, "/health")).await;
    assert_eq!(
        (answer.status, answer.detail().as_str()),
        (405, "Method Not Allowed")
    );
}
