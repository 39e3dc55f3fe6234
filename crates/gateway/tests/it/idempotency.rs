//! Submissions that a client sends again because it heard no answer.

use std::time::Duration;

use serde_json::{Value, json};
use tryon_blob::Folder;
use tryon_core::limit::Limits;
use tryon_store::JobPage;
use tryon_testkit::fake_node::Reaction;

use crate::stage::{Answer, Customer, GENEROUS, TestApp, clothes, result};

const REPLAYED: &str = "idempotent-replayed";

async fn submit(app: &TestApp, who: &Customer, path: &str, (key, body): (&str, &Value)) -> Answer {
    let request = app.http.post(app.url(&format!("/api/v1/tryon/{path}")));
    let request = request.bearer_auth(&who.key).header("Idempotency-Key", key);
    Answer::to(request.json(body)).await
}

async fn count_jobs(app: &TestApp, who: &Customer) -> usize {
    let page = JobPage {
        account: who.account,
        after: None,
        limit: 100,
    };
    app.store.list_jobs(page).await.unwrap().len()
}

#[tokio::test]
async fn a_submission_that_is_sent_again_is_the_same_job() {
    let app = TestApp::start().await;
    app.node.otherwise(Reaction::Report(result()));
    // Enough for one job at a time, and for one job.
    let limits = Limits {
        concurrent_jobs: 1,
        ..GENEROUS
    };
    let who = app.customer(1, limits).await;
    let body = clothes(json!({}));
    let first = submit(&app, &who, "clothes", ("order/7", &body)).await;
    assert_eq!(first.header(REPLAYED), "");
    let job = first.job();
    // The other name of the route is the same request; while it runs, and after it ended.
    for path in ["clothes", "fashion"] {
        let again = submit(&app, &who, path, ("order/7", &body)).await;
        assert_eq!((again.job(), again.header(REPLAYED)), (job, "true"));
    }
    while app.job(job).await.ended_at.is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let again = submit(&app, &who, "clothes", ("order/7", &body)).await;
    assert_eq!(again.job(), job);
    assert_eq!(count_jobs(&app, &who).await, 1);
    assert_eq!(app.node.runs().len(), 1);
    app.wait_until_inputs_are_gone().await;
    app.check_books().await;
    // Without a name it is another job, which nothing is left for.
    let other = app.post_as(&who, "/tryon/clothes", &body).await;
    other.refusal(429, "OutOfCredits");
}

#[tokio::test]
async fn a_name_is_for_one_request_of_one_account() {
    let app = TestApp::start().await;
    let (one, other) = (&app.owner, &app.customer(10, GENEROUS).await);
    let body = clothes(json!({}));
    let job = submit(&app, one, "clothes", ("a", &body)).await.job();
    let seeded = clothes(json!({"seed": 7}));
    for (path, body) in [("clothes", &seeded), ("tattoo", &body)] {
        let refused = submit(&app, one, path, ("a", body)).await;
        let message = refused.refusal(409, "BadRequest");
        assert!(message.contains("`Idempotency-Key`"), "{message}");
    }
    assert_ne!(
        submit(&app, other, "clothes", ("a", &body)).await.job(),
        job
    );
    assert_ne!(submit(&app, one, "clothes", ("b", &body)).await.job(), job);
    // What was refused has no name.
    let wrong = clothes(json!({"category": "hats"}));
    let refused = submit(&app, one, "clothes", ("c", &wrong)).await;
    refused.refusal(400, "BadRequest");
    submit(&app, one, "clothes", ("c", &body)).await.job();
    assert_eq!(count_jobs(&app, one).await, 3);

    for name in ["", "two\twords", "ü", &"k".repeat(256)] {
        let refused = submit(&app, one, "clothes", (name, &body)).await;
        let message = refused.refusal(400, "BadRequest");
        assert!(message.contains("`Idempotency-Key`"), "{message}");
    }
}

#[tokio::test]
async fn a_name_is_known_for_a_day() {
    let app = TestApp::start().await;
    let body = clothes(json!({}));
    let job = submit(&app, &app.owner, "clothes", ("a", &body))
        .await
        .job();
    app.clock
        .advance(Duration::from_hours(24) - Duration::from_millis(1));
    let again = submit(&app, &app.owner, "clothes", ("a", &body)).await;
    assert_eq!(again.job(), job);
    app.clock.advance(Duration::from_millis(1));
    let anew = submit(
        &app,
        &app.owner,
        "clothes",
        ("a", &clothes(json!({"seed": 7}))),
    )
    .await;
    assert_ne!(anew.job(), job);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_submissions_that_are_sent_at_once_one_is_a_job() {
    let app = TestApp::start().await;
    app.node.otherwise(Reaction::Report(result()));
    let body = clothes(json!({}));
    let sent = (0..8).map(|_| submit(&app, &app.owner, "clothes", ("a", &body)));
    let answers = futures::future::join_all(sent).await;
    let job = answers[0].job();
    assert!(answers.iter().all(|answer| answer.job() == job));
    let first = answers
        .iter()
        .filter(|answer| answer.header(REPLAYED).is_empty());
    assert_eq!(first.count(), 1);
    assert_eq!(count_jobs(&app, &app.owner).await, 1);
    app.wait_for_outputs(job).await;
    // What the others had stored by then is gone too.
    app.wait_until_inputs_are_gone().await;
    assert_eq!(app.pictures(Folder::Uploads).await, []);
}
