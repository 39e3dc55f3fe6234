//! Hair: a mass with strands, behind the head and in front of it.

use super::canvas::{Canvas, Shadow, Surface};
use super::colour::Light;
use super::field::Field;
use super::noise;
use super::outline::{Frame, Point, mirror};
use super::person::{Hair, Person};

/// A bob's outline, right half.
const BOB: [Point; 12] = [
    (0.0, -0.868),
    (0.080, -0.858),
    (0.152, -0.818),
    (0.200, -0.740),
    (0.222, -0.640),
    (0.229, -0.530),
    (0.236, -0.430),
    (0.237, -0.350),
    (0.214, -0.296),
    (0.168, -0.272),
    (0.130, -0.285),
    (0.0, -0.300),
];

/// What a bob leaves free of the face, whole: parted on the left.
const BOB_OPENING: [Point; 17] = [
    (-0.055, -0.748),
    (0.020, -0.715),
    (0.085, -0.672),
    (0.135, -0.612),
    (0.158, -0.545),
    (0.160, -0.470),
    (0.162, -0.390),
    (0.150, -0.300),
    (0.120, -0.200),
    (-0.120, -0.200),
    (-0.150, -0.300),
    (-0.162, -0.390),
    (-0.160, -0.470),
    (-0.158, -0.550),
    (-0.142, -0.625),
    (-0.110, -0.690),
    (-0.055, -0.748),
];

/// Cropped hair, right half.
const CROP: [Point; 9] = [
    (0.0, -0.872),
    (0.090, -0.858),
    (0.160, -0.808),
    (0.198, -0.725),
    (0.206, -0.640),
    (0.200, -0.575),
    (0.186, -0.545),
    (0.150, -0.545),
    (0.0, -0.545),
];

/// What cropped hair leaves free, right half.
const CROP_OPENING: [Point; 9] = [
    (0.0, -0.722),
    (0.060, -0.728),
    (0.112, -0.712),
    (0.142, -0.680),
    (0.156, -0.630),
    (0.172, -0.570),
    (0.184, -0.500),
    (0.150, -0.300),
    (0.0, -0.300),
];

pub(super) fn draw_behind(canvas: &mut Canvas, person: &Person) {
    if person.hair == Hair::Bob {
        let coverage = Field::fill(&person.frame().mirrored(&BOB));
        canvas.lay(&strands(person, coverage, 0.55));
    }
}

pub(super) fn draw_front(canvas: &mut Canvas, person: &Person) {
    let frame = person.frame();
    let (mass, opening): (&[Point], Vec<Point>) = match person.hair {
        Hair::Bob => (&BOB, BOB_OPENING.to_vec()),
        Hair::Short => (&CROP, mirror(&CROP_OPENING)),
    };
    let opening = Field::fill(&frame.closed(&opening)).blurred(1.0);
    let coverage = Field::fill(&frame.mirrored(mass)).without(&opening);
    let shadow = Shadow {
        softness: 4.0,
        offset: (2, 5),
        strength: 0.50,
    };
    let mut front = strands(person, coverage, 0.95);
    if person.hair == Hair::Bob {
        part(&mut front, &frame);
    }
    canvas.lay_with_shadow(&front, shadow);
}

/// A mass of hair, combed from the parting over the head and down.
fn strands(person: &Person, coverage: Field, roundness: f32) -> Surface {
    let frame = person.frame();
    let colour = Light::srgb(person.hair_colour);
    let mut hair = Surface::inflated(coverage, colour, roundness);
    let (x0, y0) = frame.place((-0.02, -0.56));
    let unit = frame.unit;
    // Strands run over the head like arches, each inside the next, and then straight down.
    let comb = |x: f32, y: f32, seed: u32, width: f32| {
        let (dx, dy) = ((x - x0) / (0.24 * unit), (y - y0) / (0.31 * unit));
        let arch = dx.hypot(dy.min(0.0));
        // The parting keeps the sides apart.
        let side = if dx < -0.09 { 40.0 } else { 0.0 };
        noise::smooth(arch / width + side, dy * 1.5 + dx, seed)
    };
    hair.emboss(&Field::from_fn(|x, y| {
        2.6 * comb(x, y, 31, 0.11) + 1.2 * comb(x, y, 32, 0.045)
    }));
    hair.vary(|x, y| (1.0 + 0.30 * comb(x, y, 33, 0.06) + 0.22 * comb(x, y, 34, 0.022)).max(0.2));
    hair.gloss = 0.35;
    hair
}

/// The parting: a shallow furrow.
fn part(hair: &mut Surface, frame: &Frame) {
    let line = [(-0.052, -0.752), (-0.046, -0.800), (-0.036, -0.850)];
    let furrow = Field::fill(&frame.stroke(&line, 0.010)).blurred(1.2);
    hair.emboss(&furrow.scaled(-3.0));
}
