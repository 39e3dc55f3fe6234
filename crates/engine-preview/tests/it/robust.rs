//! Whatever is sent, the answer is a picture or a refusal.

use std::sync::LazyLock;

use image::{Rgba, RgbaImage};
use proptest::prelude::*;
use tryon_core::category::Category;
use tryon_core::task::{Region, Task};
use tryon_engine::{EngineError, Request};
use tryon_testkit::drawing::{Garment, Person, draw_garment, draw_person, draw_tattoo};

use crate::scene::{clothes, options, rgba, run};

/// Runs a request; a panic fails the test, and so does a fault of the engine.
fn survive(request: &Request, what: &str) {
    match run(request) {
        Ok(output) => assert_eq!(
            output.picture.dimensions(),
            request.person.dimensions(),
            "{what}"
        ),
        Err(EngineError::Refused { message, .. }) => assert!(!message.is_empty(), "{what}"),
        Err(other) => panic!("{what}: {other:?}"),
    }
}

const SIZES: [(u32, u32); 8] = [
    (1, 1),
    (2, 300),
    (300, 3),
    (37, 41),
    (200, 200),
    (200, 800),
    (800, 200),
    (240, 320),
];

type Paint = fn(u32, u32) -> [u8; 4];

const PAINTS: [(&str, Paint); 9] = [
    ("green", |_, _| [0, 255, 0, 255]),
    ("transparent", |_, _| [0; 4]),
    ("black", |_, _| [0, 0, 0, 255]),
    ("white", |_, _| [255; 4]),
    ("noise", |x, y| {
        [hash(x, y), hash(y, x + 1), hash(x + 7, y), 255]
    }),
    ("veiled noise", |x, y| [hash(x, y); 4]),
    ("green below", |_, y| {
        if y > 100 {
            [0, 255, 0, 255]
        } else {
            [200, 160, 140, 255]
        }
    }),
    ("green stripes", |x, y| {
        if x / 9 % 2 == 0 {
            [0, 255, 0, 255]
        } else {
            [hash(x, y), 90, 80, 255]
        }
    }),
    ("skin", |_, _| [224, 172, 140, 255]),
];

fn hash(x: u32, y: u32) -> u8 {
    let n = (x.wrapping_mul(374_761_393) ^ y.wrapping_mul(668_265_263)).wrapping_mul(1_274_126_177);
    (n >> 24) as u8
}

fn odd_pictures() -> impl Iterator<Item = (String, RgbaImage)> {
    SIZES.into_iter().flat_map(|(width, height)| {
        PAINTS.into_iter().map(move |(name, paint)| {
            let picture = RgbaImage::from_fn(width, height, |x, y| Rgba(paint(x, y)));
            (format!("{name} {width}x{height}"), picture)
        })
    })
}

#[test]
fn odd_people_are_survived() {
    for (name, person) in odd_pictures() {
        survive(&clothes(person, SMALL.1.clone()), &name);
    }
}

#[test]
fn odd_garments_are_survived() {
    let categories = [
        Category::Auto,
        Category::Tops,
        Category::Bottoms,
        Category::OnePieces,
    ];
    for ((name, garment), category) in odd_pictures().zip(categories.into_iter().cycle()) {
        let mut request = clothes(SMALL.0.clone(), garment);
        request.options.category = category;
        survive(&request, &name);
    }
}

#[test]
fn odd_designs_are_survived() {
    let mut designs: Vec<_> = odd_pictures().collect();
    designs.push(("sprig".into(), draw_tattoo()));
    for (name, design) in designs {
        let mut request = clothes(SMALL.0.clone(), design);
        request.options = options(Task::Tattoo);
        request.options.region = Some(Region {
            x: 0.9,
            y: 0.0,
            w: 0.1,
            h: 1.0,
        });
        survive(&request, &name);
    }
}

/// A person and a garment, drawn once.
static SMALL: LazyLock<(RgbaImage, RgbaImage)> = LazyLock::new(|| {
    let small = |picture| image::imageops::thumbnail(&rgba(&picture), 300, 400);
    (
        small(draw_person(&Person::default())),
        small(draw_garment(&Garment::default())),
    )
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Any ellipse of paint anywhere on a person, be it on the face or over the border.
    #[test]
    fn any_blob_of_paint_is_survived(
        x in -20_i32..320, y in -20_i32..420, width in 1_i32..300, height in 1_i32..300,
        clear in any::<bool>(), dressed in any::<bool>(),
    ) {
        let mut person = SMALL.0.clone();
        let paint = if clear { [0; 4] } else { [0, 255, 0, 255] };
        for (px, py, pixel) in person.enumerate_pixels_mut() {
            let dx = f64::from(i32::try_from(px).unwrap() - x) / f64::from(width);
            let dy = f64::from(i32::try_from(py).unwrap() - y) / f64::from(height);
            if dx.hypot(dy) < 1.0 {
                *pixel = Rgba(paint);
            }
        }
        let mut request = clothes(person, SMALL.1.clone());
        if dressed {
            request.options.category = Category::OnePieces;
        }
        survive(&request, "blob");
    }
}
