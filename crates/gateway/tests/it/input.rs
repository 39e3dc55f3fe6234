//! Pictures that cannot be used, failures of the engine, and deadlines: each fails the job under
//! its own name and costs nothing.

use std::time::Duration;

use serde_json::json;
use tryon_core::{error::JobErrorCode, job::JobState};
use tryon_picture::{Limits, decode, probe, read_text};
use tryon_testkit::{
    fake_node::{Outcome, Reaction},
    upload,
};

use crate::{
    host::Host,
    stage::{TestApp, clothes, data_url, hairstyle, result, tattoo},
};

#[tokio::test]
async fn a_picture_that_is_none_is_named_with_what_is_wrong() {
    let app = TestApp::start().await;
    let cut = upload::truncated(upload::noise(64, 64));
    let damaged = {
        let mut file = upload::noise(64, 64);
        let middle = file.len() / 2;
        file[middle..middle + 64].fill(0);
        file
    };
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("text called .png", b"this is no picture".to_vec(), "text"),
        ("html", b"<!doctype html><html></html>".to_vec(), ""),
        ("gif", b"GIF89a\x01\0\x01\0\0\0\0;".to_vec(), "GIF"),
        ("noise", (0..=255).collect(), ""),
        ("cut off", cut, ""),
        ("damaged", damaged, ""),
        ("only a head", b"\x89PNG\r\n\x1a\n".to_vec(), ""),
        ("zeros", vec![0; 4096], ""),
    ];
    for (what, file, words) in cases {
        for field in ["model_image", "garment_image"] {
            let job = app.submit(json!({field: data_url(&file)})).await;
            let (name, message) = app.wait_for_failure(job).await;
            assert_eq!(name, "ImageLoadError", "{what}: {message}");
            let named = message.contains(&format!("`{field}`"));
            assert!(named && message.contains(words), "{what}: {message}");
        }
    }
    assert!(app.node.offers().is_empty());
    app.wait_until_inputs_are_gone().await;
}

#[tokio::test]
async fn a_picture_that_is_not_taken_says_why() {
    let app = TestApp::start().await;
    for (file, words) in [
        (upload::header_only(40_000, 40_000), "40000x40000"),
        (upload::animated(), "animated"),
    ] {
        let job = app.submit(json!({"model_image": data_url(&file)})).await;
        let (name, message) = app.wait_for_failure(job).await;
        assert_eq!(name, "InputValidationError", "{message}");
        assert!(
            message.contains("`model_image`") && message.contains(words),
            "{message}"
        );
    }
    // 25 MB are refused before there is a job.
    let large = data_url(&vec![0xff; 25_000_000]);
    let body = clothes(json!({"model_image": large}));
    let message = app
        .post("/tryon/clothes", &body)
        .await
        .refusal(400, "BadRequest");
    assert!(message.contains("`model_image`"), "{message}");
    assert_eq!(app.balance(&app.owner).await.available(), 100);
}

#[tokio::test]
async fn the_fields_of_each_task_are_named() {
    let app = TestApp::start_with(|config| {
        let entry = json!({"task": "hairstyle", "provider": "qwen"});
        config.tasks.push(serde_json::from_value(entry).unwrap());
    })
    .await;
    let text = data_url(b"no picture");
    for (path, body, field) in [
        (
            "/tryon/hairstyle",
            hairstyle(json!({"face_image": text})),
            "face_image",
        ),
        (
            "/tryon/tattoo",
            tattoo(json!({"body_image": text})),
            "body_image",
        ),
        (
            "/tryon/tattoo",
            tattoo(json!({"design_image": text})),
            "design_image",
        ),
    ] {
        let job = app.post(path, &body).await.job();
        let (_, message) = app.wait_for_failure(job).await;
        assert!(message.contains(&format!("`{field}`")), "{message}");
    }
}

