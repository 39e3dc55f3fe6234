//! What jobs cost.

use serde_json::{Value, json};
use tryon_core::{error::JobErrorCode, ledger::Pool, time::Timestamp};
use tryon_testkit::fake_node::{Outcome, Reaction};

use crate::stage::{GENEROUS, TestApp, clothes, result};

fn credits(on_demand: u64, subscription: u64, purchased: u64, reserved: u64) -> Value {
    json!({"ok": true, "credits": {
        "on_demand": on_demand, "subscription": subscription, "purchased": purchased,
        "reserved": reserved,
    }})
}

#[tokio::test]
async fn credits_are_reserved_then_paid_and_the_rest_is_free_again() {
    let app = TestApp::start().await;
    let now = Timestamp::from_millis(0);
    app.store
        .grant_credits(app.owner.account, Pool::Subscription, 3, now)
        .await
        .unwrap();
    assert_eq!(app.get("/credits").await.body, credits(103, 3, 100, 0));
    let failure = Outcome::error(JobErrorCode::ProcessingError, "the engine failed", false);
    app.node.script([
        Reaction::Work,
        Reaction::Report(failure),
        Reaction::Report(result()),
        Reaction::Report(result()),
    ]);
    let job = app.submit(json!({"num_samples": 4})).await;
    let first = app.node.wait_for_offer(1).await.job_id();
    assert_eq!(app.get("/credits").await.body, credits(99, 3, 100, 4));
    app.node.report(&first, &result()).await;
    // Three of four were delivered: the fourth is not charged.
    assert_eq!(app.wait_for_outputs(job).await.len(), 3);
    assert_eq!(app.get("/credits").await.body, credits(100, 0, 100, 0));
    app.check_books().await;
}

#[tokio::test]
async fn who_cannot_pay_is_told_that_trying_again_does_not_help() {
    let app = TestApp::start().await;
    let poor = app.customer(3, GENEROUS).await;
    let answer = app
        .post_as(&poor, "/tryon/clothes", &clothes(json!({"num_samples": 4})))
        .await;
    let message = answer.refusal(429, "OutOfCredits");
    assert!(message.contains('4') && message.contains('3'), "{message}");
    assert_eq!(answer.header("x-should-retry"), "false");
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!(seconds > 0);
    assert!(app.node.offers().is_empty());
    // Three are enough for three, and then for nothing more while they are reserved.
    let three = clothes(json!({"num_samples": 3}));
    assert_eq!(
        app.post_as(&poor, "/tryon/clothes", &three).await.status,
        200
    );
    let one = clothes(json!({}));
    app.post_as(&poor, "/tryon/clothes", &one)
        .await
        .refusal(429, "OutOfCredits");
    assert_eq!(
        app.get_as(&poor, "/credits").await.body,
        credits(0, 0, 3, 3)
    );
    app.check_books().await;
}

#[tokio::test]
async fn many_at_once_never_spend_more_than_there_is() {
    let app = TestApp::start().await;
    let poor = app.customer(5, GENEROUS).await;
    let body = clothes(json!({"num_samples": 2}));
    let submissions = (0..12).map(|_| app.post_as(&poor, "/tryon/clothes", &body));
    let answers = futures::future::join_all(submissions).await;
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 200).count(),
        2
    );
    let balance = app.balance(&poor).await;
    assert_eq!((balance.available(), balance.reserved), (1, 4));
    app.check_books().await;
}
