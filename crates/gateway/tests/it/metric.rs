//! What a gateway tells of itself.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::json;
use tryon_core::{
    error::JobErrorCode,
    job::{JobState, SampleState},
};
use tryon_testkit::fake_node::{Outcome, Reaction};

use crate::stage::{Answer, TestApp, result};

async fn read(app: &TestApp) -> String {
    let url = format!("http://{}/metrics", app.gateway.internal_addr());
    let answer = Answer::to(app.http.get(url)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let kind = answer.header("content-type");
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    answer.text
}

#[track_caller]
fn has(text: &str, name: &str, value: u32) {
    let line = format!("tryon_gateway_{name} {value}");
    assert!(text.lines().any(|it| it == line), "{line}\n{text}");
}

#[tokio::test]
async fn what_happened_is_counted_and_names_nobody() {
    let app = TestApp::start().await;
    app.node.script([Reaction::Report(result())]);
    let job = app.submit(json!({})).await;
    app.wait_for_outputs(job).await;
    let error = Outcome::error(JobErrorCode::PoseError, "nobody is there", false);
    app.node.script([Reaction::Report(error)]);
    let failed = app.submit(json!({})).await;
    app.wait_for_failure(failed).await;
    let running = app.submit(json!({})).await;
    app.wait_for_sample(running, SampleState::Running).await;
    let waiting = app.submit(json!({"num_samples": 2})).await;
    app.wait_for_state(waiting, JobState::Prepared).await;
    app.clock.advance(Duration::from_secs(7));
    app.get("/nowhere").await;

    let text = read(&app).await;
    let route = r#"route="/api/v1/tryon/clothes",method="POST",status="200""#;
    has(&text, &format!("requests_total{{{route}}}"), 4);
    let nowhere = r#"route="none",method="GET",status="404""#;
    has(&text, &format!("requests_total{{{nowhere}}}"), 1);
    has(&text, r#"inference_seconds_count{provider="preview"}"#, 1);
    has(
        &text,
        r#"dispatch_wait_seconds_count{provider="preview"}"#,
        3,
    );
    let pose = r#"provider="preview",error="PoseError""#;
    has(&text, &format!("failed_attempts_total{{{pose}}}"), 1);
    has(&text, r#"queue_samples{provider="preview"}"#, 2);
    has(&text, r#"queue_samples{provider="qwen"}"#, 0);
    has(&text, r#"queue_age_seconds{provider="preview"}"#, 7);
    has(&text, r#"nodes{state="busy"}"#, 1);
    has(&text, r#"nodes{state="ready"}"#, 0);
    has(&text, r#"results_total{outcome="delivered"}"#, 1);
    has(&text, r#"results_total{outcome="failed"}"#, 1);
    // What did not happen yet is there, for rates to grow from.
    has(&text, r#"results_total{outcome="passed-over"}"#, 0);
    has(&text, r#"webhook_tries_total{outcome="gone"}"#, 0);
    let late = r#"provider="qwen",error="Timeout""#;
    has(&text, &format!("failed_attempts_total{{{late}}}"), 0);
    has(&text, r#"inference_seconds_count{provider="qwen"}"#, 0);
    has(&text, r#"trace_spans_total{outcome="dropped"}"#, 0);
    has(&text, r#"credits{part="purchased"}"#, 99);
    has(&text, r#"credits{part="reserved"}"#, 3);
    let account = app.owner.account.to_string();
    for known in [&app.owner.key, &account, &job.to_string()] {
        assert!(!text.contains(known), "{text}");
    }
}

/// The published parser is strict: names, types, units, order and end.
#[tokio::test]
async fn the_published_parser_takes_it() {
    let app = TestApp::start().await;
    app.node.script([Reaction::Report(result())]);
    let job = app.submit(json!({})).await;
    app.wait_for_outputs(job).await;
    let text = read(&app).await;
    let clients = std::env::var("TRYON_TEST_CLIENTS");
    let clients =
        clients.expect("the published parser is needed: run ./test.sh, which installs it");
    let script = "import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
print(sorted(family.name for family in parse(sys.stdin.read())))";
    let mut python = Command::new("python3")
        .args(["-c", script])
        .env("PYTHONPATH", format!("{clients}/prometheus-client-0.26.0"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = python.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let said = python.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{errors}\n{text}");
    let families = String::from_utf8(said.stdout).unwrap();
    assert!(
        families.contains("tryon_gateway_dispatch_wait_seconds"),
        "{families}"
    );
}
