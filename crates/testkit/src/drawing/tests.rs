use image::{DynamicImage, Rgb, RgbImage};
use tryon_picture::mask::green_mask;
use tryon_picture::{Limits, decode};

use super::*;

const REGENERATE: &str = "cargo run -p tryon-testkit --example draw_examples -- examples";

fn people() -> Vec<Person> {
    Skin::ALL
        .into_iter()
        .zip([Hair::Bob, Hair::Short, Hair::Bob, Hair::Short])
        .zip([OldTop::Tank, OldTop::Tee, OldTop::Tee, OldTop::Tank])
        .map(|((skin, hair), top)| Person {
            skin,
            hair,
            top,
            ..Person::default()
        })
        .collect()
}

fn distance(a: Rgb<u8>, b: Rgb<u8>) -> u32 {
    a.0.iter()
        .zip(b.0)
        .map(|(a, b)| u32::from(a.abs_diff(b)))
        .sum()
}

/// The rule by which engines find skin, in YCbCr.
fn looks_like_skin(Rgb([r, g, b]): Rgb<u8>) -> bool {
    let [r, g, b] = [r, g, b].map(f32::from);
    let cr = 128.0 + 0.5 * r - 0.4187 * g - 0.0813 * b;
    let cb = 128.0 - 0.1687 * r - 0.3313 * g + 0.5 * b;
    (134.0..=180.0).contains(&cr) && (80.0..=132.0).contains(&cb) && cr - cb > 6.0
}

#[test]
fn the_same_parameters_draw_the_same_picture() {
    let person = Person::default();
    assert_eq!(draw_person(&person), draw_person(&person));
    let tanned = Person {
        skin: Skin::Brown,
        ..person.clone()
    };
    assert_ne!(draw_person(&person), draw_person(&tanned));
}

#[test]
fn every_person_has_skin_where_skin_is_and_cloth_where_cloth_is() {
    for person in people() {
        let photo = draw_person(&person);
        let pixel = |u: f32, v: f32| *photo.get_pixel(person.pixel(u, v).0, person.pixel(u, v).1);
        for (u, v) in [
            (0.06, -0.66),
            (0.12, -0.47),
            (-0.12, -0.47),
            (0.0, -0.20),
            (0.53, 0.9),
        ] {
            assert!(
                looks_like_skin(pixel(u, v)),
                "{person:?} at {u}, {v}: {:?}",
                pixel(u, v)
            );
        }
        for (u, v) in [(0.0, 0.5), (0.2, 0.3), (-0.2, 1.4), (0.2, 1.8)] {
            assert!(
                !looks_like_skin(pixel(u, v)),
                "{person:?} at {u}, {v}: {:?}",
                pixel(u, v)
            );
        }
    }
}

#[test]
fn the_backdrop_is_plain_up_to_the_figure() {
    let photo = draw_person(&Person::default());
    let corner = *photo.get_pixel(2, 2);
    for (x, y) in photo
        .enumerate_pixels()
        .filter_map(|(x, y, _)| (x < 60 || y < 40).then_some((x, y)))
    {
        assert!(distance(*photo.get_pixel(x, y), corner) < 60, "{x}, {y}");
    }
}

#[test]
fn paint_covers_its_region_and_nothing_else() {
    let person = Person {
        top: OldTop::Tee,
        ..Person::default()
    };
    let photo = draw_person(&person);
    let expected = [
        (Region::Top, 0.09..0.16),
        (Region::TopAndArms, 0.12..0.22),
        (Region::Trousers, 0.09..0.17),
        (Region::Box, 0.20..0.30),
    ];
    for (region, share) in expected {
        let painted = paint(&photo, &person, region);
        let mask = green_mask(&DynamicImage::from(painted.clone()).into_rgba8());
        assert!(
            share.contains(&mask.share()),
            "{region:?} covers {}",
            mask.share()
        );
        for (x, y, pixel) in photo.enumerate_pixels() {
            let untouched = painted.get_pixel(x, y) == pixel;
            assert_ne!(mask.contains(x, y), untouched, "{region:?} at {x}, {y}");
        }
        let (x, y) = person.pixel(0.0, -0.5);
        assert!(!mask.contains(x, y), "{region:?} covers the face");
    }
}

#[test]
fn garments_lie_in_the_middle_of_a_light_backdrop() {
    for cloth in Cloth::ALL {
        let garment = Garment::example(cloth);
        let picture = draw_garment(&garment);
        let backdrop = *picture.get_pixel(4, 4);
        assert!(backdrop.0.iter().all(|&value| value > 230));
        let covered = |x: u32, y: u32| distance(*picture.get_pixel(x, y), backdrop) > 60;
        for edge in 0..768 {
            assert!(
                !covered(edge, 20) && !covered(edge, 1005),
                "{cloth:?} reaches the border"
            );
        }
        // On both halves; somewhere, for a light stripe hardly stands out.
        let stands_out = |x: u32| (270..330).any(|y| covered(x, y));
        for offset in [30, 100] {
            assert!(
                stands_out(384 - offset) && stands_out(384 + offset),
                "{cloth:?}"
            );
        }
    }
}

#[test]
fn a_tattoo_is_ink_on_nothing() {
    let design = draw_tattoo();
    let ink = design.pixels().filter(|pixel| pixel.0[3] > 200).count();
    let clear = design.pixels().filter(|pixel| pixel.0[3] == 0).count();
    assert!(ink > 15_000, "{ink}");
    assert!(clear > 500_000, "{clear}");
}

#[test]
fn the_shipped_examples_are_what_the_generator_draws() {
    let shipped = |name: &str| {
        let path = format!("{}/../../examples/{name}", env!("CARGO_MANIFEST_DIR"));
        let bytes =
            std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}; run `{REGENERATE}`"));
        DynamicImage::from(decode(&bytes, &Limits::default()).unwrap()).into_rgb8()
    };
    let pairs: [(&str, RgbImage); 5] = [
        ("person-studio.jpg", draw_person(&Person::default())),
        (
            "garment-tee.jpg",
            draw_garment(&Garment::example(Cloth::Tee)),
        ),
        (
            "garment-striped.jpg",
            draw_garment(&Garment::example(Cloth::Striped)),
        ),
        (
            "garment-dress.jpg",
            draw_garment(&Garment::example(Cloth::Dress)),
        ),
        (
            "garment-trousers.jpg",
            draw_garment(&Garment::example(Cloth::Trousers)),
        ),
    ];
    for (name, drawn) in pairs {
        let shipped = shipped(name);
        let total: u64 = shipped
            .pixels()
            .zip(drawn.pixels())
            .map(|(a, b)| u64::from(distance(*a, *b)))
            .sum();
        let pixels = u64::from(drawn.width()) * u64::from(drawn.height());
        // JPEG costs about 3 levels over the three channels, a moved edge many more.
        assert!(total < 8 * pixels, "{name} differs; run `{REGENERATE}`");
    }
}
