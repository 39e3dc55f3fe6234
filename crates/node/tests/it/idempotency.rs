//! A job that is sent again is accepted again and run once.

use futures::future::join_all;
use serde_json::json;
use tryon_node::config::Seconds;

use crate::{form::Form, stage::Stage};

/// How often the engine made a picture, as counted.
async fn pictures(stage: &Stage) -> u64 {
    let metrics = stage.get("/metrics").await.json();
    metrics["vton_inference_count"].as_u64().unwrap()
}

/// Runs another job, so that everything before it had its time, and expects nothing but it.
async fn assert_nothing_else(stage: &Stage) {
    stage.submit(&Form::tryon("last")).await;
    assert_eq!(stage.result().await.text("job_id"), "last");
    stage.wait_for_empty_spool().await;
    assert!(stage.receiver.rest("/results").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_accepted_again() {
    let stage = Stage::start().await;
    let config = json!({"prompt": "step-sleep:20", "steps": 20});
    let form = Form::tryon("twice").config(&config);
    stage.submit(&form).await;
    stage.submit(&form).await;
    // By its id alone: nothing else of it is looked at.
    let other = Form::tryon("twice").set("masked_user_image", "no picture");
    stage.submit(&other).await;
    // Also when its id comes last, which a busy node does not wait for.
    let late = Form::tryon("x").without("job_id").with("job_id", "twice");
    assert_eq!(stage.tryon(&late).await.status, 429);

    assert_eq!(stage.result().await.text("job_id"), "twice");
    assert_nothing_else(&stage).await;
    assert_eq!(pictures(&stage).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_job_is_accepted_again() {
    let stage = Stage::start().await;
    stage.submit(&Form::tryon("twice")).await;
    stage.result().await;
    stage.wait_for_slot().await;
    stage.submit(&Form::tryon("twice")).await;
    let failed = Form::tryon("failed").doing("refuse:pose");
    stage.submit(&failed).await;
    stage.result().await;
    stage.submit(&failed).await;
    assert_nothing_else(&stage).await;
    assert_eq!(pictures(&stage).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_is_run() {
    let stage = Stage::start().await;
    let form = Form::tryon("twice");
    let answers = join_all((0..4).map(|_| stage.tryon(&form))).await;
    for answer in &answers {
        assert_eq!(answer.status, 202, "{}", answer.json());
    }
    assert_eq!(stage.result().await.text("job_id"), "twice");
    assert_nothing_else(&stage).await;
    assert_eq!(pictures(&stage).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_jobs_at_once_one_is_taken() {
    let stage = Stage::start().await;
    let forms: Vec<_> = (0..4)
        .map(|number| Form::tryon(&format!("job-{number}")).doing("sleep:60000"))
        .collect();
    let answers = join_all(forms.iter().map(|form| stage.tryon(form))).await;
    let count = |status| answers.iter().filter(|it| it.status == status).count();
    assert_eq!((count(202), count(429)), (1, 3));
    assert_eq!(stage.spooled("running"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_does_not_forget() {
    let stage = Stage::start().await;
    stage.submit(&Form::tryon("twice")).await;
    stage.result().await;
    let stage = stage.restart().await;
    stage.submit(&Form::tryon("twice")).await;
    assert_nothing_else(&stage).await;
    assert_eq!(pictures(&stage).await, 1, "of this process");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_run_again_when_its_time_is_over() {
    let stage = Stage::start_with(|config| config.spool.remember = Seconds::new(0)).await;
    for _ in 0..2 {
        stage.submit(&Form::tryon("twice")).await;
        assert_eq!(stage.result().await.text("job_id"), "twice");
        stage.wait_for_empty_spool().await;
        stage.wait_for_slot().await;
    }
    assert_eq!(pictures(&stage).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_job_is_not_known() {
    let stage = Stage::start().await;
    let wrong = Form::tryon("job").set("garment_image", "no picture");
    assert_eq!(stage.tryon(&wrong).await.status, 400);
    stage.submit(&Form::tryon("job")).await;
    assert_eq!(stage.result().await.text("error"), "");
}
