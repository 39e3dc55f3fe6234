//! The engine's process ends, and the node does not.

use std::{
    fs,
    time::{Duration, Instant},
};

use insta::assert_json_snapshot;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tryon_testkit::receiver::Delivery;

use crate::{
    form::Form,
    stage::{Stage, supervise_with, until},
};

/// Longer than a test may take: whatever waits for it was told instead.
const NEVER: Duration = Duration::from_hours(1);

async fn assert_works(stage: &Stage, job_id: &str) {
    stage.wait_for("/test", |it| it["status"] == "hot").await;
    stage.submit(&Form::tryon(job_id)).await;
    let result = stage.result().await;
    assert_eq!(result.text("job_id"), job_id);
    assert!(result.parts.contains_key("output_image"));
}

fn assert_crashed(result: &Delivery, job_id: &str, reason: &str) {
    assert_eq!(result.text("job_id"), job_id);
    assert_eq!(
        result.text("error"),
        format!("the engine crashed: {reason}")
    );
    assert_eq!(result.text("error_name"), "ProcessingError");
    assert_eq!(result.text("retryable"), "true");
    assert!(!result.parts.contains_key("output_image"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_engine_dies_ends_at_once_and_the_next_one_succeeds() {
    let stage = Stage::start().await;
    let deaths = [
        ("crash", "the worker was ended by signal 11"),
        // What the system does to a process that took all memory.
        ("kill", "the worker was ended by signal 9"),
        ("exit:3", "the worker exited with status 3"),
        ("fault:no device", "the engine failed: no device"),
    ];
    for (word, reason) in deaths {
        stage.submit(&Form::tryon(word).doing(word)).await;
        assert_crashed(&stage.result().await, word, reason);
        stage.receiver.next("/job_complete").await;
        assert_works(&stage, &format!("after {word}")).await;
        stage.receiver.next("/job_complete").await;
    }
}

/// This is no measure of speed: the second is a promise to whoever waits for the result.
#[tokio::test(flavor = "multi_thread")]
async fn the_death_of_an_engine_is_told_within_a_second() {
    let stage = Stage::start().await;
    stage.submit(&Form::tryon("job").doing("sleep:60000")).await;
    let pid = stage.supervisor.pid().unwrap();
    let killed = Instant::now();
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
    let result = stage.result().await;
    let took = killed.elapsed();
    assert_crashed(&result, "job", "the worker was ended by signal 9");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_aborts_or_panics_leaves_its_words() {
    let stage = Stage::start().await;
    for (word, told) in [("abort", "signal 6"), ("panic", "asked to panic")] {
        stage.submit(&Form::tryon(word).doing(word)).await;
        let error = stage.result().await.text("error");
        assert!(error.starts_with("the engine crashed: "), "{error}");
        assert!(error.contains(told), "{error}");
        assert_works(&stage, &format!("after {word}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_engine_died_says_loading_and_then_hot() {
    // Workers load when this file is there: the test decides when that is.
    let dir = tempfile::tempdir().unwrap();
    let gate = dir.path().join("gate");
    fs::write(&gate, "").unwrap();
    let load = format!("load-when:{}", gate.display());
    let stage = Stage::start_loading(&load, |_| {}).await;
    stage.wait_loaded().await;
    fs::remove_file(&gate).unwrap();

    stage.submit(&Form::tryon("job").doing("kill")).await;
    // The result does not wait for the next engine.
    let reason = "the worker was ended by signal 9";
    assert_crashed(&stage.result().await, "job", reason);
    let health = stage.get("/health").await;
    assert_eq!(
        (health.status, &health.json()["model_loaded"]),
        (200, &json!(false))
    );
    let test = stage.get("/test").await.json();
    assert_eq!(
        (&test["status"], &test["model_type"]),
        (&json!("loading"), &json!("fake"))
    );
    assert_eq!(stage.get("/gpu/status").await.json()["busy"], false);
    // "Busy" never stands for "dead".
    let answer = stage.tryon(&Form::tryon("next")).await;
    assert_eq!(
        (answer.status, answer.detail().as_str()),
        (503, "Models not loaded yet")
    );

    fs::write(&gate, "").unwrap();
    assert_works(&stage, "next").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_engine_that_is_killed_is_replaced() {
    let stage = Stage::start().await;
    let pid = stage.supervisor.pid().unwrap();
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
    until("the worker is not replaced", async || {
        let present = stage.supervisor.pid();
        present.is_some_and(|present| present != pid).then_some(())
    })
    .await;
    assert_works(&stage, "next").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_ten_crashes_the_engine_is_given_up_until_it_is_told() {
    let supervisor = supervise_with("ok", |config| {
        (config.crash_window, config.back_off) = (NEVER, NEVER);
    });
    let stage = Stage::start_on(supervisor, |_| {}).await;
    for number in 1..=10 {
        stage.wait_for("/test", |it| it["status"] == "hot").await;
        let job_id = format!("job-{number}");
        stage.submit(&Form::tryon(&job_id).doing("kill")).await;
        assert_eq!(stage.result().await.text("job_id"), job_id);
    }
    let test = stage.wait_for("/test", |it| it["status"] == "failed").await;
    assert_json_snapshot!(test, @r#"
    {
      "status": "failed",
      "model_loaded": false,
      "node_id": "node-under-test",
      "model_type": "fake",
      "reason": "the worker was ended by signal 9"
    }
    "#);
    assert_eq!(stage.get("/health").await.status, 200);
    let answer = stage.tryon(&Form::tryon("job-11")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.detail(),
        "Models not loaded yet: the engine was given up: the worker was ended by signal 9"
    );

    stage.supervisor.restart();
    assert_works(&stage, "job-12").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_was_given_up_is_tried_again_by_itself() {
    let supervisor = supervise_with("ok", |config| {
        config.crash_limit = 1;
        config.back_off = Duration::from_millis(1);
    });
    let stage = Stage::start_on(supervisor, |_| {}).await;
    stage.wait_loaded().await;
    stage.submit(&Form::tryon("job").doing("kill")).await;
    stage.result().await;
    assert_works(&stage, "next").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_cannot_be_loaded_says_why() {
    let supervisor = supervise_with("load-fail", |config| config.back_off = NEVER);
    let stage = Stage::start_on(supervisor, |_| {}).await;
    let test = stage.wait_for("/test", |it| it["status"] == "failed").await;
    assert_eq!(test["reason"], "the engine failed: the weights are missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_hangs_is_ended_with_its_engine() {
    let supervisor = supervise_with("ok", |config| {
        config.job_timeout = Duration::from_secs(1);
    });
    let stage = Stage::start_on(supervisor, |_| {}).await;
    stage.wait_loaded().await;
    stage.submit(&Form::tryon("job").doing("hang")).await;
    let result = stage.result().await;
    assert_eq!(result.text("error"), "no result after 1 s");
    assert_eq!(result.text("error_name"), "Timeout");
    assert_eq!(result.text("retryable"), "false");
    assert_works(&stage, "next").await;
}
