//! Painting the region to dress, as a person with a brush would.

use image::{Rgb, RgbImage};

use super::clothes::{SLEEVE, TANK, TEE, TROUSERS};
use super::field::Field;
use super::outline::Point;
use super::person::{ARM, OldTop, Person};

/// What is painted over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// Exactly the top that is worn.
    Top,
    /// The top, the shoulders and the arms with the hands, for long sleeves.
    TopAndArms,
    /// The trousers.
    Trousers,
    /// A generous rectangle over torso and arms, as upstream masking models draw it.
    Box,
}

const GREEN: Rgb<u8> = Rgb([0, 255, 0]);

/// Paints a region of a drawn person's photo pure green (0,255,0).
///
/// `photo` is [`draw_person`](super::draw_person)'s picture of the same `person`.
pub fn paint(photo: &RgbImage, person: &Person, region: Region) -> RgbImage {
    let covered = coverage(person, region);
    let mut painted = photo.clone();
    for (pixel, &covered) in painted.pixels_mut().zip(covered.values()) {
        if covered > 0.25 {
            *pixel = GREEN;
        }
    }
    painted
}

fn coverage(person: &Person, region: Region) -> Field {
    let frame = person.frame();
    let limbs = |points: &[Point]| frame.pair(&person.swing(points));
    match region {
        Region::Top => top(person),
        Region::TopAndArms => tee(person).max(&Field::fill_all(&limbs(&ARM))),
        Region::Trousers => Field::fill(&frame.mirrored(&TROUSERS)).without(&top(person)),
        Region::Box => {
            let away = 0.60 + person.arms_away;
            let corners = [(away, -0.22), (away, 1.25), (-away, 1.25), (-away, -0.22)];
            Field::fill(&frame.closed(&corners.map(|corner| [corner; 2]).concat()))
        }
    }
}

fn top(person: &Person) -> Field {
    match person.top {
        OldTop::Tee => tee(person),
        OldTop::Tank => Field::fill(&person.frame().mirrored(&TANK)),
    }
}

fn tee(person: &Person) -> Field {
    let frame = person.frame();
    let sleeves = frame.pair(&person.swing(&SLEEVE));
    Field::fill(&frame.mirrored(&TEE)).max(&Field::fill_all(&sleeves))
}
