//! The dialect of FASHN's API, on the same queue.

use reqwest::{Method, Url};
use serde_json::{Value, json};
use tryon_core::{error::JobErrorCode, id::JobId, job::JobState};
use tryon_testkit::{
    fake_node::{Outcome, Reaction},
    receiver::Receiver,
};

use crate::{
    host::Host,
    stage::{Answer, GENEROUS, TestApp, clothes, result},
};

const CREDITS_USED: &str = "x-fashn-credits-used";

async fn ask(app: &TestApp, method: Method, path: &str, body: &Value) -> Answer {
    let request = app.http.request(method, app.url(&format!("/v1{path}")));
    Answer::to(request.bearer_auth(&app.owner.key).json(body)).await
}

async fn run(app: &TestApp, more: Value) -> Answer {
    let body = json!({"model_name": "tryon-v1.6", "inputs": clothes(more)});
    ask(app, Method::POST, "/run", &body).await
}

async fn get(app: &TestApp, job: JobId) -> Answer {
    let answer = ask(app, Method::GET, &format!("/status/{job}"), &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

#[tokio::test]
async fn a_run_goes_through_the_states_of_its_dialect() {
    let host = Host::start().await;
    let app = TestApp::start_with(|config| {
        let network = format!("{}/32", host.address.ip());
        config.fetch.allowed_networks = vec![network.parse().unwrap()];
    })
    .await;
    let stands = async |job: JobId, status: &str| {
        let answer = get(&app, job).await;
        let expected = json!({"id": job, "status": status, "output": null, "error": null});
        assert_eq!(answer.body, expected);
        assert_eq!(answer.header(CREDITS_USED), "", "it has not ended");
    };
    let submitted = run(&app, json!({"num_samples": 2})).await;
    let job = submitted.job();
    assert_eq!(submitted.body, json!({"id": job, "error": null}));
    let attempt = app.node.wait_for_offer(1).await.job_id();
    app.wait_for_state(job, JobState::Running).await;
    stands(job, "processing").await;
    let waiting = run(&app, json!({})).await.job();
    app.wait_for_state(waiting, JobState::Prepared).await;
    stands(waiting, "in_queue").await;
    let silent = run(&app, json!({"model_image": host.url("/silent")})).await;
    stands(silent.job(), "starting").await;

    app.node.otherwise(Reaction::Report(result()));
    app.node.report(&attempt, &result()).await;
    let links = app.wait_for_outputs(job).await;
    let completed = get(&app, job).await;
    let expected = json!({"id": job, "status": "completed", "output": links, "error": null});
    assert_eq!(completed.body, expected);
    assert_eq!(completed.header(CREDITS_USED), "2");
}

#[tokio::test]
async fn a_run_that_fails_says_why_and_costs_nothing() {
    let app = TestApp::start().await;
    let error = Outcome::error(JobErrorCode::PoseError, "nobody is there", false);
    app.node.otherwise(Reaction::Report(error));
    let job = run(&app, json!({})).await.job();
    let (name, message) = app.wait_for_failure(job).await;
    let failed = get(&app, job).await;
    let error = json!({"name": name, "message": message});
    let expected = json!({"id": job, "status": "failed", "output": null, "error": error});
    assert_eq!(failed.body, expected);
    assert_eq!(failed.header(CREDITS_USED), "0");
}

#[tokio::test]
async fn what_a_run_cost_is_told_of_one_that_was_erased_too() {
    let app = TestApp::start().await;
    app.node.otherwise(Reaction::Report(result()));
    let more = json!({"num_samples": 2, "end_user_id": "somebody"});
    let job = run(&app, more).await.job();
    app.wait_for_outputs(job).await;
    let request = app.http.delete(app.url("/api/v1/end-users/somebody"));
    let erased = Answer::to(request.bearer_auth(&app.owner.key)).await;
    assert_eq!(erased.body["jobs"], 1, "{}", erased.text);
    let status = get(&app, job).await;
    assert_eq!(status.header(CREDITS_USED), "2");
}

#[tokio::test]
async fn the_address_beside_the_body_is_told_of_the_end() {
    let app = TestApp::start_with(|config| {
        config.fetch.allowed_networks = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await;
    app.node.otherwise(Reaction::Report(result()));
    let receiver = Receiver::start().await;
    let body = json!({"model_name": "tryon-v1.6", "inputs": clothes(json!({}))});
    let send = async |address: &str| {
        let told = [("webhook_url", address)];
        let url = Url::parse_with_params(&app.url("/v1/run"), told).unwrap();
        let request = app.http.post(url);
        let request = request.header("idempotency-key", "one");
        Answer::to(request.bearer_auth(&app.owner.key).json(&body)).await
    };
    let job = send(&receiver.url("/done?order=7")).await.job();
    let told: Value = serde_json::from_slice(&receiver.next("/done").await.body).unwrap();
    assert_eq!(
        (&told["id"], &told["status"]),
        (&json!(job), &json!("completed"))
    );
    // It is a part of the request: with another one this is another request.
    let again = send(&receiver.url("/done?order=7")).await;
    assert_eq!(
        (again.job(), again.header("idempotent-replayed")),
        (job, "true")
    );
    let other = send(&receiver.url("/done?order=8")).await;
    other.refusal(409, "BadRequest");
    let wrong = send("ftp://shop.example").await;
    assert_eq!(wrong.status, 409, "it is looked at before the request is");
}

#[tokio::test]
async fn credits_have_the_names_of_the_dialect() {
    let app = TestApp::start().await;
    run(&app, json!({"num_samples": 3})).await.job();
    let credits = ask(&app, Method::GET, "/credits", &Value::Null).await;
    let expected = json!({"credits": {"total": 100, "subscription": 0, "on_demand": 100}});
    assert_eq!(credits.body, expected);
}

#[tokio::test]
async fn what_is_refused_is_refused_as_in_the_other_dialect() {
    let app = TestApp::start().await;
    let post = async |path: &str, body: Value| ask(&app, Method::POST, path, &body).await;
    let inputs = clothes(json!({}));
    let other = json!({"model_name": "tryon-max", "inputs": inputs});
    let message = post("/run", other).await.refusal(400, "BadRequest");
    assert!(message.contains("`model_name`"), "{message}");
    let run = json!({"model_name": "tryon-v1.6", "inputs": inputs});
    let twice = "/run?webhook_url=https://a.example&webhook_url=https://b.example";
    let message = post(twice, run.clone()).await.refusal(400, "BadRequest");
    assert!(message.contains("`webhook_url`"), "{message}");
    let message = post("/run?webhook_url=ftp://a.example", run.clone()).await;
    let message = message.refusal(400, "BadRequest");
    assert!(message.contains("`webhook_url`"), "{message}");

    let stranger = app.customer(1, GENEROUS).await;
    let job = post("/run", run).await.job();
    for id in [
        job.to_string(),
        "64b7f1a9d9a3b8e5c7f9a123".to_owned(),
        "x".to_owned(),
    ] {
        let request = app.http.get(app.url(&format!("/v1/status/{id}")));
        let answer = Answer::to(request.bearer_auth(&stranger.key)).await;
        answer.refusal(404, "NotFound");
    }
}
