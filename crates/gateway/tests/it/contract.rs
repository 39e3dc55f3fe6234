//! The routes, the names of their errors and the headers of every answer.

use std::time::Duration;

use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tryon_core::{error::JobErrorCode, id::KeyId, scope::Scopes, time::Seconds};
use tryon_gateway::auth::NewSecret;
use tryon_store::NewKey;
use tryon_testkit::fake_node::{Outcome, Reaction};

use crate::stage::{
    Answer, CALLBACK_TOKEN, GENEROUS, LINK_KEY, TestApp, clothes, hairstyle, result, tattoo, wait,
};

const UNKNOWN: &str = "64b7f1a9d9a3b8e5c7f9a123";

/// A wire body without what differs from run to run.
fn redacted(mut body: Value) -> Value {
    for key in ["id", "jobId"] {
        if let Some(id) = body.get_mut(key) {
            let text = id.as_str().unwrap();
            let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            assert!(text.len() == 24 && text.chars().all(hex), "{text}");
            *id = "[id]".into();
        }
    }
    for link in body
        .get_mut("output")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let text = link.as_str().unwrap();
        let file = text
            .split_once("/files/outputs/")
            .expect("it is a link to an output")
            .1;
        let name = file.split_once('/').unwrap().1;
        *link = format!(
            "[base]/files/outputs/[id]/{}",
            name.split('?').next().unwrap()
        )
        .into();
    }
    body
}

