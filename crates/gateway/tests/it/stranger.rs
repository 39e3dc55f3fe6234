//! Requests without a valid key, counted for the address that they come from.

use std::{num::NonZeroU32, time::Duration};

use tryon_gateway::GatewayConfig;

use crate::stage::{Answer, GENEROUS, TestApp};

/// Shaped like a key, and nobody's.
const WRONG: &str = "tryon_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn three_a_minute(config: &mut GatewayConfig) {
    config.limits.failures_per_minute = NonZeroU32::new(3).unwrap();
}

/// Asks for the credits of this key's account, as if a proxy had it from there.
async fn ask(app: &TestApp, key: &str, forwarded_for: &str) -> Answer {
    let request = app.http.get(app.url("/api/v1/credits")).bearer_auth(key);
    Answer::to(request.header("x-forwarded-for", forwarded_for)).await
}

async fn fail_three_times(app: &TestApp, forwarded_for: &str) {
    for _ in 0..3 {
        let answer = ask(app, WRONG, forwarded_for).await;
        answer.refusal(401, "UnauthorizedAccess");
    }
}

#[tokio::test]
async fn who_guesses_is_refused_before_the_key_is_looked_up() {
    let app = TestApp::start_with(three_a_minute).await;
    fail_three_times(&app, "").await;
    // It is not even seen that this one would be right.
    for key in [WRONG, "", "half a key", &app.owner.key] {
        let answer = ask(&app, key, "").await;
        let message = answer.refusal(429, "RateLimitExceeded");
        assert!(message.contains("your address"), "{message}");
        assert_eq!(answer.header("retry-after"), "20");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
    app.clock.advance(Duration::from_secs(20));
    assert_eq!(ask(&app, &app.owner.key, "").await.status, 200);
}

#[tokio::test]
async fn every_kind_of_refused_key_counts() {
    let app = TestApp::start_with(three_a_minute).await;
    let revoked = app.customer(1, GENEROUS).await;
    let now = app.now();
    app.store.revoke_key(revoked.key_id, now).await.unwrap();
    for key in [revoked.key.as_str(), "half a key", WRONG] {
        ask(&app, key, "").await.refusal(401, "UnauthorizedAccess");
    }
    let none = Answer::to(app.http.get(app.url("/api/v1/credits"))).await;
    none.refusal(429, "RateLimitExceeded");
}

#[tokio::test]
async fn a_key_that_works_does_not_pay_for_its_address() {
    let app = TestApp::start_with(three_a_minute).await;
    for _ in 0..10 {
        assert_eq!(ask(&app, &app.owner.key, "").await.status, 200);
    }
    fail_three_times(&app, "").await;
    ask(&app, WRONG, "").await.refusal(429, "RateLimitExceeded");
    assert_eq!(ask(&app, &app.owner.key, "").await.status, 200);
    let now = app.now();
    app.store.revoke_key(app.owner.key_id, now).await.unwrap();
    let answer = ask(&app, &app.owner.key, "").await;
    answer.refusal(401, "UnauthorizedAccess");
    let answer = ask(&app, &app.owner.key, "").await;
    answer.refusal(429, "RateLimitExceeded");
}

#[tokio::test]
async fn behind_a_proxy_each_client_is_counted_for_itself() {
    let app = TestApp::start_with(|config| {
        three_a_minute(config);
        config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    // What the client wrote itself stands before what the proxy added, and helps nobody.
    fail_three_times(&app, "192.0.2.1").await;
    let answer = ask(&app, WRONG, "198.51.100.9, 192.0.2.1").await;
    answer.refusal(429, "RateLimitExceeded");
    assert_eq!(ask(&app, &app.owner.key, "192.0.2.2").await.status, 200);
}

#[tokio::test]
async fn without_a_proxy_nobody_chooses_an_address() {
    let app = TestApp::start_with(three_a_minute).await;
    fail_three_times(&app, "192.0.2.1").await;
    let answer = ask(&app, WRONG, "192.0.2.2").await;
    answer.refusal(429, "RateLimitExceeded");
}
