//! What a preview must be, measured.

use image::{RgbImage, imageops::FilterType};
use tryon_testkit::drawing::{
    Cloth, Garment, OldTop, Person, Region, draw_garment, draw_person, paint,
};

use crate::metric::{
    Area, changed, changed_outside, difference, edges, green_left, mean, median, painted,
    palette_share, unchanged_share,
};
use crate::scene::{Pair, clothes, dress, example, pairs, rgba, run};

/// Plain cloth, or a fair sample of the pattern, of every drawn garment.
const CLOTH: Area = Area {
    left: 284,
    top: 500,
    right: 484,
    bottom: 680,
};
/// The garment's usual colour may differ by this much: light and shade of the body are on it.
const MOST_COLOR_DIFFERENCE: f64 = 6.0;

/// The part of the torso that every garment covers with what [`CLOTH`] shows.
fn belly(person: &Person) -> Area {
    let (left, top) = person.pixel(-0.22, 0.42);
    let (right, bottom) = person.pixel(0.22, 0.80);
    Area {
        left,
        top,
        right,
        bottom,
    }
}

fn top_of(person: &Person) -> Vec<(u32, u32)> {
    painted(&paint(&draw_person(person), person, Region::Top))
}

fn assert_color(name: &str, garment: &RgbImage, dressed: &RgbImage, at: Area) {
    let off = difference(median(garment, CLOTH), median(dressed, at));
    assert!(
        off < MOST_COLOR_DIFFERENCE,
        "{name}: colour off by {off:.1}"
    );
}

fn assert_texture(name: &str, garment: &RgbImage, dressed: &RgbImage, at: Area) {
    let ratio = edges(dressed, at) / edges(garment, CLOTH);
    assert!((0.3..2.3).contains(&ratio), "{name}: texture {ratio:.2}");
}

#[test]
fn unpainted_people_wear_the_garment_and_nothing_else_changes() {
    for (i, Pair { person, garment }) in pairs().into_iter().enumerate() {
        let name = format!("pair {i}, {:?}", garment.cloth);
        let (photo, cloth) = (draw_person(&person), draw_garment(&garment));
        let dressed = dress(&photo, &cloth);
        assert_color(&name, &cloth, &dressed, belly(&person));
        assert_texture(&name, &cloth, &dressed, belly(&person));
        assert_old_top_is_gone(&name, &person, &garment, &photo, &dressed);
        let (_, chin) = person.pixel(0.0, -0.36);
        let (left, _) = person.pixel(-0.85, 0.0);
        let length = if garment.cloth == Cloth::Dress {
            2.7
        } else {
            1.5
        };
        let (right, below) = person.pixel(0.85, length);
        let beside = changed(&photo, &dressed, |x, y| {
            y < chin || x < left || x > right || y > below
        });
        assert_eq!(beside, 0, "{name}: pixels changed beside the garment");
    }
}

fn assert_old_top_is_gone(
    name: &str,
    person: &Person,
    garment: &Garment,
    photo: &RgbImage,
    dressed: &RgbImage,
) {
    let region = top_of(person);
    let kept = unchanged_share(photo, dressed, &region);
    assert!(kept < 0.05, "{name}: {kept:.3} of the old top is left");
    // A sleeveless garment leaves the old sleeves to be skin.
    let sleeveless = matches!(garment.cloth, Cloth::Tank | Cloth::Dress);
    let least = if sleeveless { 0.60 } else { 0.88 };
    let covered = palette_share(dressed, &region, &[garment.colour, garment.accent]);
    assert!(
        covered > least,
        "{name}: covers {covered:.2} of the old top"
    );
}

#[test]
fn painted_people_change_in_the_paint_alone() {
    let regions = [
        Region::Top,
        Region::TopAndArms,
        Region::Box,
        Region::TopAndArms,
        Region::Box,
    ];
    for (Pair { person, garment }, region) in pairs().into_iter().zip(regions) {
        let name = format!("{region:?}, {:?}", garment.cloth);
        let photo = paint(&draw_person(&person), &person, region);
        let cloth = draw_garment(&garment);
        let dressed = dress(&photo, &cloth);
        assert_eq!(dressed.dimensions(), photo.dimensions());
        assert_color(&name, &cloth, &dressed, belly(&person));
        assert_texture(&name, &cloth, &dressed, belly(&person));
        assert_eq!(green_left(&dressed), 0, "{name}: green is left");
        assert_eq!(
            changed_outside(&photo, &dressed),
            0,
            "{name}: changed outside"
        );
        let colours = [garment.colour, garment.accent];
        let covered = palette_share(&dressed, &top_of(&person), &colours);
        let least = match garment.cloth {
            Cloth::Tank | Cloth::Dress => 0.60,
            _ => 0.85,
        };
        assert!(
            covered > least,
            "{name}: covers {covered:.2} of the old top"
        );
    }
}

