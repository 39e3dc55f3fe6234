//! `POST /infer`: a picture as the answer.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    form::Form,
    stage::{Stage, TOKEN},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_the_answer() {
    let stage = Stage::start().await;
    let answer = stage.infer(&Form::infer()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "image/png");
    answer
        .header("x-inference-time-ms")
        .parse::<u64>()
        .expect("whole milliseconds");
    let picture = image::load_from_memory(&answer.bytes).unwrap();
    assert_eq!((picture.width(), picture.height()), (48, 64));

    // The balancer is told; the receiver of results is not.
    let complete = stage.receiver.next("/job_complete").await;
    let body: Value = serde_json::from_slice(&complete.body).unwrap();
    assert_eq!(body["job_id"], answer.header("x-job-id"));
    assert!(stage.receiver.rest("/results").is_empty());
    assert_eq!(stage.spooled("results") + stage.spooled("ended"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_parameter_is_a_field_of_its_own() {
    let stage = Stage::start().await;
    // The fake engine dims by the seed.
    let dark = Form::infer()
        .with("provider", "preview")
        .with("seed", "31")
        .with("steps", "3")
        .with("cfg", "2.5")
        .with("prompt", "42");
    let bright = Form::infer().with("seed", "0");
    let again = stage.infer(&dark).await;
    let (dark, bright) = (stage.infer(&dark).await, stage.infer(&bright).await);
    assert_eq!((dark.status, bright.status), (200, 200));
    assert_eq!(
        dark.bytes, again.bytes,
        "the same seed gives the same bytes"
    );
    assert_ne!(dark.bytes, bright.bytes);
    assert_ne!(dark.header("x-job-id"), again.header("x-job-id"));

    let both = Form::infer()
        .with("config", r#"{"output_format": "jpeg", "seed": 1}"#)
        .with("seed", "31");
    let answer = stage.infer(&both).await;
    assert_eq!(answer.header("content-type"), "image/jpeg");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named() {
    let stage = Stage::start().await;
    let cases = [
        (
            Form::infer().without("masked_user_image"),
            "`masked_user_image` is missing",
        ),
        (
            Form::infer().without("garment_image"),
            "`garment_image` is missing",
        ),
        (
            Form::infer().with("seed", "much"),
            "`config.seed` is wrong: invalid type: string \"much\", expected u64",
        ),
        (
            Form::infer().with("steps", "0"),
            "`config.steps` is 0, not a whole number from 1 to 100",
        ),
        (
            Form::infer().with("cfg", "-1"),
            "`config.cfg` is -1, not a number from 0 to 20",
        ),
        (Form::infer().with("prompt", " "), "`prompt` is empty"),
        (
            Form::infer().with("provider", "dall-e"),
            "Invalid provider: dall-e",
        ),
        (
            Form::infer().with("config", "[]").with("seed", "1"),
            "`config` is a list, not a JSON object such as {\"seed\": 42}",
        ),
    ];
    for (form, detail) in cases {
        let answer = stage.infer(&form).await;
        assert_eq!(
            (answer.status, answer.json()),
            (400, json!({"detail": detail}))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_a_picture_says_why() {
    let stage = Stage::start().await;
    let cases = [
        ("refuse:pose", 400, "refused: pose", "PoseError"),
        ("oom", 500, "out of memory: 7 GiB", "ProcessingError"),
        (
            "kill",
            500,
            "the engine crashed: the worker was ended by signal 9",
            "ProcessingError",
        ),
    ];
    for (prompt, status, detail, name) in cases {
        stage.wait_loaded().await;
        let answer = stage.infer(&Form::infer().with("prompt", prompt)).await;
        assert_eq!(answer.status, status, "{prompt}");
        assert_eq!(answer.json()["detail"], detail);
        assert_eq!(answer.json()["error_name"], name);
        stage.receiver.next("/job_complete").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_takes_its_job_along() {
    let stage = Stage::start().await;
    let form = Form::infer()
        .with("prompt", "step-sleep:20")
        .with("steps", "100");
    let waiting = stage.posting("/infer", &form).send();
    // The request is dropped, and its connection closed, once the job runs.
    tokio::select! {
        _ = waiting => panic!("two seconds of work ended"),
        () = stage.wait_for_pace() => {}
    }
    stage.wait_for_slot().await;
    stage.receiver.next("/job_complete").await;
    stage
        .wait_for("/metrics", |it| it["vton_inference_errors_total"] == 1)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_can_be_cancelled_by_the_id_that_the_status_tells() {
    let stage = Stage::start().await;
    let form = Form::infer()
        .with("prompt", "step-sleep:50")
        .with("steps", "100");
    let cancel = async {
        stage.wait_for_pace().await;
        let status = stage.get("/gpu/status").await.json();
        let job_id = status["current_job_id"].as_str().unwrap().to_owned();
        stage
            .request(Method::DELETE, &format!("/tryon/{job_id}"))
            .header("x-internal-auth", TOKEN)
            .send()
            .await
            .unwrap()
    };
    let (answer, cancelled) = tokio::join!(stage.infer(&form), cancel);
    assert_eq!(cancelled.status(), 202);
    assert_eq!(answer.status, 409);
    assert_eq!(
        answer.json(),
        json!({"detail": "cancelled", "error_name": "Cancelled"})
    );
}
