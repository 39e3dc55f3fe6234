//! Every field of a submission: what it takes, and that a refusal names it.

use serde_json::{Value, json};
use tryon_core::{
    category::Category,
    task::{GarmentPhotoType, Haircut, Mode, ModerationLevel, OutputFormat, TaskOptions},
};
use tryon_gateway::config::TaskConfig;

use crate::stage::{Answer, TestApp, clothes, hairstyle, picture, tattoo};

/// The haircuts of the contract.
const HAIRCUTS: &str = "Afro BobCut BowlCut BoxBraids BuzzCut Chignon CombOver CornrowBraids \
    CurlyBob CurlyShag DoubleBun Dreadlocks FauxHawk FishtailBraid LongCurly LongHairTiedUp \
    LongHimeCut LongStraight LongTwintails LongWavy LongWavyCurtainBangs ManBun MessyTousled \
    PixieCut Pompadour Ponytail ShortCurlyPixie ShortTwintails ShoulderLengthHair Spiky \
    TexturedFringe TwinBraids Updo WavyShag";

/// A gateway that offers hairstyles as well.
async fn start_with_hair() -> TestApp {
    TestApp::start_with(|config| {
        let entry = json!({"task": "hairstyle", "provider": "qwen", "steps": 4});
        config
            .tasks
            .push(serde_json::from_value::<TaskConfig>(entry).unwrap());
    })
    .await
}

/// Sends each change of a sound body and checks that its refusal names the field.
async fn refuse_each(app: &TestApp, path: &str, sound: impl Fn(Value) -> Value, cases: Vec<Value>) {
    for case in cases {
        let field = case
            .as_object()
            .unwrap()
            .keys()
            .next_back()
            .unwrap()
            .clone();
        let answer = app.post(path, &sound(case.clone())).await;
        assert_eq!(answer.status, 400, "{case}: {}", answer.text);
        let message = answer.refusal(400, "BadRequest");
        assert!(message.contains(&format!("`{field}`")), "{case}: {message}");
        assert!(message.len() < 500, "{case}: {message}");
    }
    assert_eq!(app.balance(&app.owner).await.reserved, 0);
}

/// Wrong in every picture field.
fn wrong_pictures(field: &str) -> Vec<Value> {
    let values = [
        Value::Null,
        json!(""),
        json!("   "),
        json!(7),
        json!(true),
        json!(["https://example.org/a.png"]),
        json!({"url": "https://example.org/a.png"}),
        json!("shirt.png"),
        json!("/etc/passwd"),
        json!("file:///etc/passwd"),
        json!("ftp://example.org/a.png"),
        json!("gopher://example.org/a.png"),
        json!("https://"),
        json!("data:image/png;base64,"),
        json!("data:image/png;base64,%%%"),
        json!("data:image/png,abc"),
        json!("data:text/html;base64,aGVsbG8="),
        json!(format!("https://example.org/{}", "a".repeat(9000))),
    ];
    values
        .into_iter()
        .map(|value| json!({field: value}))
        .collect()
}

/// Wrong in the fields that every route has.
fn wrong_in_common() -> Vec<Value> {
    vec![
        json!({"num_samples": 0}),
        json!({"num_samples": 5}),
        json!({"num_samples": -1}),
        json!({"num_samples": 1.5}),
        json!({"num_samples": "2"}),
        json!({"num_samples": 1e30}),
        json!({"output_format": "webp"}),
        json!({"output_format": "PNG"}),
        json!({"output_format": ""}),
        json!({"output_format": 1}),
        json!({"seed": -1}),
        json!({"seed": 0.5}),
        json!({"seed": "42"}),
        json!({"seed": 1e30}),
    ]
}

#[tokio::test]
async fn clothes_name_each_wrong_field() {
    let app = TestApp::start().await;
    let mut cases = wrong_pictures("model_image");
    cases.extend(wrong_pictures("garment_image"));
    cases.extend(wrong_in_common());
    cases.extend([
        json!({"category": "shoes"}),
        json!({"category": "Tops"}),
        json!({"category": 1}),
        json!({"category": "clothing", "subcategory": null}),
        json!({"category": "clothing", "subcategory": "shoes"}),
        json!({"category": "jewelry", "subcategory": ""}),
        json!({"category": "accessories", "subcategory": " "}),
        json!({"category": "accessories", "subcategory": "a".repeat(141)}),
        json!({"category": "jewelry", "subcategory": 3}),
        json!({"mode": "fast"}),
        json!({"mode": 3}),
        json!({"moderation_level": "strict"}),
        json!({"moderation_level": false}),
        json!({"segmentation_free": "yes"}),
        json!({"segmentation_free": 1}),
        json!({"garment_photo_type": "hanger"}),
        json!({"garment_photo_type": 0}),
    ]);
    for path in ["/tryon/clothes", "/tryon/fashion"] {
        refuse_each(&app, path, clothes, cases.clone()).await;
    }
}

