//! Requests that several gateways count together, in a real Redis.

use std::time::{Duration, Instant};

use tryon_core::{
    id::AccountId,
    limit::{Limits, RateClass},
    secret::Secret,
    time::Timestamp,
};
use tryon_gateway::{
    Gateway, StartError,
    rate::{Allowance, Rates as _, RedisRates},
};
use tryon_testkit::redis::Redis;

use crate::stage::{TestApp, wait};

const WINDOW: Duration = Duration::from_secs(Limits::WINDOW_SECS);
const ACCOUNT: AccountId = AccountId::from_bytes([1; 12]);

async fn open(server: &Redis) -> RedisRates {
    RedisRates::open(&server.url()).await.unwrap()
}

async fn take(rates: &RedisRates, class: RateClass, limit: u32) -> Allowance {
    let any = Timestamp::from_millis(0);
    rates.take(ACCOUNT, class, limit, any).await
}

fn keys(server: &Redis) -> Vec<String> {
    let keys = server.command(&["KEYS", "*"]);
    keys.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn two_gateways_count_together_until_the_window_ends() {
    let server = Redis::start();
    let (one, two) = (open(&server).await, open(&server).await);
    let first = take(&one, RateClass::Tryon, 3).await;
    assert_eq!(
        (first.granted, first.remaining, first.reset),
        (true, 2, WINDOW)
    );
    let second = take(&two, RateClass::Tryon, 3).await;
    assert!(second.granted && second.reset <= WINDOW, "{second:?}");
    assert_eq!(take(&one, RateClass::Tryon, 3).await.remaining, 0);
    for rates in [&one, &two] {
        let refused = take(rates, RateClass::Tryon, 3).await;
        assert_eq!((refused.granted, refused.remaining), (false, 0));
    }
    // Others are counted apart, and one who may do nothing is not counted at all.
    assert!(take(&one, RateClass::Status, 3).await.granted);
    assert!(!take(&one, RateClass::Credits, 0).await.granted);
    let mut counted = keys(&server);
    counted.sort();
    let account = "01".repeat(12);
    let expected = ["status", "tryon"].map(|class| format!("tryon:rate:{class}:{account}"));
    assert_eq!(counted, expected);

    // Time passes.
    server.command(&["PEXPIRE", &expected[1], "1"]);
    wait("the end of the window", async || keys(&server).len() == 1).await;
    assert_eq!(take(&two, RateClass::Tryon, 3).await.remaining, 2);
}

#[tokio::test]
async fn of_many_requests_at_once_as_many_as_allowed_are_granted() {
    let server = Redis::start();
    let (one, two) = (open(&server).await, open(&server).await);
    let requests = (0..40).map(|number| {
        let rates = if number % 2 == 0 { &one } else { &two };
        take(rates, RateClass::Tryon, 15)
    });
    let answers = futures::future::join_all(requests).await;
    assert_eq!(answers.iter().filter(|answer| answer.granted).count(), 15);
}

#[tokio::test]
async fn without_an_answer_requests_are_granted_and_nobody_waits_for_long() {
    let mut server = Redis::start();
    let rates = open(&server).await;
    assert!(take(&rates, RateClass::Tryon, 1).await.granted);
    assert!(!take(&rates, RateClass::Tryon, 1).await.granted);
    server.kill();
    let begun = Instant::now();
    for _ in 0..20 {
        assert!(take(&rates, RateClass::Tryon, 1).await.granted);
    }
    // One of them waited; the others saw that it is of no use.
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    server.restart();
    wait("the server to be used again", async || {
        !take(&rates, RateClass::Tryon, 1).await.granted
    })
    .await;
}

#[tokio::test]
async fn a_limit_holds_for_all_gateways_together() {
    let server = Redis::start();
    let url = Some(Secret::new(server.url()));
    let apps = [
        TestApp::start_with(|config| config.rates.url.clone_from(&url)).await,
        TestApp::start_with(|config| config.rates.url.clone_from(&url)).await,
    ];
    let limit = Limits {
        credits_per_minute: 3,
        ..Limits::default()
    };
    for app in &apps {
        // The same account, as in a database that they share.
        app.store
            .set_limits(app.owner.account, limit)
            .await
            .unwrap();
    }
    for (app, remaining) in [(0, "2"), (1, "1"), (0, "0")] {
        let answer = apps[app].get("/credits").await;
        assert_eq!(
            (answer.status, answer.header("ratelimit-remaining")),
            (200, remaining)
        );
    }
    let refused = apps[1].get("/credits").await;
    refused.refusal(429, "RateLimitExceeded");
}

#[tokio::test]
async fn a_server_that_is_not_there_keeps_a_gateway_from_starting() {
    for url in [
        "redis+unix:///nowhere/redis.sock",
        "redis://127.0.0.1:1",
        "http://x",
    ] {
        let app = TestApp::start().await;
        let mut config = app.config.clone();
        config.rates.url = Some(Secret::new(url));
        let started = Gateway::start(config, app.store.clone(), app.blobs.clone()).await;
        let error = started.err().unwrap();
        assert!(matches!(error, StartError::Rates(_)), "{url}: {error}");
    }
}
