//! Photos that are not understood are refused, with advice.

use image::{Rgb, RgbImage};
use tryon_core::category::Category;
use tryon_core::task::Task;
use tryon_engine::{EngineError, Refusal, Request};
use tryon_testkit::drawing::{Cloth, Garment, Person, Region, draw_garment, draw_person, paint};

use crate::scene::{clothes, example, options, rgba, run};

fn refused(request: &Request) -> (Refusal, String) {
    match run(request) {
        Err(EngineError::Refused { refusal, message }) => (refusal, message),
        Err(other) => panic!("not a refusal: {other}"),
        Ok(output) => panic!("a picture was made: {:?}", output.metadata),
    }
}

fn tee() -> RgbImage {
    draw_garment(&Garment::default())
}

/// A number from 0 to 255 that looks random.
fn hash(x: u32, y: u32) -> u8 {
    let n = (x.wrapping_mul(374_761_393) ^ y.wrapping_mul(668_265_263)).wrapping_mul(1_274_126_177);
    (n >> 24) as u8
}

fn noise() -> RgbImage {
    RgbImage::from_fn(600, 800, |x, y| {
        Rgb([0, 1, 2].map(|channel| hash(3 * x + channel, y)))
    })
}

/// Sky, hills, a lake and the sun.
fn landscape() -> RgbImage {
    RgbImage::from_fn(800, 600, |x, y| {
        let ridge = 280.0 + 60.0 * (f64::from(x) / 90.0).sin() + 25.0 * (f64::from(x) / 31.0).cos();
        let sun = (f64::from(x) - 600.0).hypot(f64::from(y) - 120.0) < 45.0;
        Rgb(match f64::from(y) {
            _ if sun => [250, 230, 120],
            row if row < ridge => [120, 160, 215],
            row if row < 430.0 => [70 + hash(x, y) / 8, 110 + hash(y, x) / 8, 60],
            _ => [60, 90 + hash(x / 9, y) / 10, 130],
        })
    })
}

/// A person in front of shelves full of things.
fn cluttered() -> RgbImage {
    let mut photo = draw_person(&Person::default());
    for (x, y, pixel) in photo.enumerate_pixels_mut() {
        let [r, g, b] = pixel.0;
        let backdrop = r > 180 && r.abs_diff(g) < 12 && g.abs_diff(b) < 14;
        if backdrop {
            let shade = |channel: u32| hash(x / 40 + 7 * channel, y / 55);
            // Dull greens: bright ones are paint.
            *pixel = Rgb([shade(0), shade(1) / 2, shade(2)]);
        }
    }
    photo
}

#[test]
fn nonsense_and_clutter_are_refused_with_advice() {
    let photos = [
        ("noise", noise()),
        ("landscape", landscape()),
        ("cluttered", cluttered()),
        ("portrait", example("person-portrait.jpg")),
    ];
    for (name, photo) in photos {
        let (refusal, message) = refused(&clothes(rgba(&photo), rgba(&tee())));
        assert_eq!(refusal, Refusal::Pose, "{name}: {message}");
        assert!(message.contains("plain backdrop"), "{name}: {message}");
        let paint = message.contains("mask") || message.contains("pure green");
        assert!(paint, "{name}: {message}");
    }
}

#[test]
fn paint_on_the_same_clutter_is_accepted() {
    let photo = paint(&cluttered(), &Person::default(), Region::Top);
    run(&clothes(rgba(&photo), rgba(&tee()))).expect("a mask says where the clothing is");
}

#[test]
fn what_the_engine_cannot_do_is_said() {
    let person = rgba(&draw_person(&Person::default()));
    let mut hat = clothes(person.clone(), rgba(&tee()));
    hat.options.category = Category::Headwear;
    let mut naked = clothes(person.clone(), rgba(&tee()));
    naked.garment = None;
    let mut hair = clothes(person.clone(), rgba(&tee()));
    hair.options = options(Task::Hairstyle);
    let mut nowhere = clothes(person.clone(), rgba(&tee()));
    nowhere.options = options(Task::Tattoo);
    let trousers = draw_garment(&Garment::example(Cloth::Trousers));
    let top = paint(
        &draw_person(&Person::default()),
        &Person::default(),
        Region::Top,
    );
    let painted = clothes(rgba(&top), rgba(&trousers));
    let blank = clothes(person, rgba(&RgbImage::from_pixel(400, 400, Rgb([240; 3]))));
    let cases = [
        (hat, "another provider"),
        (naked, "second picture"),
        (hair, "hairstyles"),
        (nowhere, "region"),
        (painted, "without a mask"),
        (blank, "send one garment"),
    ];
    for (request, advice) in cases {
        let (refusal, message) = refused(&request);
        assert_eq!(refusal, Refusal::Input, "{message}");
        assert!(message.contains(advice), "{message}");
    }
}
