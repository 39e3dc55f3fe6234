//! `POST /check`: what of a photo would be masked.

use reqwest::Method;
use serde_json::json;

use crate::{
    form::Form,
    stage::{Answer, Stage, send},
};

async fn check(stage: &Stage, form: &Form) -> Answer {
    send(stage.posting("/check", form)).await
}

fn dressed_in(category: &str) -> Form {
    let config = json!({ "category": category }).to_string();
    Form::infer()
        .without("garment_image")
        .with("config", &config)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_nothing_or_what_a_job_would_fail_with() {
    let stage = Stage::start().await;
    let region = json!({"x": 0.0, "y": 0.0, "w": 0.5, "h": 1.0});
    for (category, answer) in [
        (
            "tops",
            json!({"mask": {"share": 0.5, "region": region}, "error": null}),
        ),
        ("bottoms", json!({"mask": null, "error": null})),
        (
            "one-pieces",
            json!({"mask": null, "error": {"error": "refused: pose", "error_name": "PoseError",
                "retryable": false}}),
        ),
    ] {
        let told = check(&stage, &dressed_in(category)).await;
        assert_eq!((told.status, told.json()), (200, answer), "{category}");
    }
    let failed = check(&stage, &dressed_in("eyewear")).await;
    assert_eq!(failed.status, 500, "{}", failed.detail());
    // Nothing of it was a job.
    assert_eq!(stage.spooled("results") + stage.spooled("ended"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_answered_beside_a_job() {
    let stage = Stage::start().await;
    stage.submit(&Form::tryon("busy").doing("hang")).await;
    let told = check(&stage, &dressed_in("tops")).await;
    assert_eq!(told.status, 200, "{}", told.detail());
    let device = stage.get("/gpu/status").await.json();
    assert_eq!(device["current_job_id"], "busy", "the job went on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named() {
    let stage = Stage::start().await;
    let wrong = [
        (
            dressed_in("tops").without("masked_user_image"),
            "`masked_user_image` is missing",
        ),
        (dressed_in("shoes"), "`config.category`"),
        (
            dressed_in("tops").with("provider", "qwen"),
            "Models not loaded yet",
        ),
        (
            dressed_in("tops").with("provider", "other"),
            "Invalid provider: other",
        ),
    ];
    for (form, named) in wrong {
        let told = check(&stage, &form).await;
        assert!(told.detail().contains(named), "{named}: {}", told.detail());
    }
    let stranger = send(stage.request(Method::POST, "/check")).await;
    assert_eq!(
        (stranger.status, stranger.json()),
        (401, json!({"detail": "Unauthorized"}))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_loads_says_so() {
    let stage = Stage::start_loading("load-sleep:60000", |_| {}).await;
    let told = check(&stage, &dressed_in("tops")).await;
    assert_eq!(
        (told.status, told.detail().as_str()),
        (503, "Models not loaded yet")
    );
}