#[tokio::test]
async fn hairstyles_name_each_wrong_field() {
    let app = start_with_hair().await;
    let mut cases = wrong_pictures("face_image");
    cases.extend(wrong_in_common());
    cases.extend([
        json!({"haircut": null}),
        json!({"haircut": ""}),
        json!({"haircut": "Mullet"}),
        json!({"haircut": "bobcut"}),
        json!({"haircut": 7}),
        json!({"hair_color": 7}),
        json!({"hair_color": "r".repeat(141)}),
    ]);
    for path in ["/tryon/hairstyle", "/tryon/hairstyles"] {
        refuse_each(&app, path, hairstyle, cases.clone()).await;
    }
}

#[tokio::test]
async fn tattoos_name_each_wrong_field() {
    let app = TestApp::start().await;
    let mut cases = wrong_pictures("body_image");
    cases.extend(wrong_pictures("design_image"));
    cases.extend(wrong_in_common());
    let region =
        |x: f64, y: f64, w: f64, h: f64| json!({"region": {"x": x, "y": y, "w": w, "h": h}});
    cases.extend([
        json!({"placement": "a".repeat(141)}),
        json!({"placement": ["arm"]}),
        json!({"region": "0,0,1,1"}),
        json!({"region": [0, 0, 1, 1]}),
        region(0.0, 0.0, 0.059, 1.0),
        region(0.0, 0.0, 1.0, 0.0),
        region(-0.1, 0.0, 0.5, 0.5),
        region(0.6, 0.0, 0.5, 0.5),
        region(0.0, 0.6, 0.5, 0.5),
        region(0.0, 0.0, 1.5, 0.5),
    ]);
    refuse_each(&app, "/tryon/tattoo", tattoo, cases).await;
    for wrong in [
        json!({"x": 0, "y": 0, "w": 1}),
        json!({"x": "0", "y": 0, "w": 1, "h": 1}),
    ] {
        let body = tattoo(json!({"region": wrong}));
        let message = app
            .post("/tryon/tattoo", &body)
            .await
            .refusal(400, "BadRequest");
        assert!(message.contains("region"), "{message}");
    }
}

#[tokio::test]
async fn every_haircut_of_the_contract_is_taken() {
    let app = start_with_hair().await;
    let names: Vec<_> = HAIRCUTS.split_whitespace().collect();
    assert_eq!(names.len(), 34);
    assert_eq!(names, Haircut::NAMES);
    for (index, name) in names.into_iter().enumerate() {
        let path = ["/tryon/hairstyle", "/tryon/hairstyles"][index % 2];
        let body = hairstyle(json!({"haircut": name, "hair_color": "copper red"}));
        let job = app.post(path, &body).await.job();
        let options = app.job(job).await.request.options;
        let TaskOptions::Hairstyle {
            haircut,
            hair_color,
        } = options
        else {
            panic!("{options:?}")
        };
        assert_eq!(
            (haircut.as_str(), hair_color.as_deref()),
            (name, Some("copper red"))
        );
    }
}

#[tokio::test]
async fn every_category_means_what_the_contract_says() {
    let app = TestApp::start().await;
    let cases = [
        (json!({}), Category::Auto, None),
        (json!({"category": "auto"}), Category::Auto, None),
        (json!({"category": "tops"}), Category::Tops, None),
        (json!({"category": "bottoms"}), Category::Bottoms, None),
        (json!({"category": "one-pieces"}), Category::OnePieces, None),
        (
            json!({"category": "clothing", "subcategory": "tops"}),
            Category::Tops,
            None,
        ),
        (
            json!({"category": "clothing", "subcategory": "bottoms"}),
            Category::Bottoms,
            None,
        ),
        (
            json!({"category": "clothing", "subcategory": "dresses"}),
            Category::OnePieces,
            None,
        ),
        (json!({"category": "eyewear"}), Category::Eyewear, None),
        (json!({"category": "footwear"}), Category::Footwear, None),
        (json!({"category": "headwear"}), Category::Headwear, None),
        (
            json!({"category": "jewelry", "subcategory": "ring"}),
            Category::Jewelry,
            Some("ring"),
        ),
        (
            json!({"category": "accessories", "subcategory": "bag"}),
            Category::Accessories,
            Some("bag"),
        ),
        (json!({"category": "others"}), Category::Others, None),
    ];
    for (fields, wanted, finer) in cases {
        let job = app.submit(fields.clone()).await;
        let options = app.job(job).await.request.options;
        let TaskOptions::Clothes {
            category,
            subcategory,
            ..
        } = options
        else {
            panic!("{options:?}")
        };
        assert_eq!(
            (category, subcategory.as_deref()),
            (wanted, finer),
            "{fields}"
        );
    }
}

