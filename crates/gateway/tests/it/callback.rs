//! What nodes report: once, twice, late, for others, and without the right to.

use std::time::Duration;

use reqwest::multipart::Form;
use serde_json::json;
use tryon_blob::Folder;
use tryon_core::{error::JobErrorCode, job::SampleState, task::OutputFormat};
use tryon_picture::{Format, Limits, probe, read_text};
use tryon_testkit::{
    fake_node::{Outcome, Reporter},
    upload,
};

use crate::stage::{Answer, CALLBACK_TOKEN, TestApp, result, wait};

fn failure(retryable: bool) -> Outcome {
    Outcome::error(
        JobErrorCode::ProcessingError,
        "the engine failed",
        retryable,
    )
}

fn reporter(app: &TestApp, token: &str) -> Reporter {
    Reporter::new(app.gateway.callback_url().as_str(), token)
}

/// Charged for exactly one picture, and with books in order.
async fn charged_once(app: &TestApp) {
    let balance = app.balance(&app.owner).await;
    assert_eq!((balance.available(), balance.reserved), (99, 0));
    app.check_books().await;
}

#[tokio::test]
async fn a_result_that_comes_many_times_is_charged_once() {
    let app = TestApp::start().await;
    let job = app.submit(json!({})).await;
    let attempt = app.node.wait_for_offer(1).await.job_id();
    let (outcome, other, error) = (result(), Outcome::png(upload::png(32, 32)), failure(false));
    let sender = reporter(&app, CALLBACK_TOKEN);
    let at_once = (0..8).map(|_| sender.send(&attempt, &outcome));
    for reported in futures::future::join_all(at_once).await {
        assert_eq!(reported.status, 200, "{}", reported.body);
    }
    let links = app.wait_for_outputs(job).await;
    let before = app
        .http
        .get(&links[0])
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    for again in [&outcome, &other, &error] {
        assert_eq!(sender.send(&attempt, again).await.status, 200);
    }
    assert_eq!(app.wait_for_outputs(job).await, links);
    let after = app
        .http
        .get(&links[0])
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!(before, after, "what was delivered does not change");
    assert_eq!(app.pictures(Folder::Outputs).await.len(), 1);
    charged_once(&app).await;
}

#[tokio::test]
async fn a_late_picture_of_an_attempt_that_was_given_up_counts_and_ends_the_other() {
    let app = TestApp::start().await;
    let job = app.submit(json!({})).await;
    let first = app.node.wait_for_offer(1).await.job_id();
    app.wait_for_sample(job, SampleState::Running).await;
    app.node.forget();
    app.clock.advance(app.config.jobs.lease.duration());
    let second = wait_for_second(&app).await;
    // A failure of what was given up says nothing about the second attempt.
    let late = reporter(&app, CALLBACK_TOKEN);
    assert_eq!(late.send(&first, &failure(false)).await.status, 200);
    assert_eq!(app.status(job).await["status"], "processing");
    assert_eq!(late.send(&first, &result()).await.status, 200);
    let links = app.wait_for_outputs(job).await;
    assert!(links[0].contains("/0.1.png"), "{links:?}");
    app.node
        .wait_for_requests(&format!("DELETE /tryon/{second}"), 1)
        .await;
    assert_eq!(late.send(&second, &result()).await.status, 200);
    assert_eq!(app.wait_for_outputs(job).await, links);
    assert_eq!(app.pictures(Folder::Outputs).await.len(), 1);
    charged_once(&app).await;
}

async fn wait_for_second(app: &TestApp) -> String {
    wait("the second attempt", async || {
        app.clock.advance(Duration::from_millis(100));
        app.node.runs().len() == 2
    })
    .await;
    app.node.runs()[1].job_id()
}

#[tokio::test]
async fn a_report_for_what_ended_or_never_was_changes_nothing() {
    let app = TestApp::start().await;
    let job = app.submit(json!({})).await;
    let attempt = app.node.wait_for_offer(1).await.job_id();
    app.clock.advance(app.config.jobs.deadline.duration());
    app.wait_for_failure(job).await;
    let sender = reporter(&app, CALLBACK_TOKEN);
    let later = format!("{job}-0.2");
    let beyond = format!("{job}-3.1");
    for name in [
        attempt.as_str(),
        later.as_str(),
        beyond.as_str(),
        "64b7f1a9d9a3b8e5c7f9a123-0.1",
        "job-12345",
        "../../etc/passwd",
    ] {
        for outcome in [result(), failure(true), failure(false)] {
            let reported = sender.send(name, &outcome).await;
            assert_eq!(reported.status, 200, "{name}: {}", reported.body);
        }
    }
    assert_eq!(app.status(job).await["error"]["name"], "Timeout");
    assert_eq!(app.pictures(Folder::Outputs).await, []);
    assert_eq!(app.balance(&app.owner).await.available(), 100);
    app.check_books().await;
}

