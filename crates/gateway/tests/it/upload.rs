//! Pictures ahead of jobs: kept for a while, and used where they lie.

use std::time::Duration;

use reqwest::multipart::{Form, Part};
use serde_json::json;
use tryon_api::node::field;
use tryon_blob::Folder;
use tryon_core::{error::JobErrorCode, time::Seconds};
use tryon_picture::{Limits, decode};
use tryon_testkit::{fake_node::Reaction, upload};

use crate::{
    check::check,
    host::Host,
    stage::{Answer, Customer, GENEROUS, TestApp, clothes, result, wait},
};

/// Uploads a file as it is.
async fn send(app: &TestApp, who: &Customer, file: Vec<u8>) -> Answer {
    let request = app.http.post(app.url("/api/v1/uploads"));
    let request = request.header("content-type", "image/png").body(file);
    Answer::to(request.bearer_auth(&who.key)).await
}

/// The address of an upload.
async fn uploaded(app: &TestApp, file: Vec<u8>) -> String {
    let answer = send(app, &app.owner, file).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.body["url"].as_str().unwrap().to_owned()
}

async fn erase(app: &TestApp, who: &Customer, url: &str) -> u16 {
    let request = app.http.delete(url).bearer_auth(&who.key);
    Answer::to(request).await.status
}

#[tokio::test]
async fn an_upload_is_used_where_it_lies_in_any_number_of_jobs() {
    let app = TestApp::start().await;
    app.node.otherwise(Reaction::Report(result()));
    let (person, garment) = (upload::noise(48, 64), upload::noise(30, 40));
    let raw = send(&app, &app.owner, person.clone()).await;
    assert_eq!(raw.status, 201, "{}", raw.text);
    let described = json!({"format": "png", "bytes": person.len(), "width": 48, "height": 64,
        "orientation": 1, "has_alpha": false});
    assert_eq!(raw.body["picture"], described);
    assert_eq!(raw.header("location"), raw.body["url"]);
    let form = Form::new()
        .text("note", "passed over")
        .part("file", Part::bytes(garment.clone()).file_name("shirt.png"));
    let form = app.http.post(app.url("/api/v1/uploads")).multipart(form);
    let form = Answer::to(form.bearer_auth(&app.owner.key)).await;
    let pictures = json!({"model_image": raw.body["url"], "garment_image": form.body["url"]});
    for _ in 0..2 {
        let job = app.submit(pictures.clone()).await;
        app.wait_for_outputs(job).await;
        let listed = &app.get("/jobs").await.body["jobs"][0];
        assert_eq!(listed["person_image"], raw.body["url"]);
    }
    let pixels = |file: &[u8]| decode(file, &Limits::default()).unwrap();
    for offer in app.node.offers() {
        for (field, sent) in [(field::PERSON, &person), (field::GARMENT, &garment)] {
            assert_eq!(pixels(&offer.file(field)), pixels(sent));
        }
    }
    app.wait_until_inputs_are_gone().await;
    assert_eq!(app.pictures(Folder::Staged).await.len(), 2);
}

#[tokio::test]
async fn an_upload_is_its_accounts_alone_and_shown_to_nobody() {
    let app = TestApp::start().await;
    let url = uploaded(&app, upload::png(48, 64)).await;
    let stranger = app.customer(10, GENEROUS).await;
    let body = clothes(json!({"garment_image": url}));
    let theirs = app.post_as(&stranger, "/tryon/clothes", &body).await;
    let never = format!("{}/api/v1/uploads/{}", app.url(""), "0".repeat(24));
    let body = clothes(json!({"garment_image": never}));
    let absent = app.post("/tryon/clothes", &body).await;
    let told = theirs.refusal(400, "BadRequest");
    assert!(told.starts_with("`garment_image`"), "{told}");
    // Whose it is cannot be told from the answer.
    assert_eq!(told, absent.refusal(400, "BadRequest"));
    assert_eq!(erase(&app, &stranger, &url).await, 204);
    assert_eq!(app.pictures(Folder::Staged).await.len(), 1);
    for key in [&stranger.key, &app.owner.key] {
        let read = app.http.get(&url).bearer_auth(key);
        Answer::to(read).await.refusal(404, "NotFound");
    }
    let keyless = Answer::to(app.http.delete(&url)).await;
    assert_eq!(keyless.status, 401);
    assert_eq!(erase(&app, &app.owner, &url).await, 204);
    assert_eq!(app.pictures(Folder::Staged).await, []);
    assert_eq!(erase(&app, &app.owner, &url).await, 204);
    assert_eq!(
        erase(&app, &app.owner, &app.url("/api/v1/uploads/x")).await,
        404
    );
}

