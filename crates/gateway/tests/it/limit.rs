//! Requests per minute, jobs at the same time, and sizes.

use std::time::Duration;

use serde_json::json;
use tryon_core::limit::Limits;
use tryon_testkit::fake_node::Reaction;

use crate::stage::{Answer, Customer, GENEROUS, TestApp, clothes, data_url, result};

fn of_window(answer: &Answer) -> (&str, &str, &str) {
    let limit = answer.header("ratelimit-limit");
    (
        limit,
        answer.header("ratelimit-remaining"),
        answer.header("ratelimit-reset"),
    )
}

/// Asks `allowed` times, then once more, and then again when the window is over.
async fn exhaust(app: &TestApp, who: &Customer, path: &str, allowed: u32) {
    let limit = allowed.to_string();
    let ask = async || {
        if path.starts_with("/tryon") {
            app.post_as(who, path, &json!({})).await
        } else {
            app.get_as(who, path).await
        }
    };
    for left in (0..allowed).rev() {
        let answer = ask().await;
        assert_ne!(answer.status, 429, "{path} with {left} left");
        assert_eq!(
            of_window(&answer),
            (limit.as_str(), left.to_string().as_str(), "60")
        );
    }
    app.clock.advance(Duration::from_millis(17_500));
    let answer = ask().await;
    let message = answer.refusal(429, "RateLimitExceeded");
    assert!(message.contains(&limit), "{message}");
    assert_eq!(answer.header("retry-after"), "43");
    assert_eq!(of_window(&answer), (limit.as_str(), "0", "43"));
    assert_eq!(answer.header("x-should-retry"), "");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    app.clock.advance(Duration::from_millis(42_499));
    ask().await.refusal(429, "RateLimitExceeded");
    app.clock.advance(Duration::from_millis(1));
    assert_ne!(ask().await.status, 429);
}

#[tokio::test]
async fn an_account_has_the_limits_of_the_contract() {
    let app = TestApp::start().await;
    let who = app.customer(100, Limits::default()).await;
    exhaust(&app, &who, "/tryon/clothes", 20).await;
    exhaust(&app, &who, "/credits", 300).await;
    exhaust(&app, &who, "/status/64b7f1a9d9a3b8e5c7f9a123", 300).await;
}

#[tokio::test]
async fn every_submission_counts_against_one_limit() {
    let app = TestApp::start().await;
    let who = app
        .customer(
            100,
            Limits {
                tryon_per_minute: 5,
                ..GENEROUS
            },
        )
        .await;
    let paths = ["clothes", "fashion", "hairstyle", "hairstyles", "tattoo"];
    for path in paths {
        app.post_as(&who, &format!("/tryon/{path}"), &json!({}))
            .await
            .refusal(400, "BadRequest");
    }
    let answer = app.post_as(&who, "/tryon/clothes", &json!({})).await;
    answer.refusal(429, "RateLimitExceeded");
    // The others are not used up, and neither is anybody else's.
    assert_eq!(app.get_as(&who, "/credits").await.status, 200);
    assert_eq!(
        app.post("/tryon/clothes", &clothes(json!({}))).await.status,
        200
    );
}

#[tokio::test]
async fn a_limit_that_is_changed_counts_from_the_next_request_on() {
    let app = TestApp::start().await;
    let who = app
        .customer(
            100,
            Limits {
                credits_per_minute: 1,
                ..GENEROUS
            },
        )
        .await;
    assert_eq!(app.get_as(&who, "/credits").await.status, 200);
    app.get_as(&who, "/credits")
        .await
        .refusal(429, "RateLimitExceeded");
    app.store.set_limits(who.account, GENEROUS).await.unwrap();
    assert_eq!(app.get_as(&who, "/credits").await.status, 200);
}

#[tokio::test]
async fn six_jobs_may_be_under_way_and_the_seventh_waits_for_one() {
    let app = TestApp::start().await;
    let who = app
        .customer(
            100,
            Limits {
                concurrent_jobs: 6,
                ..GENEROUS
            },
        )
        .await;
    assert_eq!(Limits::default().concurrent_jobs, 6);
    let body = clothes(json!({"num_samples": 4}));
    let jobs: Vec<_> = {
        let mut jobs = Vec::new();
        for _ in 0..6 {
            jobs.push(app.post_as(&who, "/tryon/clothes", &body).await.job());
        }
        jobs
    };
    let answer = app.post_as(&who, "/tryon/clothes", &body).await;
    let message = answer.refusal(429, "ConcurrencyLimitExceeded");
    assert!(message.contains('6'), "{message}");
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!(seconds > 0);
    assert_eq!(answer.header("x-should-retry"), "");
    assert_eq!(app.balance(&who).await.reserved, 24);
    // Another account is not concerned.
    assert_eq!(app.post("/tryon/clothes", &body).await.status, 200);
    app.node.otherwise(Reaction::Report(result()));
    let first = app.node.wait_for_offer(1).await.job_id();
    app.node.report(&first, &result()).await;
    crate::stage::wait("an ended job", async || {
        app.get_as(&who, &format!("/status/{}", jobs[0])).await.body["status"] == "completed"
    })
    .await;
    assert_eq!(app.post_as(&who, "/tryon/clothes", &body).await.status, 200);
}

#[tokio::test]
async fn many_at_once_never_exceed_the_limit() {
    let app = TestApp::start().await;
    let who = app
        .customer(
            100,
            Limits {
                concurrent_jobs: 6,
                ..GENEROUS
            },
        )
        .await;
    let body = clothes(json!({}));
    let submissions = (0..24).map(|_| app.post_as(&who, "/tryon/clothes", &body));
    let answers = futures::future::join_all(submissions).await;
    let accepted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(accepted, 6);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.refusal(429, "ConcurrencyLimitExceeded");
    }
    assert_eq!(app.balance(&who).await.reserved, 6);
    app.check_books().await;
}

#[tokio::test]
async fn a_body_or_picture_that_is_too_large_is_refused() {
    const LIMIT: usize = 100_000;
    let app = TestApp::start_with(|config| {
        config.limits.picture_bytes = LIMIT;
        config.limits.body_bytes = 4 * LIMIT;
    })
    .await;
    let large = data_url(&vec![7; LIMIT + 1]);
    let answer = app
        .post("/tryon/clothes", &clothes(json!({"garment_image": large})))
        .await;
    let message = answer.refusal(400, "BadRequest");
    assert!(message.contains("`garment_image`"), "{message}");
    let body = vec![b' '; 4 * LIMIT + 1];
    let url = app.url("/api/v1/tryon/clothes");
    let announced = app
        .http
        .post(&url)
        .bearer_auth(&app.owner.key)
        .body(body.clone());
    Answer::to(announced).await.refusal(400, "BadRequest");
    let pieces = futures::stream::iter(
        body.chunks(5000)
            .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
            .collect::<Vec<_>>(),
    );
    let streamed = app.http.post(&url).bearer_auth(&app.owner.key);
    let streamed = streamed.body(reqwest::Body::wrap_stream(pieces));
    Answer::to(streamed).await.refusal(400, "BadRequest");
    assert_eq!(app.balance(&app.owner).await.reserved, 0);
}
