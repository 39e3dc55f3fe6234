//! What would become of a picture is told for nothing.

use image::{Rgba, RgbaImage};
use serde_json::{Value, json};
use tryon_api::{
    callback::ResultError,
    node::{CheckReport, MaskReport, Readiness, field},
    public::Rectangle,
};
use tryon_core::error::JobErrorCode;
use tryon_picture::{Limits, decode, encode_png};
use tryon_store::NodeState;
use tryon_testkit::{
    fake_node::{Outcome, Reaction},
    upload,
};

use crate::{
    dispatch::start_with_two,
    stage::{Answer, TestApp, data_url, wait},
};

pub(crate) async fn check(app: &TestApp, body: Value) -> Value {
    let answer = app.post("/check", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body
}

#[tokio::test]
async fn a_picture_is_looked_at_for_nothing() {
    let app = TestApp::start().await;
    let turned = check(&app, json!({"image": data_url(&upload::rotated(300, 200))})).await;
    assert_eq!(
        (&turned["usable"], &turned["error"]),
        (&json!(true), &Value::Null)
    );
    let found = &turned["picture"];
    assert_eq!(
        [
            &found["format"],
            &found["width"],
            &found["height"],
            &found["orientation"]
        ],
        [&json!("jpeg"), &json!(200), &json!(300), &json!(6)]
    );
    let large = json!({"image": data_url(&upload::png(2048, 1024)), "mode": "performance"});
    let prepared = json!({"provider": "preview", "width": 768, "height": 384});
    assert_eq!(check(&app, large).await["prepared"], prepared);
    let kept = app.http.post(app.url("/api/v1/uploads"));
    let kept = kept
        .header("content-type", "image/png")
        .body(upload::png(48, 64));
    let kept = Answer::to(kept.bearer_auth(&app.owner.key)).await;
    let url = &kept.body["url"];
    let ahead = check(&app, json!({"image": url, "task": "tattoo"})).await;
    assert_eq!(ahead["picture"]["height"], 64, "{ahead}");
    assert_eq!(app.balance(&app.owner).await.available(), 100);
    app.wait_until_inputs_are_gone().await;
}

#[tokio::test]
async fn what_is_marked_in_a_picture_is_told() {
    let app = TestApp::start().await;
    let marked = |marked: Rgba<u8>, inside: fn(u32, u32) -> bool| {
        let picture = RgbaImage::from_fn(200, 400, |x, y| {
            if inside(x, y) {
                marked
            } else {
                Rgba([90, 120, 150, 255])
            }
        });
        json!({"image": data_url(&encode_png(&picture, &[]).unwrap())})
    };
    let chest = |x: u32, y: u32| (50..150).contains(&x) && (100..200).contains(&y);
    let around = |x: u32, y: u32| !((50..150).contains(&x) && y >= 100);
    for (paint, by) in [([0, 255, 0, 255], "paint"), ([7, 7, 7, 0], "cut-out")] {
        let asked = app.node.requests("POST /check");
        let answer = check(&app, marked(Rgba(paint), chest)).await;
        assert_eq!(answer["masking"], "marked");
        assert_eq!(app.node.requests("POST /check"), asked + 1);
        let mask = json!({"by": by, "share": 0.125,
            "region": {"x": 0.25, "y": 0.25, "w": 0.5, "h": 0.25}});
        assert_eq!(answer["mask"], mask, "{answer}");
        // A backdrop is not a region to be dressed.
        let answer = check(&app, marked(Rgba(paint), around)).await;
        assert_eq!(answer["mask"], Value::Null, "{answer}");
    }
}

#[tokio::test]
async fn a_check_says_what_a_job_would_fail_with() {
    let app = TestApp::start().await;
    app.node.otherwise(Reaction::Report(Outcome::error(
        JobErrorCode::ProcessingError,
        "it is not to come this far",
        false,
    )));
    for file in [
        b"GIF89a\x01\0\x01\0\0\0\0;".to_vec(),
        upload::truncated(upload::noise(64, 64)),
        upload::animated(),
    ] {
        let checked = check(&app, json!({"image": data_url(&file)})).await;
        assert_eq!(
            (&checked["usable"], &checked["prepared"]),
            (&json!(false), &Value::Null)
        );
        let job = app.submit(json!({"model_image": data_url(&file)})).await;
        let (name, message) = app.wait_for_failure(job).await;
        assert_eq!(checked["error"]["name"], name);
        let told = checked["error"]["message"].as_str().unwrap();
        assert_eq!(told.replace("`image`", "`model_image`"), message);
    }
    let private = check(&app, json!({"image": "http://169.254.169.254/latest"})).await;
    assert_eq!(private["error"]["name"], "ImageLoadError");
    for (body, field) in [
        (json!({}), "`image`"),
        (json!({"image": 7}), "`image`"),
        (json!({"image": "x"}), "`image`"),
        (json!({"image": data_url(b"x"), "task": "shoes"}), "`task`"),
        (json!({"image": data_url(b"x"), "mode": "best"}), "`mode`"),
        (json!({"image": data_url(b"x"), "role": "cat"}), "`role`"),
        (
            json!({"image": data_url(b"x"), "category": "jewelry"}),
            "`subcategory`",
        ),
        (
            json!({"image": data_url(b"x"), "task": "hairstyle"}),
            "`hairstyle`",
        ),
    ] {
        let told = app.post("/check", &body).await.refusal(400, "BadRequest");
        assert!(told.contains(field), "{told}");
    }
}

#[tokio::test]
async fn a_node_says_what_it_would_mask() {
    let app = TestApp::start().await;
    let photo = json!({"image": data_url(&upload::noise(48, 64)), "category": "bottoms"});
    // A node that knows no such question.
    let unknown = check(&app, photo.clone()).await;
    assert_eq!(
        (&unknown["usable"], &unknown["masking"], &unknown["mask"]),
        (&json!(true), &json!("unknown"), &Value::Null)
    );
    let region = Rectangle {
        x: 0.25,
        y: 0.5,
        w: 0.5,
        h: 0.25,
    };
    let (found, refused) = (
        MaskReport { share: 0.1, region },
        ResultError {
            error: "no person was found".to_owned(),
            error_name: JobErrorCode::PoseError,
            retryable: false,
        },
    );
    let say = |mask, error| app.node.set_check(CheckReport { mask, error });
    say(Some(found), None);
    let parsed = check(&app, photo.clone()).await;
    let mask = json!({"by": "parser", "share": 0.1,
        "region": {"x": 0.25, "y": 0.5, "w": 0.5, "h": 0.25}});
    assert_eq!(
        (&parsed["masking"], &parsed["mask"]),
        (&json!("parsed"), &mask)
    );
    say(None, None);
    let free = check(&app, photo.clone()).await;
    assert_eq!(
        (&free["masking"], &free["mask"]),
        (&json!("free"), &Value::Null)
    );
    say(None, Some(refused));
    let unusable = check(&app, photo.clone()).await;
    let error = json!({"name": "PoseError", "message": "no person was found"});
    assert_eq!(
        (
            &unusable["usable"],
            &unusable["error"],
            &unusable["picture"]["width"]
        ),
        (&json!(false), &error, &json!(48))
    );
    // What it was sent.
    let asked = app.node.checks().pop().unwrap();
    assert_eq!(asked.text(field::PROVIDER), "preview");
    assert_eq!(asked.config(), json!({"category": "bottoms"}));
    let sent = decode(&asked.file(field::PERSON), &Limits::default()).unwrap();
    assert_eq!(sent.dimensions(), (48, 64));
    app.node
        .refuse_check(400, "`masked_user_image`: it is too small");
    let refused = check(&app, photo).await;
    let error = json!({"name": "InputValidationError", "message": "`image`: it is too small"});
    assert_eq!(
        (&refused["usable"], &refused["error"]),
        (&json!(false), &error)
    );
    assert_eq!(app.balance(&app.owner).await.available(), 100);
}

#[tokio::test]
async fn another_node_is_asked_unless_one_failed_at_the_photo() {
    let (app, other) = start_with_two().await;
    other.set_readiness(Readiness::Hot);
    wait("the second node", async || {
        let found = app.store.find_node("other").await.unwrap();
        found.is_some_and(|node| node.state == NodeState::Ready)
    })
    .await;
    let photo = json!({"image": data_url(&upload::noise(48, 64))});
    let asked = || app.node.checks().len() + other.checks().len();
    other.set_check(CheckReport {
        mask: None,
        error: None,
    });
    for status in [404, 429, 503] {
        app.node.refuse_check(status, "not now");
        let told = check(&app, photo.clone()).await;
        assert_eq!(told["masking"], "free", "{status}");
    }
    for node in [&app.node, &other] {
        node.refuse_check(500, "the worker died");
    }
    let before = asked();
    assert_eq!(check(&app, photo.clone()).await["masking"], "unknown");
    assert_eq!(asked(), before + 1, "a photo that ended one was sent on");
    let drain = |name| app.store.set_node_drained(name, true);
    assert!(drain("node").await.unwrap() && drain("other").await.unwrap());
    assert_eq!(check(&app, photo).await["masking"], "unknown");
    assert_eq!(asked(), before + 1, "a drained node was asked");
}

#[tokio::test]
async fn no_node_is_asked_about_what_is_not_dressed_by_it() {
    let app = TestApp::start().await;
    let image = data_url(&upload::noise(48, 64));
    for body in [
        json!({"image": image, "role": "garment"}),
        json!({"image": image, "task": "tattoo"}),
        json!({"image": data_url(b"no picture")}),
    ] {
        let answer = check(&app, body).await;
        assert_eq!(answer["masking"], Value::Null, "{answer}");
    }
    assert_eq!(app.node.requests("POST /check"), 0);
}