#[tokio::test]
async fn nobody_reports_without_the_token() {
    let app = TestApp::start().await;
    let job = app.submit(json!({})).await;
    let attempt = app.node.wait_for_offer(1).await.job_id();
    let longer = format!("{CALLBACK_TOKEN}x");
    for token in [
        "",
        "wrong",
        &CALLBACK_TOKEN[1..],
        longer.as_str(),
        &app.owner.key,
    ] {
        let reported = reporter(&app, token).send(&attempt, &result()).await;
        assert_eq!(reported.status, 401, "{token}: {}", reported.body);
    }
    let url = app.gateway.callback_url();
    let without = app
        .http
        .post(url.clone())
        .multipart(Form::new().text("job_id", attempt.clone()));
    Answer::to(without).await.refusal(401, "UnauthorizedAccess");
    let hint = app
        .gateway
        .load_balancer_url()
        .join("job_complete")
        .unwrap();
    Answer::to(app.http.post(hint).json(&json!({})))
        .await
        .refusal(401, "UnauthorizedAccess");
    // The public listener knows none of these routes.
    let public = app
        .http
        .post(app.url(url.path()))
        .header("x-internal-auth", CALLBACK_TOKEN);
    Answer::to(public.body("x")).await.refusal(404, "NotFound");
    assert_eq!(app.status(job).await["status"], "processing");
    assert_eq!(app.pictures(Folder::Outputs).await, []);
}

#[tokio::test]
async fn a_urlencoded_failure_of_other_makes_is_understood() {
    let app = TestApp::start().await;
    for (error, name) in [
        ("No person detected in image", "PoseError"),
        ("something went wrong & stayed so", "ProcessingError"),
    ] {
        let offers = app.node.offers().len();
        let job = app.submit(json!({})).await;
        let attempt = app.node.wait_for_offer(offers + 1).await.job_id();
        let reported = app
            .node
            .report(&attempt, &Outcome::PlainError(error.to_owned()))
            .await;
        assert_eq!(reported.status, 200);
        assert_eq!(
            app.wait_for_failure(job).await,
            (name.to_owned(), error.to_owned())
        );
    }
    assert_eq!(app.balance(&app.owner).await.available(), 100);
}

#[tokio::test]
async fn a_report_that_does_not_read_is_refused_and_changes_nothing() {
    let app = TestApp::start().await;
    let job = app.submit(json!({})).await;
    app.node.wait_for_offer(1).await;
    let post = || {
        let request = app.http.post(app.gateway.callback_url());
        request.header("x-internal-auth", CALLBACK_TOKEN)
    };
    let form = "application/x-www-form-urlencoded";
    for request in [
        post().body("job_id=x"),
        post().header("content-type", "application/json").body("{}"),
        post()
            .header("content-type", "multipart/form-data")
            .body("x"),
        post()
            .header("content-type", "multipart/form-data; boundary=b")
            .body("--b\r\nnonsense"),
        post().multipart(Form::new().text("user_id", "u")),
        post()
            .header("content-type", form)
            .body("error=without+a+job"),
    ] {
        Answer::to(request).await.refusal(400, "BadRequest");
    }
    let long = format!("job_id=x&error={}", "e".repeat(100_000));
    let long = post().header("content-type", form).body(long);
    Answer::to(long).await.refusal(400, "BadRequest");
    assert_eq!(app.status(job).await["status"], "processing");
}

#[tokio::test]
async fn an_output_has_the_format_that_was_asked_for_and_says_what_made_it() {
    let app = TestApp::start().await;
    for (format, bytes) in [("png", upload::jpeg(48, 64)), ("jpeg", upload::png(48, 64))] {
        let offers = app.node.offers().len();
        let job = app.submit(json!({"output_format": format})).await;
        let attempt = app.node.wait_for_offer(offers + 1).await.job_id();
        // Whatever the node calls it.
        app.node
            .report(
                &attempt,
                &Outcome::Picture {
                    bytes,
                    format: OutputFormat::Png,
                },
            )
            .await;
        let links = app.wait_for_outputs(job).await;
        let answer = app.http.get(&links[0]).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], format!("image/{format}"));
        let file = answer.bytes().await.unwrap();
        let header = probe(&file, &Limits::default()).unwrap();
        let expected = if format == "png" {
            Format::Png
        } else {
            Format::Jpeg
        };
        assert_eq!(
            (header.format, header.width, header.height),
            (expected, 48, 64)
        );
        let texts = read_text(&file);
        assert!(
            texts.iter().any(|(_, text)| text.contains("tryon preview")),
            "{texts:?}"
        );
    }
}