#[tokio::test]
async fn an_upload_expires_and_a_job_that_was_accepted_before_still_finds_it() {
    let life = Duration::from_secs(4);
    let app = TestApp::start_with(|config| {
        config.jobs.upload_retention = Seconds::new(4);
    })
    .await;
    app.node.otherwise(Reaction::Report(result()));
    let url = uploaded(&app, upload::png(48, 64)).await;
    let fits = json!({"model_image": url});
    let job = app.submit(fits.clone()).await;
    app.wait_for_outputs(job).await;
    // The file is a little younger than the clock, which stood still.
    app.clock.advance(life + Duration::from_mins(1));
    let late = app.post("/tryon/clothes", &clothes(fits)).await;
    let told = late.refusal(400, "BadRequest");
    assert!(told.contains("expired"), "{told}");
    let checked = check(&app, json!({"image": url})).await;
    assert_eq!(checked["usable"], false, "{checked}");
    assert_eq!(app.pictures(Folder::Staged).await.len(), 1);
    app.clock.advance(app.config.jobs.deadline.duration());
    wait("the end of the upload", async || {
        app.pictures(Folder::Staged).await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_job_whose_upload_is_erased_says_so() {
    let host = Host::start().await;
    let app = TestApp::start_with(|config| config.fetch.allow_private = true).await;
    let url = uploaded(&app, upload::png(48, 64)).await;
    // An account's job is not prepared while a quarter of the places are held by four others.
    for _ in 0..4 {
        app.submit(json!({"model_image": host.url("/held")})).await;
    }
    let job = app.submit(json!({"model_image": url})).await;
    assert_eq!(erase(&app, &app.owner, &url).await, 204);
    host.release();
    let (name, message) = app.wait_for_failure_among(job).await;
    assert_eq!(name, JobErrorCode::ImageLoadError.as_str(), "{message}");
    assert!(
        message.contains("`model_image`") && message.contains("upload"),
        "{message}"
    );
}

#[tokio::test]
async fn what_cannot_be_used_is_not_kept() {
    let app = TestApp::start().await;
    for (file, words) in [
        (b"GIF89a\x01\0\x01\0\0\0\0;".to_vec(), "GIF"),
        (Vec::new(), "empty"),
        (upload::header_only(40_000, 40_000), "40000x40000"),
        (upload::animated(), "animated"),
        (vec![0xff; 21 * 1024 * 1024], "bytes"),
    ] {
        let told = send(&app, &app.owner, file)
            .await
            .refusal(400, "BadRequest");
        assert!(told.contains(words), "{told}");
    }
    for form in [
        Form::new().text("image", "not here"),
        Form::new().part("file", Part::bytes(b"text".to_vec())),
    ] {
        let sent = app.http.post(app.url("/api/v1/uploads")).multipart(form);
        let sent = Answer::to(sent.bearer_auth(&app.owner.key)).await;
        sent.refusal(400, "BadRequest");
    }
    assert_eq!(app.pictures(Folder::Staged).await, []);
}

#[tokio::test]
async fn an_account_has_so_many_uploads_at_once() {
    let app = TestApp::start_with(|config| config.limits.uploads = 2).await;
    let first = uploaded(&app, upload::png(48, 64)).await;
    uploaded(&app, upload::png(48, 64)).await;
    let third = send(&app, &app.owner, upload::png(48, 64)).await;
    let told = third.refusal(429, "ConcurrencyLimitExceeded");
    assert!(told.starts_with("2 pictures"), "{told}");
    assert!(!third.header("retry-after").is_empty());
    let other = app.customer(1, GENEROUS).await;
    assert_eq!(send(&app, &other, upload::png(48, 64)).await.status, 201);
    assert_eq!(erase(&app, &app.owner, &first).await, 204);
    uploaded(&app, upload::png(48, 64)).await;
    // Those that expired are not counted, even where they are not yet erased.
    app.clock
        .advance(app.config.jobs.upload_retention.duration() + Duration::from_mins(1));
    let fourth = send(&app, &app.owner, upload::png(48, 64)).await;
    assert_eq!(fourth.status, 201, "{}", fourth.text);
}
