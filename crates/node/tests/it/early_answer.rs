//! Answers that do not wait for the body.

use serde_json::json;
use tryon_testkit::upload;

use crate::{
    form::Form,
    stage::{Stage, TOKEN, until},
    wire::Wire,
};

/// What a phone's two photos come to.
const BODY_BYTES: usize = 20_000_000;

/// A job whose form has 20 MB.
fn large(job_id: &str) -> Form {
    let photo = upload::noise(1840, 1800);
    let form = Form::tryon(job_id)
        .set("masked_user_image", photo.clone())
        .set("garment_image", photo);
    assert!(form.encode().len() >= BODY_BYTES - BODY_BYTES / 10);
    form
}

async fn busy() -> Stage {
    let stage = Stage::start().await;
    stage
        .submit(&Form::tryon("first").doing("sleep:60000"))
        .await;
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_node_refuses_before_the_pictures_are_sent() {
    let stage = busy().await;
    let mut wire = Wire::post(&stage, "/tryon", TOKEN, "", &large("second")).await;
    wire.send(4096).await;
    let (head, body) = wire.answer().await;
    assert!(head.starts_with("http/1.1 429"), "{head}");
    assert!(head.contains("retry-after: 5\r\n"), "{head}");
    assert!(head.contains("connection: close\r\n"), "{head}");
    assert!(body.contains(r#""retry_after":5"#), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_node_refuses_a_client_that_sends_nothing_at_all() {
    let stage = busy().await;
    for path in ["/tryon", "/infer"] {
        let mut wire = Wire::post(&stage, path, TOKEN, "", &large("second")).await;
        let (head, _) = wire.answer().await;
        assert!(head.starts_with("http/1.1 429"), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_everything_first_still_reads_the_answer() {
    let stage = busy().await;
    let mut wire = Wire::post(&stage, "/tryon", TOKEN, "", &large("second")).await;
    // Far more than the sockets buffer: each write waits until the node has read.
    wire.send_all().await;
    let (head, _) = wire.answer().await;
    assert!(head.starts_with("http/1.1 429"), "{head}");
    assert_eq!(wire.rest().await, "", "the connection is closed in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sends_a_picture_without_the_token() {
    let stage = Stage::start().await;
    for path in ["/tryon", "/infer"] {
        let mut wire = Wire::post(&stage, path, "wrong", "", &large("job")).await;
        let (head, body) = wire.answer().await;
        assert!(head.starts_with("http/1.1 401"), "{head}");
        assert_eq!(body, r#"{"detail":"Unauthorized"}"#);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loading_node_refuses_before_the_pictures_are_sent() {
    let stage = Stage::start_loading("load-sleep:60000", |_| {}).await;
    for path in ["/tryon", "/infer"] {
        let mut wire = Wire::post(&stage, path, TOKEN, "", &large("job")).await;
        wire.send(4096).await;
        let (head, body) = wire.answer().await;
        assert!(head.starts_with("http/1.1 503"), "{head}");
        assert_eq!(body, r#"{"detail":"Models not loaded yet"}"#);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_first_is_refused_without_being_asked_for_the_body() {
    let stage = Stage::start().await;
    let expect = "Expect: 100-continue\r\n";
    let mut wire = Wire::post(&stage, "/tryon", "wrong", expect, &large("job")).await;
    // The first line is the answer itself, not `100 Continue`.
    let (head, _) = wire.answer().await;
    assert!(head.starts_with("http/1.1 401"), "{head}");
    assert_eq!(wire.rest().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_first_is_asked_for_the_body_of_a_job() {
    let stage = Stage::start().await;
    let expect = "Expect: 100-continue\r\n";
    let mut wire = Wire::post(&stage, "/tryon", TOKEN, expect, &Form::tryon("job")).await;
    let (head, _) = wire.answer().await;
    assert!(head.starts_with("http/1.1 100"), "{head}");
    wire.send_all().await;
    let (head, _) = wire.answer().await;
    assert!(head.starts_with("http/1.1 202"), "{head}");
    assert_eq!(stage.result().await.text("job_id"), "job");
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_beyond_the_limit_are_told_to_come_again() {
    let stage = Stage::start_with(|config| config.limits.uploads = 1).await;
    let mut first = Wire::post(&stage, "/tryon", TOKEN, "", &Form::tryon("first")).await;
    first.send(100).await;
    // The first upload takes its place when its head was read, which nothing tells of.
    let second = until("the second upload is let in", async || {
        let answer = stage.tryon(&Form::tryon("second").without("user_id")).await;
        (answer.status == 429).then_some(answer)
    })
    .await;
    assert_eq!(second.header("retry-after"), "1");
    assert_eq!(second.json()["retry_after"], json!(1));

    first.send_all().await;
    let (head, _) = first.answer().await;
    assert!(head.starts_with("http/1.1 202"), "{head}");
}
