//! Tattoos change their region and nothing else.

use image::RgbaImage;
use tryon_core::task::{Provider, Region, Task};
use tryon_engine::Request;
use tryon_testkit::drawing::{Person, draw_person, draw_tattoo};

use crate::metric::{Area, changed, mean};
use crate::scene::{options, rgba, run};

pub(crate) fn request(person: RgbaImage, region: Region) -> Request {
    let mut options = options(Task::Tattoo);
    options.region = Some(region);
    Request {
        provider: Provider::Preview,
        options,
        person,
        garment: Some(draw_tattoo()),
    }
}

#[test]
fn ink_lies_in_the_region_and_nowhere_else() {
    let person = Person::default();
    let photo = draw_person(&person);
    // The right upper arm.
    let (left, top) = person.pixel(0.40, 0.15);
    let (right, bottom) = person.pixel(0.56, 0.65);
    let share = |pixels: u32, side: u32| pixels as f32 / side as f32;
    let (width, height) = photo.dimensions();
    let region = Region {
        x: share(left, width),
        y: share(top, height),
        w: share(right - left, width).max(Region::MIN_SIDE),
        h: share(bottom - top, height),
    };
    let inked = run(&request(rgba(&photo), region)).unwrap().picture;
    let inside = |x: u32, y: u32| {
        (left..=right + 2).contains(&x) && (top.saturating_sub(1)..=bottom + 1).contains(&y)
    };
    assert_eq!(changed(&photo, &inked, |x, y| !inside(x, y)), 0);
    assert!(changed(&photo, &inked, inside) > 400);
    let area = Area {
        left,
        top,
        right,
        bottom,
    };
    assert!(
        mean(&inked, area)[0] < mean(&photo, area)[0] - 1.0,
        "ink darkens"
    );
}