#[tokio::test]
async fn odd_pictures_reach_the_node_upright_small_and_bare() {
    let app = TestApp::start_with(|config| {
        for entry in &mut config.tasks {
            entry.max_side = 256;
        }
    })
    .await;
    app.node.otherwise(Reaction::Report(result()));
    let cases = [
        (upload::jpeg(768, 1024), (192, 256)),
        (upload::rotated(400, 300), (192, 256)),
        (upload::cmyk(64, 32), (64, 32)),
        (upload::deep(32, 64), (32, 64)),
        (upload::transparent(48, 48), (48, 48)),
    ];
    for (index, (file, size)) in cases.into_iter().enumerate() {
        let job = app.submit(json!({"model_image": data_url(&file)})).await;
        app.wait_for_outputs(job).await;
        let sent = app.node.offers()[index].file("masked_user_image");
        let header = probe(&sent, &Limits::default()).unwrap();
        assert_eq!((header.width, header.height), size, "picture {index}");
        assert_eq!(read_text(&sent), [], "picture {index}");
        decode(&sent, &Limits::default()).unwrap();
    }
    // A mask may be painted as transparency: it is kept.
    let clear = app.node.offers()[4].file("masked_user_image");
    assert_eq!(
        decode(&clear, &Limits::default()).unwrap().get_pixel(0, 0)[3],
        0
    );
}

#[tokio::test]
async fn what_an_engine_refuses_keeps_its_name() {
    let app = TestApp::start().await;
    for name in [
        JobErrorCode::PoseError,
        JobErrorCode::ProcessingError,
        JobErrorCode::InputValidationError,
        JobErrorCode::ContentModerationError,
        JobErrorCode::Cancelled,
        JobErrorCode::Timeout,
    ] {
        app.node.script([Reaction::Report(Outcome::error(
            name,
            "in the node's words",
            false,
        ))]);
        let job = app.submit(json!({})).await;
        let (found, message) = app.wait_for_failure(job).await;
        assert_eq!(
            (found.as_str(), message.as_str()),
            (name.as_str(), "in the node's words")
        );
    }
    // Nobody tries what cannot succeed.
    assert_eq!(app.node.runs().len(), 6);
    assert_eq!(app.balance(&app.owner).await.available(), 100);
}

#[tokio::test]
async fn a_deadline_ends_a_job_wherever_it_is() {
    let app = TestApp::start().await;
    let deadline = app.config.jobs.deadline.duration();
    let running = app.submit(json!({"num_samples": 2})).await;
    let attempt = app.node.wait_for_offer(1).await.job_id();
    app.wait_for_state(running, JobState::Running).await;
    let waiting = app.submit(json!({})).await;
    app.wait_for_state(waiting, JobState::Prepared).await;
    app.clock
        .advance(deadline.checked_sub(Duration::from_millis(1)).unwrap());
    assert_eq!(app.status(running).await["status"], "processing");
    app.clock.advance(Duration::from_millis(1));
    for job in [running, waiting] {
        let (name, message) = app.wait_for_failure_among(job).await;
        assert_eq!(name, "Timeout", "{message}");
        assert!(message.contains("110"), "{message}");
    }
    // The node is told, so that its device is free for others.
    app.node
        .wait_for_requests(&format!("DELETE /tryon/{attempt}"), 1)
        .await;
    assert_eq!(app.balance(&app.owner).await.available(), 100);
    app.wait_until_inputs_are_gone().await;
    app.check_books().await;
}

#[tokio::test]
async fn a_job_with_some_pictures_at_its_deadline_delivers_those() {
    let app = TestApp::start().await;
    app.node.script([Reaction::Report(result())]);
    let job = app.submit(json!({"num_samples": 2})).await;
    app.node.wait_for_offer(2).await;
    app.clock.advance(app.config.jobs.deadline.duration());
    assert_eq!(app.wait_for_outputs(job).await.len(), 1);
    assert_eq!(app.balance(&app.owner).await.available(), 99);
    app.check_books().await;
}

#[tokio::test]
async fn a_deadline_ends_a_job_whose_pictures_do_not_come() {
    let host = Host::start().await;
    let app = TestApp::start_with(|config| {
        config.fetch.allow_private = true;
    })
    .await;
    let job = app
        .submit(json!({"garment_image": host.url("/mute")}))
        .await;
    assert_eq!(app.job(job).await.state, JobState::Accepted);
    app.clock.advance(app.config.jobs.deadline.duration());
    let (name, _) = app.wait_for_failure(job).await;
    assert_eq!(name, "Timeout");
    app.wait_until_inputs_are_gone().await;
    assert!(app.node.offers().is_empty());
    assert_eq!(app.balance(&app.owner).await.available(), 100);
}
