//! The clothing that would be replaced is told without replacing it.

use image::{Rgba, RgbaImage};
use tryon_core::category::Category;
use tryon_engine::{Engine as _, EngineError, Refusal};
use tryon_engine_preview::PreviewEngine;
use tryon_picture::Mask;
use tryon_testkit::drawing::draw_person;

use crate::scene::{example, pairs, rgba};

fn parse(photo: &RgbaImage, category: Category) -> Result<Option<Mask>, EngineError> {
    let parser = PreviewEngine::new().parser();
    parser.expect("the engine has one").parse(photo, category)
}

/// The rectangle around what is found: left, top, right and bottom in shares of the photo.
fn find(photo: &RgbaImage, category: Category) -> [f64; 4] {
    let mask = parse(photo, category).expect("there is a person");
    let frame = mask.and_then(|mask| mask.frame());
    let [x, y, w, h] = frame.expect("they wear something");
    [x, y, x + w, y + h]
}

#[test]
fn a_top_ends_where_bottoms_begin() {
    for (i, pair) in pairs().iter().take(3).enumerate() {
        let photo = rgba(&draw_person(&pair.person));
        let [_, top, _, hem] = find(&photo, Category::Tops);
        let [_, waist, _, ankle] = find(&photo, Category::Bottoms);
        assert!(top < hem && waist < ankle, "{i}");
        assert!((hem - waist).abs() < 0.04, "{i}: {hem} and {waist}");
    }
}

#[test]
fn a_garment_of_no_named_kind_is_taken_for_a_top() {
    let photo = rgba(&draw_person(&pairs()[0].person));
    let tops = find(&photo, Category::Tops);
    assert_eq!(find(&photo, Category::Auto), tops);
    assert!(find(&photo, Category::OnePieces)[3] > tops[3]);
}

#[test]
fn what_is_marked_is_what_would_be_replaced() {
    let person = rgba(&draw_person(&pairs()[0].person));
    let painted = |[left, top, right, bottom]: [u32; 4]| {
        let (width, height) = person.dimensions();
        let mut photo = person.clone();
        for y in top * height / 100..bottom * height / 100 {
            for x in left * width / 100..right * width / 100 {
                photo.put_pixel(x, y, Rgba([0, 255, 0, 255]));
            }
        }
        photo
    };
    let upper_body = painted([25, 25, 75, 50]);
    assert_eq!(find(&upper_body, Category::Tops), [0.25, 0.25, 0.75, 0.5]);
    let unusable = [
        (upper_body, Category::Bottoms),
        (painted([0, 94, 100, 100]), Category::Tops),
    ];
    for (photo, category) in unusable {
        let told = parse(&photo, category);
        assert!(told.is_err(), "{category:?}: {told:?}");
    }
}

#[test]
fn a_photo_that_no_job_could_use_is_refused_as_its_job_would_be() {
    let refusal = |photo: &RgbaImage, category| match parse(photo, category) {
        Err(EngineError::Refused { refusal, .. }) => refusal,
        other => panic!("not a refusal: {other:?}"),
    };
    let crowd = rgba(&example("person-portrait.jpg"));
    assert_eq!(refusal(&crowd, Category::Tops), Refusal::Pose);
    let person = rgba(&draw_person(&pairs()[0].person));
    assert_eq!(refusal(&person, Category::Footwear), Refusal::Input);
    let stamp = RgbaImage::new(60, 60);
    assert_eq!(refusal(&stamp, Category::Tops), Refusal::Input);
}