#[tokio::test]
async fn every_submission_answers_alike() {
    let app = TestApp::start_with(|config| {
        let entry = json!({"task": "hairstyle", "provider": "qwen"});
        config.tasks.push(serde_json::from_value(entry).unwrap());
    })
    .await;
    for (path, body) in [
        ("/tryon/clothes", clothes(json!({}))),
        ("/tryon/fashion", clothes(json!({}))),
        ("/tryon/hairstyle", hairstyle(json!({}))),
        ("/tryon/hairstyles", hairstyle(json!({}))),
        ("/tryon/tattoo", tattoo(json!({}))),
    ] {
        let answer = app.post(path, &body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert_eq!(answer.body["id"], answer.body["jobId"]);
        assert_eq!(answer.header("content-type"), "application/json");
        let expected = json!({"id": "[id]", "jobId": "[id]", "ok": true, "error": null});
        assert_eq!(redacted(answer.body), expected, "{path}");
    }
}

#[tokio::test]
async fn the_bodies_of_a_job_are_those_of_the_contract() {
    let app = TestApp::start().await;
    let submitted = app
        .post("/tryon/clothes", &clothes(json!({"num_samples": 2})))
        .await;
    let job = submitted.job();
    insta::assert_json_snapshot!("submitted", redacted(submitted.body));
    insta::assert_json_snapshot!("processing", redacted(app.status(job).await));
    insta::assert_json_snapshot!("credits_while_processing", app.get("/credits").await.body);
    app.node.otherwise(Reaction::Report(result()));
    let first = app.node.wait_for_offer(1).await.job_id();
    app.node.report(&first, &result()).await;
    app.wait_for_outputs(job).await;
    insta::assert_json_snapshot!("completed", redacted(app.status(job).await));
    insta::assert_json_snapshot!("credits_afterwards", app.get("/credits").await.body);
    let error = Outcome::error(
        JobErrorCode::PoseError,
        "there is no person in the photo",
        false,
    );
    app.node.otherwise(Reaction::Report(error));
    let job = app.submit(json!({})).await;
    app.wait_for_failure(job).await;
    insta::assert_json_snapshot!("failed", redacted(app.status(job).await));
}

#[tokio::test]
async fn the_bodies_of_refusals_are_those_of_the_contract() {
    let app = TestApp::start().await;
    let poor = app.customer(1, GENEROUS).await;
    let two = clothes(json!({"num_samples": 2}));
    let refusals = json!({
        "bad_request": app.post("/tryon/clothes", &json!({"model_image": 7})).await.body,
        "not_offered": app.post("/tryon/hairstyle", &hairstyle(json!({}))).await.body,
        "unauthorized": Answer::to(app.http.get(app.url("/api/v1/credits"))).await.body,
        "no_job": app.get(&format!("/status/{UNKNOWN}")).await.body,
        "no_route": app.get("/tryon").await.body,
        "no_method": app.get("/tryon/clothes").await.body,
        "out_of_credits": app.post_as(&poor, "/tryon/clothes", &two).await.body,
    });
    insta::assert_json_snapshot!("refusals", refusals);
}

#[tokio::test]
async fn a_task_that_no_provider_serves_is_refused_and_says_so() {
    let app = TestApp::start_with(|config| {
        config
            .tasks
            .retain(|entry| !entry.modes.contains(&tryon_core::task::Mode::Quality));
    })
    .await;
    for (path, body) in [
        ("/tryon/hairstyle", hairstyle(json!({}))),
        ("/tryon/hairstyles", hairstyle(json!({}))),
        ("/tryon/clothes", clothes(json!({"mode": "quality"}))),
    ] {
        let message = app.post(path, &body).await.refusal(400, "BadRequest");
        assert!(
            message.contains("not offered") && message.contains("provider"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn only_a_valid_key_opens_anything() {
    let app = TestApp::start().await;
    let key = &app.owner.key;
    let headers = [
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some("Bearer ".to_owned()),
        Some("Bearer x".to_owned()),
        Some(format!("Basic {key}")),
        Some(key.clone()),
        Some(format!("Bearer {}", key.to_uppercase())),
        Some(format!("Bearer {}x", &key[..key.len() - 1])),
        Some(format!("Bearer {key}{key}")),
        Some(format!("Bearer {CALLBACK_TOKEN}")),
        Some(format!("Bearer {LINK_KEY}")),
        Some(format!("Bearer tryon_{}", "a".repeat(43))),
        Some(format!("Bearer {}", "a".repeat(6000))),
    ];
    for path in [
        "/tryon/clothes",
        "/tryon/hairstyle",
        "/tryon/tattoo",
        "/credits",
        "/status/x",
    ] {
        for header in &headers {
            let url = app.url(&format!("/api/v1{path}"));
            let request = if path.starts_with("/tryon") {
                app.http.post(url).json(&clothes(json!({})))
            } else {
                app.http.get(url)
            };
            let request = match header {
                Some(header) => request.header("authorization", header),
                None => request,
            };
            let answer = Answer::to(request).await;
            let message = answer.refusal(401, "UnauthorizedAccess");
            assert!(!message.contains(&key[6..20]), "{message}");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
    }
    let two = app
        .http
        .get(app.url("/api/v1/credits"))
        .bearer_auth(key)
        .bearer_auth(key);
    Answer::to(two).await.refusal(401, "UnauthorizedAccess");
    let lower = app
        .http
        .get(app.url("/api/v1/credits"))
        .header("authorization", format!("bearer {key}"));
    assert_eq!(Answer::to(lower).await.status, 200);
}

#[tokio::test]
async fn a_revoked_key_opens_nothing_from_that_moment_on() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/credits").await.status, 200);
    let now = tryon_gateway::clock::Clock::now(&*app.clock);
    assert!(app.store.revoke_key(app.owner.key_id, now).await.unwrap());
    app.get("/credits").await.refusal(401, "UnauthorizedAccess");
    app.post("/tryon/clothes", &clothes(json!({})))
        .await
        .refusal(401, "UnauthorizedAccess");
}

#[tokio::test]
async fn an_expired_key_opens_nothing() {
    let app = TestApp::start().await;
    let secret = NewSecret::generate(&mut StdRng::seed_from_u64(7));
    let key = NewKey {
        id: KeyId::from_bytes([7; 12]),
        account: app.owner.account,
        name: "brief".to_owned(),
        prefix: secret.prefix().to_owned(),
        hash: secret.hash(),
        expires_at: Some(app.now() + Duration::from_hours(1)),
        scopes: Scopes::ALL,
    };
    app.store.create_key(key, app.now()).await.unwrap();
    let secret = secret.into_string();
    let ask = async || {
        Answer::to(
            app.http
                .get(app.url("/api/v1/credits"))
                .bearer_auth(&secret),
        )
        .await
    };
    app.clock.advance(Duration::from_secs(3599));
    assert_eq!(ask().await.status, 200);
    app.clock.advance(Duration::from_secs(1));
    let message = ask().await.refusal(401, "UnauthorizedAccess");
    assert!(message.contains("expired"), "{message}");
    assert_eq!(app.get("/credits").await.status, 200);
}

#[tokio::test]
async fn a_job_of_somebody_else_is_like_one_that_never_was() {
    let app = TestApp::start().await;
    let job = app.submit(json!({})).await.to_string();
    let stranger = app.customer(10, GENEROUS).await;
    let theirs = app.get_as(&stranger, &format!("/status/{job}")).await;
    let nobodys = app.get_as(&stranger, &format!("/status/{UNKNOWN}")).await;
    theirs.refusal(404, "NotFound");
    assert_eq!(theirs.text, nobodys.text);
    let names = |answer: &Answer| -> Vec<String> {
        answer.headers.keys().map(ToString::to_string).collect()
    };
    assert_eq!(names(&theirs), names(&nobodys));
    let upper = job.to_uppercase();
    let longer = format!("{job}0");
    for id in [
        "x",
        upper.as_str(),
        longer.as_str(),
        "%ff",
        "..%2Fcredits",
        "%00",
        "' OR 1=1--",
    ] {
        let answer = app.get(&format!("/status/{id}")).await;
        answer.refusal(404, "NotFound");
    }
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_lets_browsers_read_it() {
    let app = TestApp::start().await;
    let poor = app.customer(0, GENEROUS).await;
    let answers = [
        app.post("/tryon/clothes", &clothes(json!({}))).await,
        app.post("/tryon/clothes", &json!({})).await,
        app.post_as(&poor, "/tryon/clothes", &clothes(json!({})))
            .await,
        app.get(&format!("/status/{UNKNOWN}")).await,
        app.get("/credits").await,
        app.get("/nothing").await,
        app.get("/tryon/clothes").await,
        Answer::to(app.http.get(app.url("/api/v1/credits"))).await,
        Answer::to(app.http.get(app.url("/files/outputs/x/y"))).await,
        Answer::to(app.http.get(app.url("/healthz"))).await,
        Answer::to(app.http.get(app.url("/readyz"))).await,
        Answer::to(app.http.get(app.url("/openapi.json"))).await,
    ];
    let mut ids = std::collections::BTreeSet::new();
    for answer in &answers {
        let id = answer.header("x-request-id");
        assert!(
            id.len() >= 16 && ids.insert(id.to_owned()),
            "{id}: {}",
            answer.text
        );
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "*",
            "{}",
            answer.text
        );
        let exposed = answer.header("access-control-expose-headers");
        for name in [
            "x-request-id",
            "retry-after",
            "ratelimit-limit",
            "x-should-retry",
        ] {
            assert!(exposed.contains(name), "{exposed}");
        }
    }
}

#[tokio::test]
async fn a_request_id_that_a_proxy_gave_is_kept_when_it_is_harmless() {
    let app = TestApp::start().await;
    let ask = async |id: &str| {
        let request = app.http.get(app.url("/healthz")).header("x-request-id", id);
        Answer::to(request).await.header("x-request-id").to_owned()
    };
    assert_eq!(ask("abc-123_x.y").await, "abc-123_x.y");
    let long = "a".repeat(65);
    for id in ["", "a b", "a\"b", "{}", long.as_str()] {
        assert_ne!(ask(id).await, id);
    }
}

#[tokio::test]
async fn a_browser_may_ask_first() {
    let app = TestApp::start().await;
    for (path, method) in [
        ("/tryon/clothes", "POST"),
        ("/status/x", "GET"),
        ("/credits", "GET"),
    ] {
        let url = app.url(&format!("/api/v1{path}"));
        let request = app
            .http
            .request(reqwest::Method::OPTIONS, url)
            .header("origin", "https://shop.example")
            .header("access-control-request-method", method)
            .header(
                "access-control-request-headers",
                "authorization, content-type",
            );
        let answer = Answer::to(request).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert!(
            answer
                .header("access-control-allow-methods")
                .contains(method)
        );
        let allowed = answer.header("access-control-allow-headers").to_lowercase();
        assert!(
            allowed.contains("authorization") && allowed.contains("content-type"),
            "{allowed}"
        );
        // A page must not send cookies along: they are nothing here.
        assert_eq!(answer.header("access-control-allow-credentials"), "");
    }
}

#[tokio::test]
async fn methods_that_a_route_does_not_take_are_told_which_it_does() {
    let app = TestApp::start().await;
    let answer = app.get("/tryon/clothes").await;
    answer.refusal(404, "NotFound");
    assert!(
        answer.header("allow").contains("POST"),
        "{:?}",
        answer.headers
    );
}

#[tokio::test]
async fn the_gateway_describes_itself() {
    let app = TestApp::start().await;
    let document = Answer::to(app.http.get(app.url("/openapi.json")))
        .await
        .body;
    for path in tryon_gateway::route::path::ALL {
        assert!(
            document["paths"][path].is_object(),
            "{path} is not described"
        );
    }
    let health = Answer::to(app.http.get(app.url("/healthz"))).await;
    assert_eq!((health.status, &health.body["status"]), (200, &json!("ok")));
    assert_eq!(
        Answer::to(app.http.get(app.url("/readyz"))).await.status,
        200
    );
}

/// A load balancer has time to notice, and nobody who comes meanwhile is sent away.
#[tokio::test]
async fn a_gateway_that_ends_says_so_before_it_takes_nothing_more() {
    let app = TestApp::start_with(|config| config.limits.drain = Seconds::new(3600)).await;
    let (ready, submit) = (app.url("/readyz"), app.url("/api/v1/tryon/clothes"));
    let (http, key) = (app.http.clone(), app.owner.key.clone());
    assert_eq!(Answer::to(http.get(&ready)).await.header("connection"), "");
    let ending = tokio::spawn(app.gateway.shutdown());
    wait("the gateway to say that it ends", async || {
        Answer::to(http.get(&ready)).await.status == 503
    })
    .await;
    let refused = Answer::to(http.get(&ready)).await;
    refused.refusal(503, "InternalServerError");
    // Each answer ends its connection, so that the next request goes elsewhere.
    let submission = http
        .post(&submit)
        .bearer_auth(&key)
        .json(&clothes(json!({})));
    let accepted = Answer::to(submission).await;
    accepted.job();
    for answer in [&refused, &accepted] {
        assert_eq!(answer.header("connection"), "close");
    }
    assert!(!ending.is_finished());
    ending.abort();
}
