//! What clients send by mistake, each with the words they get.

use std::time::Duration;

use insta::assert_json_snapshot;
use serde_json::{Map, Value, json};
use tryon_node::config::Seconds;
use tryon_testkit::upload;

use crate::{
    form::Form,
    stage::{Stage, TOKEN, send},
    wire::Wire,
};

const TEXTS: [&str; 5] = ["job_id", "user_id", "session_id", "provider", "config"];
const FILES: [&str; 2] = ["masked_user_image", "garment_image"];

/// Submits forms that must be refused with 400, and gives the details by their names.
async fn details<'a>(stage: &Stage, forms: impl IntoIterator<Item = (&'a str, Form)>) -> Value {
    let mut details = Map::new();
    for (name, form) in forms {
        let answer = stage.tryon(&form).await;
        assert_eq!(answer.status, 400, "{name}");
        let body = answer.json();
        assert_eq!(body, json!({"detail": body["detail"]}), "{name}");
        details.insert(name.to_owned(), body["detail"].clone());
    }
    // Whatever was sent, the node goes on.
    stage.submit(&Form::tryon("good")).await;
    assert_eq!(stage.result().await.text("error"), "");
    details.into()
}

/// The job with this in its garment's place.
fn garment(file: Vec<u8>) -> Form {
    Form::tryon("job").set("garment_image", file)
}