#[tokio::test]
async fn what_is_absent_has_its_default_and_what_is_unknown_is_ignored() {
    let app = TestApp::start().await;
    let more = json!({"utm_source": "shop", "seed": null, "webhook": {"url": [1, 2]}});
    let job = app.job(app.submit(more).await).await;
    assert_eq!(job.request.mode, Mode::Balanced);
    assert_eq!(job.request.output_format, OutputFormat::Png);
    assert_eq!(job.request.moderation, ModerationLevel::Permissive);
    assert_eq!(job.samples.len(), 1);
    let TaskOptions::Clothes {
        garment_photo_type,
        segmentation_free,
        ..
    } = job.request.options
    else {
        panic!("these are clothes")
    };
    assert_eq!(
        (garment_photo_type, segmentation_free),
        (GarmentPhotoType::Auto, true)
    );
}

#[tokio::test]
async fn what_is_given_is_kept_as_it_is() {
    let app = TestApp::start().await;
    let fields = json!({
        "mode": "quality", "num_samples": 4, "output_format": "jpeg", "seed": u64::from(u32::MAX),
        "moderation_level": "conservative", "segmentation_free": false,
        "garment_photo_type": "flat-lay",
    });
    let job = app.job(app.submit(fields).await).await;
    assert_eq!(job.request.mode, Mode::Quality);
    assert_eq!(job.request.output_format, OutputFormat::Jpeg);
    assert_eq!(job.request.moderation, ModerationLevel::Conservative);
    let seeds: Vec<_> = job.samples.iter().map(|sample| sample.seed).collect();
    let first = u64::from(u32::MAX);
    assert_eq!(seeds, [first, first + 1, first + 2, first + 3]);
    let region = json!({"x": 0.25, "y": 0.25, "w": 0.06, "h": 0.5});
    let body = tattoo(json!({"placement": "é".repeat(140), "region": region}));
    let job = app.job(app.post("/tryon/tattoo", &body).await.job()).await;
    let TaskOptions::Tattoo { placement, region } = job.request.options else {
        panic!("this is a tattoo")
    };
    assert_eq!(placement.unwrap().chars().count(), 140);
    assert!((region.unwrap().w - 0.06).abs() < 1e-6);
}

/// Neither the database nor anybody else takes what a client writes for an order.
#[tokio::test]
async fn a_text_is_kept_and_not_obeyed() {
    let app = TestApp::start().await;
    let orders = [
        "x'); DROP TABLE jobs; --",
        "$1 $2 %s ? {0} ${HOME} `id`",
        r#"","seed":7,"x":"\u0027 OR 1=1"#,
        "</script><script>alert(1)</script>",
        "two\r\nlines: and a header",
    ];
    for order in orders {
        let body = tattoo(json!({"placement": order}));
        let request = app.http.post(app.url("/api/v1/tryon/tattoo"));
        let request = request.bearer_auth(&app.owner.key).json(&body);
        // Names of submissions are on one line, which the client sees to.
        let name = order.replace(['\r', '\n'], " ");
        let job = Answer::to(request.header("Idempotency-Key", &name))
            .await
            .job();
        let TaskOptions::Tattoo { placement, .. } = app.job(job).await.request.options else {
            panic!("this is a tattoo")
        };
        assert_eq!(placement.as_deref(), Some(order));
        let known = app
            .store
            .find_submission(app.owner.account, &name, app.now());
        assert_eq!(known.await.unwrap().unwrap().job, job);
    }
    app.check_books().await;
}

#[tokio::test]
async fn bodies_that_are_no_object_are_refused() {
    let app = TestApp::start().await;
    let url = app.url("/api/v1/tryon/clothes");
    let twice = format!(
        r#"{{"seed": 1, "seed": 2, "model_image": "{}"}}"#,
        picture()
    );
    let nested = "[".repeat(100_000);
    for body in [
        "",
        " ",
        "{",
        "[]",
        "null",
        "7",
        "\"text\"",
        "{}x",
        "\u{feff}{}",
        &twice,
        &nested,
    ] {
        let request = app
            .http
            .post(&url)
            .bearer_auth(&app.owner.key)
            .body(body.to_owned());
        let answer = crate::stage::Answer::to(request).await;
        let message = answer.refusal(400, "BadRequest");
        assert!(message.len() < 300, "{message}");
    }
    let latin = app
        .http
        .post(&url)
        .bearer_auth(&app.owner.key)
        .body(b"{\"a\": \"\xff\"}".to_vec());
    crate::stage::Answer::to(latin)
        .await
        .refusal(400, "BadRequest");
}