#[test]
fn the_example_pair_is_dressed_with_and_without_paint() {
    let garment = example("garment-tee.jpg");
    let studio = example("person-studio.jpg");
    let dressed = dress(&studio, &garment);
    let person = Person::default();
    assert_color("studio", &garment, &dressed, belly(&person));
    assert_texture("studio", &garment, &dressed, belly(&person));
    assert!(unchanged_share(&studio, &dressed, &top_of(&person)) < 0.03);

    let portrait = example("person-portrait-masked.png");
    let dressed = dress(&portrait, &garment);
    let chest = Area {
        left: 150,
        top: 410,
        right: 260,
        bottom: 490,
    };
    assert_color("portrait", &garment, &dressed, chest);
    assert_eq!(green_left(&dressed), 0);
    assert_eq!(changed_outside(&portrait, &dressed), 0);
    let covered = palette_share(&dressed, &painted(&portrait), &[0x0020_4a57, 0x00f2_c14e]);
    assert!(covered > 0.55, "covers {covered:.2} of the paint");
}

#[test]
fn sleeves_lie_on_arms_and_skin_stays_skin() {
    let person = Person {
        top: OldTop::Tank,
        ..Person::default()
    };
    let photo = draw_person(&person);
    let color = |picture: &RgbImage, u: f32, v: f32| {
        let (x, y) = person.pixel(u, v);
        let area = Area {
            left: x - 3,
            top: y - 3,
            right: x + 3,
            bottom: y + 3,
        };
        mean(picture, area)
    };
    let tee = dress(&photo, &draw_garment(&Garment::default()));
    let long = dress(&photo, &draw_garment(&Garment::example(Cloth::Striped)));
    for side in [-1.0, 1.0] {
        let (upper, lower) = ((0.46 * side, 0.20), (0.53 * side, 0.95));
        let chest = color(&tee, 0.25, 0.60);
        let off = difference(color(&tee, upper.0, upper.1), chest);
        assert!(off < 12.0, "no sleeve on the upper arm: {off:.1}");
        assert_eq!(
            color(&tee, lower.0, lower.1),
            color(&photo, lower.0, lower.1)
        );
        let off = difference(
            color(&long, lower.0, lower.1),
            color(&photo, lower.0, lower.1),
        );
        assert!(off > 15.0, "no sleeve on the lower arm: {off:.1}");
    }
    assert_eq!(
        color(&tee, 0.0, -0.25),
        color(&photo, 0.0, -0.25),
        "the throat"
    );
}

#[test]
fn the_same_request_gives_the_same_bytes_and_another_garment_others() {
    let person = Person::default();
    let red = draw_garment(&Garment {
        colour: 0x00b8_433a,
        ..Garment::default()
    });
    let blue = draw_garment(&Garment::default());
    let photo = draw_person(&person);
    for photo in [paint(&photo, &person, Region::Box), photo] {
        let first = dress(&photo, &blue);
        assert!(first == dress(&photo, &blue), "two runs differ");
        let other = dress(&photo, &red);
        let off = difference(mean(&first, belly(&person)), mean(&other, belly(&person)));
        assert!(off > 15.0, "the garment does not matter: {off:.1}");
    }
}

#[test]
fn every_picture_says_what_it_is() {
    let person = draw_person(&Person::default());
    let request = clothes(rgba(&person), rgba(&draw_garment(&Garment::default())));
    let metadata = run(&request).unwrap().metadata;
    let value = |key: &str| {
        let pair = metadata.iter().find(|(name, _)| name == key);
        pair.map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    assert!(value("Comment").contains("preview, not a generative model"));
    assert_eq!(value("tryon:model"), "preview");
    assert_eq!(value("tryon:kind"), "tops");
    assert!(value("tryon:confidence").parse::<f64>().unwrap() >= 0.8);
}

#[test]
fn the_size_that_was_asked_for_is_given() {
    let person = draw_person(&Person::default());
    let mut request = clothes(rgba(&person), rgba(&draw_garment(&Garment::default())));
    request.options.size = Some((300, 400));
    assert_eq!(run(&request).unwrap().picture.dimensions(), (300, 400));
}

#[test]
fn large_photos_are_reduced_and_the_picture_says_so() {
    let person = Person::default();
    let photo = paint(&draw_person(&person), &person, Region::Top);
    let large = image::imageops::resize(&photo, 2400, 3200, FilterType::Triangle);
    let mut request = clothes(rgba(&large), rgba(&draw_garment(&Garment::default())));
    let output = run(&request).unwrap();
    assert_eq!(output.picture.dimensions(), (1732, 2309));
    assert_eq!(green_left(&output.picture), 0);
    let said = ("tryon:reduced-from".to_owned(), "2400x3200".to_owned());
    assert!(output.metadata.contains(&said), "{:?}", output.metadata);
    request.options.size = Some((600, 800));
    let output = run(&request).unwrap();
    assert_eq!(output.picture.dimensions(), (600, 800));
    let small = run(&clothes(
        rgba(&photo),
        rgba(&draw_garment(&Garment::default())),
    ))
    .unwrap();
    assert_eq!(small.picture.dimensions(), photo.dimensions());
    assert!(small.metadata.iter().all(|(key, _)| *key != said.0));
}