fn config(text: &str) -> Form {
    Form::tryon("job").set("config", text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_field_is_named() {
    let stage = Stage::start().await;
    let fields = TEXTS.iter().chain(&FILES);
    let forms = fields.map(|name| (*name, Form::tryon("job").without(name)));
    assert_json_snapshot!(details(&stage, forms).await, @r#"
    {
      "job_id": "`job_id` is missing",
      "user_id": "`user_id` is missing",
      "session_id": "`session_id` is missing",
      "provider": "`provider` is missing",
      "config": "`config` is missing",
      "masked_user_image": "`masked_user_image` is missing",
      "garment_image": "`garment_image` is missing"
    }
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_field_is_named() {
    let stage = Stage::start().await;
    let fields = TEXTS.iter().chain(&FILES);
    let forms = fields.map(|name| (*name, Form::tryon("job").set(name, "")));
    assert_json_snapshot!(details(&stage, forms).await, @r#"
    {
      "job_id": "`job_id` is empty",
      "user_id": "`user_id` is empty",
      "session_id": "`session_id` is empty",
      "provider": "`provider` is empty",
      "config": "`config` is empty",
      "masked_user_image": "`masked_user_image` is empty",
      "garment_image": "`garment_image` is empty"
    }
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doubled_field_is_named() {
    let stage = Stage::start().await;
    let texts = TEXTS.map(|name| (name, Form::tryon("job").with(name, "again")));
    let files = FILES.map(|name| {
        let again = Form::tryon("job").with_file(name, upload::png(16, 16));
        (name, again)
    });
    let forms = texts.into_iter().chain(files);
    assert_json_snapshot!(details(&stage, forms).await, @r#"
    {
      "job_id": "`job_id` was sent more than once",
      "user_id": "`user_id` was sent more than once",
      "session_id": "`session_id` was sent more than once",
      "provider": "`provider` was sent more than once",
      "config": "`config` was sent more than once",
      "masked_user_image": "`masked_user_image` was sent more than once",
      "garment_image": "`garment_image` was sent more than once"
    }
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_cannot_be_used_is_named() {
    let stage = Stage::start().await;
    let forms = [
        ("blank", Form::tryon("job").set("user_id", "  ")),
        ("line break", Form::tryon("job").set("job_id", "a\nb")),
        ("not UTF-8", Form::tryon("job").set("session_id", [0xff])),
        ("long", Form::tryon(&"x".repeat(257))),
        (
            "unknown provider",
            Form::tryon("job").set("provider", "Qwen\u{7}"),
        ),
        ("long config", config(&" ".repeat(65_537))),
    ];
    assert_json_snapshot!(details(&stage, forms).await, @r#"
    {
      "blank": "`user_id` is empty",
      "line break": "`job_id` has control characters",
      "not UTF-8": "`session_id` is not UTF-8 text",
      "long": "`job_id` has more than 256 bytes",
      "unknown provider": "Invalid provider: Qwen",
      "long config": "`config` has more than 65536 bytes"
    }
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_config_is_told_what_is_wrong() {
    let stage = Stage::start().await;
    let texts = [
        "seed=42",
        "[1]",
        "42",
        "null",
        r#"{"seed": 42"#,
        r#"{"seed": "42"}"#,
        r#"{"seed": -1}"#,
        r#"{"seed": 1.5}"#,
        r#"{"steps": 0}"#,
        r#"{"steps": 101}"#,
        r#"{"steps": "4"}"#,
        r#"{"cfg": -1}"#,
        r#"{"cfg": 20.5}"#,
        r#"{"cfg": "high"}"#,
        r#"{"prompt": 1}"#,
        r#"{"width": 32, "height": 512}"#,
        r#"{"width": 512}"#,
        r#"{"progress_url": "file:///etc/passwd"}"#,
    ];
    let forms = texts.map(|text| (text, config(text)));
    assert_json_snapshot!(details(&stage, forms).await, @r#"
    {
      "seed=42": "`config` is not JSON: expected value at line 1 column 1",
      "[1]": "`config` is a list, not a JSON object such as {\"seed\": 42}",
      "42": "`config` is a number, not a JSON object such as {\"seed\": 42}",
      "null": "`config` is null, not a JSON object such as {\"seed\": 42}",
      "{\"seed\": 42": "`config` is not JSON: EOF while parsing an object at line 1 column 11",
      "{\"seed\": \"42\"}": "`config.seed` is wrong: invalid type: string \"42\", expected u64",
      "{\"seed\": -1}": "`config.seed` is wrong: invalid value: integer `-1`, expected u64",
      "{\"seed\": 1.5}": "`config.seed` is wrong: invalid type: floating point `1.5`, expected u64",
      "{\"steps\": 0}": "`config.steps` is 0, not a whole number from 1 to 100",
      "{\"steps\": 101}": "`config.steps` is 101, not a whole number from 1 to 100",
      "{\"steps\": \"4\"}": "`config.steps` is wrong: invalid type: string \"4\", expected u32",
      "{\"cfg\": -1}": "`config.cfg` is -1, not a number from 0 to 20",
      "{\"cfg\": 20.5}": "`config.cfg` is 20.5, not a number from 0 to 20",
      "{\"cfg\": \"high\"}": "`config.cfg` is wrong: invalid type: string \"high\", expected f32",
      "{\"prompt\": 1}": "`config.prompt` is wrong: invalid type: integer `1`, expected a string",
      "{\"width\": 32, \"height\": 512}": "`config.width` is 32, not a whole number from 64 to 4096",
      "{\"width\": 512}": "`config.height` is missing: `width` and `height` come together",
      "{\"progress_url\": \"file:///etc/passwd\"}": "`config.progress_url` is a `file` address, not an http or https address"
    }
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_cannot_be_used_is_told_why() {
    let stage = Stage::start().await;
    let forms = [
        ("text called .png", garment(b"I am no picture.".to_vec())),
        ("page", garment(b"<!doctype html><p>404".to_vec())),
        ("GIF", garment(b"GIF89a\x01\0\x01\0\0\0\0;".to_vec())),
        (
            "cut off PNG",
            garment(upload::truncated(upload::png(64, 64))),
        ),
        (
            "cut off JPEG",
            garment(upload::truncated(upload::jpeg(512, 512))),
        ),
        ("1x1", garment(upload::png(1, 1))),
        ("a strip", garment(upload::png(15, 400))),
        (
            "40,000x40,000",
            garment(upload::header_only(40_000, 40_000)),
        ),
        ("header only", garment(upload::header_only(64, 64))),
        ("animated", garment(upload::animated())),
        ("25 MB", garment(vec![0; 25_000_000])),
        (
            "the person's",
            Form::tryon("job").set("masked_user_image", upload::png(1, 1)),
        ),
    ];
    assert_json_snapshot!(details(&stage, forms).await, @r#"
    {
      "text called .png": "`garment_image`: the file is text, not a picture that can be read; send a PNG, JPEG or WebP file",
      "page": "`garment_image`: the file is an HTML page, not a picture that can be read; send a PNG, JPEG or WebP file",
      "GIF": "`garment_image`: the file is a GIF picture, not a picture that can be read; send a PNG, JPEG or WebP file",
      "cut off PNG": "`garment_image`: the PNG picture is cut off; send the whole file",
      "cut off JPEG": "`garment_image`: the JPEG picture is cut off; send the whole file",
      "1x1": "`garment_image`: the picture is 1x1; both sides need at least 16 pixels",
      "a strip": "`garment_image`: the picture is 15x400; both sides need at least 16 pixels",
      "40,000x40,000": "`garment_image`: the picture is 40000x40000, that is 1600000000 pixels and 40000000 are accepted; scale it down",
      "header only": "`garment_image`: the PNG picture is cut off; send the whole file",
      "animated": "`garment_image`: the PNG picture is animated; send a still picture",
      "25 MB": "`garment_image` has more than 20000000 bytes",
      "the person's": "`masked_user_image`: the picture is 1x1; both sides need at least 16 pixels"
    }
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_pictures_are_taken() {
    let stage = Stage::start().await;
    let pictures = [
        ("CMYK", upload::cmyk(40, 48), (40, 48)),
        ("16 bits", upload::deep(40, 48), (40, 48)),
        ("turned by EXIF", upload::rotated(40, 48), (48, 40)),
        ("transparent", upload::transparent(40, 48), (40, 48)),
        ("smallest", upload::png(16, 16), (16, 16)),
    ];
    for (name, file, size) in pictures {
        stage.wait_for_slot().await;
        let form = Form::tryon(name)
            .set("masked_user_image", file.clone())
            .set("garment_image", file);
        stage.submit(&form).await;
        let result = stage.result().await;
        assert_eq!(result.text("job_id"), name);
        let picture = image::load_from_memory(&result.parts["output_image"].bytes).unwrap();
        assert_eq!((picture.width(), picture.height()), size, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_asked_for_is_read_over() {
    let stage = Stage::start().await;
    let form = Form::tryon("job")
        .with("priority", "high")
        .with_file("mask", upload::png(8, 8))
        .config(&json!({"sampler": "euler", "seed": null}));
    stage.submit(&form).await;
    assert_eq!(stage.result().await.text("error"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_form_is_refused() {
    let stage = Stage::start().await;
    let boundary = Form::content_type();
    let whole = Form::tryon("job").encode();
    let half = whole[..whole.len() / 2].to_vec();
    let bodies = [
        ("JSON", "application/json", b"{}".to_vec()),
        (
            "urlencoded",
            "application/x-www-form-urlencoded",
            b"job_id=1".to_vec(),
        ),
        ("no boundary", "multipart/form-data", whole.clone()),
        ("other boundary", "multipart/form-data; boundary=x", whole),
        ("cut off", &boundary, half),
        ("empty", &boundary, Vec::new()),
    ];
    let mut details = Map::new();
    for (name, content_type, body) in bodies {
        let request = stage
            .request(reqwest::Method::POST, "/tryon")
            .header("x-internal-auth", TOKEN)
            .header("content-type", content_type)
            .body(body);
        let answer = send(request).await;
        assert_eq!(answer.status, 400, "{name}");
        details.insert(name.to_owned(), answer.detail().into());
    }
    assert_json_snapshot!(details, @r#"
    {
      "JSON": "the body is not `multipart/form-data`: Content-Type is not multipart/form-data",
      "urlencoded": "the body is not `multipart/form-data`: Content-Type is not multipart/form-data",
      "no boundary": "the body is not `multipart/form-data`: multipart boundary not found in Content-Type",
      "other boundary": "the form is cut off or malformed: incomplete multipart stream",
      "cut off": "the form is cut off or malformed: field \"masked_user_image\" received with incomplete data",
      "empty": "the form is cut off or malformed: incomplete multipart stream"
    }
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_asked_for_counts_too() {
    let stage = Stage::start_with(|config| config.limits.picture_bytes = 10_000).await;
    let form = Form::tryon("job").with("essay", &"x".repeat(1_100_000));
    let answer = stage.tryon(&form).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.detail(),
        "the request has more than 1020000 bytes; send smaller pictures"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stands_still_times_out() {
    let stage = Stage::start_with(|config| {
        config.limits.stall_timeout = Seconds::from(Duration::from_millis(200));
    })
    .await;
    for path in ["/tryon", "/infer"] {
        let mut wire = Wire::post(&stage, path, TOKEN, "", &Form::tryon("job")).await;
        wire.send(300).await;
        let (head, body) = wire.answer().await;
        assert!(head.starts_with("http/1.1 408"), "{head}");
        assert_eq!(
            body,
            r#"{"detail":"the upload stood still for 0.2 s; send it again"}"#
        );
    }
    stage.submit(&Form::tryon("job")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_trickles_times_out() {
    let stage = Stage::start_with(|config| {
        config.limits.upload_timeout = Seconds::from(Duration::from_millis(300));
    })
    .await;
    let mut wire = Wire::post(&stage, "/tryon", TOKEN, "", &Form::tryon("job")).await;
    let mut trickle = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..20 {
        trickle.tick().await;
        wire.send(1).await;
    }
    let (head, body) = wire.answer().await;
    assert!(head.starts_with("http/1.1 408"), "{head}");
    assert_eq!(
        body,
        r#"{"detail":"the upload took longer than 0.3 s; send smaller pictures"}"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_in_the_middle_leaves_nothing() {
    let stage = Stage::start_with(|config| config.limits.uploads = 1).await;
    let mut wire = Wire::post(&stage, "/tryon", TOKEN, "", &Form::tryon("job")).await;
    wire.send(500).await;
    drop(wire);
    // Its place is free again, and its id is not known.
    let mut answer = stage.tryon(&Form::tryon("job")).await;
    while answer.status == 429 {
        answer = stage.tryon(&Form::tryon("job")).await;
    }
    assert_eq!(answer.status, 202);
    assert_eq!(stage.result().await.text("job_id"), "job");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_end_is_cut_off() {
    let stage = Stage::start_with(|config| {
        config.limits.header_timeout = Seconds::from(Duration::from_millis(200));
    })
    .await;
    let mut wire = Wire::connect(&stage).await;
    wire.write(b"GET /health HTTP/1.1\r\nHost:").await;
    assert_eq!(wire.rest().await, "");
}
