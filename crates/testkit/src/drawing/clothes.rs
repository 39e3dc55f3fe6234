//! What a person wears before trying something on.

use tiny_skia::Path;

use super::canvas::{Canvas, Shadow, Surface};
use super::colour::Light;
use super::field::Field;
use super::noise;
use super::outline::{Frame, Point, mirror, on_side};
use super::person::{OldTop, Person};

/// Hips and legs, right half, down to below the picture's edge.
pub(super) const TROUSERS: [Point; 16] = [
    (0.0, 0.972),
    (0.180, 0.968),
    (0.342, 0.955),
    (0.342, 0.955),
    (0.352, 1.06),
    (0.384, 1.30),
    (0.398, 1.50),
    (0.396, 1.80),
    (0.378, 2.20),
    (0.352, 2.70),
    (0.335, 3.40),
    (0.055, 3.40),
    (0.050, 2.70),
    (0.036, 2.10),
    (0.012, 1.66),
    (0.0, 1.62),
];

/// The body of a tee, right half: neckline, shoulder, armhole, side, hem.
pub(super) const TEE: [Point; 18] = [
    (0.0, -0.030),
    (0.075, -0.052),
    (0.128, -0.110),
    (0.158, -0.190),
    (0.158, -0.190),
    (0.240, -0.148),
    (0.320, -0.114),
    (0.390, -0.083),
    (0.430, -0.050),
    (0.425, 0.10),
    (0.392, 0.30),
    (0.374, 0.46),
    (0.362, 0.66),
    (0.358, 0.86),
    (0.374, 1.06),
    (0.386, 1.16),
    (0.386, 1.16),
    (0.0, 1.185),
];

/// The right sleeve of a tee.
pub(super) const SLEEVE: [Point; 13] = [
    (0.330, -0.040),
    (0.400, -0.079),
    (0.450, -0.048),
    (0.498, 0.008),
    (0.530, 0.085),
    (0.545, 0.20),
    (0.556, 0.34),
    (0.562, 0.43),
    (0.562, 0.43),
    (0.465, 0.462),
    (0.352, 0.452),
    (0.352, 0.452),
    (0.345, 0.20),
];

/// A tank top, right half, down into the trousers.
pub(super) const TANK: [Point; 15] = [
    (0.0, 0.045),
    (0.080, 0.022),
    (0.140, -0.055),
    (0.182, -0.178),
    (0.182, -0.178),
    (0.272, -0.136),
    (0.272, -0.136),
    (0.282, 0.05),
    (0.312, 0.24),
    (0.366, 0.375),
    (0.354, 0.62),
    (0.340, 0.82),
    (0.346, 0.99),
    (0.346, 0.99),
    (0.0, 1.00),
];

const DRAPE: Shadow = Shadow {
    softness: 5.0,
    offset: (2, 6),
    strength: 0.55,
};

/// Wrinkles of worn cloth: a line, its width in shoulder widths, its height in pixels.
type Wrinkle = (&'static [Point], f32, f32);

const TOP_WRINKLES: [Wrinkle; 22] = [
    // From the armpits across the chest.
    (&[(0.37, 0.42), (0.27, 0.36), (0.16, 0.35)], 0.040, 2.6),
    (&[(-0.37, 0.42), (-0.26, 0.37), (-0.13, 0.37)], 0.040, 2.6),
    (&[(0.36, 0.46), (0.25, 0.48), (0.12, 0.52)], 0.036, 2.8),
    (&[(-0.36, 0.47), (-0.25, 0.51), (-0.10, 0.52)], 0.036, 2.4),
    (&[(0.36, 0.52), (0.30, 0.57), (0.21, 0.60)], 0.028, 2.2),
    // Where the body bends at the waist.
    (&[(0.35, 0.72), (0.23, 0.79), (0.05, 0.83)], 0.044, 3.0),
    (&[(-0.35, 0.68), (-0.24, 0.73), (-0.12, 0.73)], 0.040, 2.6),
    (&[(0.35, 0.82), (0.26, 0.88), (0.15, 0.90)], 0.034, 2.4),
    (&[(-0.35, 0.79), (-0.21, 0.88), (-0.02, 0.92)], 0.046, 3.0),
    (&[(-0.35, 0.90), (-0.27, 0.95), (-0.16, 0.98)], 0.034, 2.2),
    (&[(0.36, 0.95), (0.24, 0.97), (0.10, 1.03)], 0.046, 2.4),
    (&[(-0.37, 1.02), (-0.26, 1.02), (-0.12, 1.06)], 0.040, 2.0),
    (&[(0.37, 1.05), (0.30, 1.04), (0.22, 1.07)], 0.036, 1.8),
    // Hanging from the chest.
    (&[(0.13, 0.55), (0.15, 0.68), (0.12, 0.78)], 0.050, 1.4),
    (&[(-0.08, 0.58), (-0.10, 0.72), (-0.09, 0.84)], 0.050, 1.4),
    (&[(0.03, 0.92), (0.05, 1.03), (0.04, 1.14)], 0.060, 1.6),
    // On the sleeves.
    (&[(0.40, 0.22), (0.47, 0.16), (0.54, 0.15)], 0.034, 2.4),
    (&[(0.39, 0.31), (0.47, 0.28), (0.56, 0.31)], 0.034, 2.6),
    (&[(0.42, 0.02), (0.46, 0.10), (0.47, 0.22)], 0.034, 1.6),
    (&[(-0.40, 0.20), (-0.46, 0.17), (-0.53, 0.19)], 0.034, 2.4),
    (&[(-0.39, 0.33), (-0.46, 0.32), (-0.55, 0.26)], 0.034, 2.6),
    (&[(-0.42, 0.02), (-0.46, 0.10), (-0.47, 0.24)], 0.034, 1.6),
];

const TROUSER_WRINKLES: [Wrinkle; 12] = [
    (&[(0.02, 1.56), (0.14, 1.49), (0.26, 1.46)], 0.035, 3.2),
    (&[(-0.02, 1.56), (-0.14, 1.49), (-0.26, 1.46)], 0.035, 3.2),
    (&[(0.02, 1.61), (0.13, 1.59), (0.24, 1.61)], 0.032, 2.8),
    (&[(-0.02, 1.61), (-0.13, 1.60), (-0.25, 1.63)], 0.032, 2.8),
    (&[(0.03, 1.68), (0.12, 1.70), (0.21, 1.75)], 0.032, 2.2),
    (&[(-0.03, 1.68), (-0.12, 1.71), (-0.20, 1.77)], 0.032, 2.2),
    (&[(0.35, 2.02), (0.25, 2.07), (0.15, 2.05)], 0.045, 1.8),
    (&[(-0.36, 2.06), (-0.24, 2.12), (-0.13, 2.09)], 0.045, 1.8),
    (&[(0.07, 2.42), (0.18, 2.40), (0.31, 2.45)], 0.045, 2.6),
    (&[(-0.06, 2.46), (-0.19, 2.43), (-0.31, 2.47)], 0.045, 2.6),
    (&[(0.20, 1.80), (0.22, 2.10), (0.21, 2.40)], 0.070, 2.0),
    (&[(-0.20, 1.80), (-0.22, 2.10), (-0.21, 2.40)], 0.070, 2.0),
];

/// Draws what is worn: a tee over the trousers, a tank tucked into them.
pub(super) fn draw(canvas: &mut Canvas, person: &Person) {
    match person.top {
        OldTop::Tee => {
            draw_trousers(canvas, person);
            draw_tee(canvas, person);
        }
        OldTop::Tank => {
            draw_tank(canvas, person);
            draw_trousers(canvas, person);
        }
    }
}

fn draw_trousers(canvas: &mut Canvas, person: &Person) {
    let frame = person.frame();
    let colour = Light::srgb(person.trousers_colour);
    let coverage = Field::fill(&frame.mirrored(&TROUSERS));
    let mut legs = Surface::inflated(coverage.clone(), colour, 0.62);
    legs.emboss(&wrinkles(&frame, &TROUSER_WRINKLES));
    legs.vary(|x, y| twill(x, y) + 0.06 * noise::cloudy(x / 40.0, y / 90.0, 22));
    // Denim fades where it is stretched: on the thighs.
    let worn = Field::fill_all(&frame.pair_of_ellipses((0.21, 1.95), (0.09, 0.42)));
    legs.tint(&worn.blurred(14.0).scaled(0.75), colour * 1.9);
    sew(&mut legs, &frame);
    canvas.lay_with_shadow(&legs, DRAPE);
    draw_waistband(canvas, person, &coverage);
}

/// The diagonal ribs of denim, as a factor of its colour.
fn twill(x: f32, y: f32) -> f32 {
    1.0 + 0.10 * noise::white(f32::midpoint(x, y), (x - y) / 5.0, 21)
}

/// The waistband with its loops and button.
fn draw_waistband(canvas: &mut Canvas, person: &Person, trousers: &Field) {
    let frame = person.frame();
    let denim = Light::srgb(person.trousers_colour);
    let raised =
        |path: &Path, colour: Light| Surface::flat(Field::fill(path).times(trousers), colour, 4.0);
    let shadow = Shadow {
        softness: 2.0,
        offset: (0, 2),
        strength: 0.5,
    };
    let line = [
        (-0.36, 0.978),
        (-0.18, 0.992),
        (0.0, 0.996),
        (0.18, 0.992),
        (0.36, 0.978),
    ];
    let mut band = raised(&frame.band(&line, 0.056), denim * 1.08);
    band.vary(twill);
    canvas.lay_within(&band, trousers, shadow);
    for u in [-0.27, -0.12, 0.12, 0.27] {
        let belt_loop = frame.band(&[(u, 0.958), (u, 1.030)], 0.020);
        canvas.lay_within(&raised(&belt_loop, denim * 1.2), trousers, shadow);
    }
    let button = frame.ellipse((0.018, 0.996), (0.015, 0.015));
    let mut button = raised(&button, Light::srgb(0x00a9_8b5d));
    button.gloss = 1.0;
    canvas.lay_within(&button, trousers, shadow);
}

/// Fly, pockets and their seams.
fn sew(legs: &mut Surface, frame: &Frame) {
    let pocket: [Point; 4] = [(0.20, 1.025), (0.23, 1.20), (0.29, 1.27), (0.40, 1.30)];
    let left: Vec<Point> = pocket.iter().map(|&(u, v)| (-u, v)).collect();
    let fly: [Point; 4] = [(0.075, 1.025), (0.077, 1.30), (0.06, 1.42), (0.005, 1.50)];
    let middle: [Point; 2] = [(0.0, 1.025), (0.0, 1.62)];
    let seams = [&pocket[..], &left, &fly, &middle];
    let paths: Vec<_> = seams.iter().map(|line| frame.band(line, 0.008)).collect();
    let seams = Field::fill_all(&paths);
    legs.emboss(&seams.clone().blurred(1.5).scaled(-2.2));
    let thread = Light::srgb(0x00a0_7a4c);
    legs.tint(&seams.shifted(3, 1).scaled(0.35), thread);
}

fn draw_tee(canvas: &mut Canvas, person: &Person) {
    let frame = person.frame();
    let sleeves = Field::fill_all(&frame.pair(&person.swing(&SLEEVE)));
    let body = Field::fill(&frame.mirrored(&TEE));
    let mut tee = knit(person, body.clone().max(&sleeves), 0.58);
    tee.emboss(&wrinkles(&frame, &TOP_WRINKLES));
    tee.emboss(&chest(&frame));
    hem(
        &mut tee,
        &frame,
        &[(-0.40, 1.125), (0.0, 1.150), (0.40, 1.125)],
    );
    for side in [1.0, -1.0] {
        let cuff = person.swing(&[(0.36, 0.425), (0.47, 0.437), (0.57, 0.402)]);
        let armhole = [(0.425, -0.062), (0.408, 0.10), (0.388, 0.26), (0.372, 0.40)];
        hem(&mut tee, &frame, &on_side(side, &cuff));
        hem(&mut tee, &frame, &on_side(side, &armhole));
    }
    canvas.lay_with_shadow(&tee, DRAPE);
    // Where the sleeve meets the body, little light gets in.
    let meeting = body.clone().times(&sleeves).blurred(4.0);
    let below = meeting.times(&Field::from_fn(|_, y| {
        let v = (y - frame.origin.1) / frame.unit;
        ((v - 0.05) / 0.40).clamp(0.0, 1.0)
    }));
    canvas.darken(&below.scaled(0.40));
    collar(canvas, person, &body, &TEE[..4]);
}

fn draw_tank(canvas: &mut Canvas, person: &Person) {
    let frame = person.frame();
    let body = Field::fill(&frame.mirrored(&TANK));
    let mut tank = knit(person, body.clone(), 0.55);
    tank.emboss(&wrinkles(&frame, &TOP_WRINKLES));
    tank.emboss(&chest(&frame));
    canvas.lay_with_shadow(&tank, DRAPE);
    collar(canvas, person, &body, &TANK[..4]);
}

/// A ribbed band inside a neckline, which is given from its middle to the right.
fn collar(canvas: &mut Canvas, person: &Person, body: &Field, neckline: &[Point]) {
    const BAND: f32 = 0.034;
    let frame = person.frame();
    let line = mirror(&neckline.iter().rev().copied().collect::<Vec<_>>());
    // Half of the line's width lies outside the cloth.
    let coverage = Field::fill(&frame.band(&line, 2.0 * BAND)).times(body);
    let mut band = knit(person, coverage, 0.35);
    let (x0, y0) = frame.place((0.0, -0.30));
    band.vary(|x, y| 1.0 + 0.05 * ((x - x0).atan2(y - y0) * 130.0).sin());
    let seam = Shadow {
        softness: 2.0,
        offset: (0, 2),
        strength: 0.4,
    };
    canvas.lay_within(&band, body, seam);
}

/// Jersey in the top's colour.
fn knit(person: &Person, coverage: Field, roundness: f32) -> Surface {
    let colour = Light::srgb(person.top_colour);
    let mut surface = Surface::inflated(coverage, colour, roundness);
    surface.vary(|x, y| {
        1.0 + 0.03 * noise::white(x, y, 11) + 0.02 * noise::cloudy(x / 30.0, y / 30.0, 12)
    });
    surface.emboss(&Field::from_fn(|x, y| {
        4.0 * noise::cloudy(x / 70.0, y / 110.0, 13)
    }));
    surface
}

/// The gentle swell of a chest.
fn chest(frame: &Frame) -> Field {
    let swell = Field::fill_all(&frame.pair_of_ellipses((0.155, 0.29), (0.125, 0.13)));
    swell.blurred(0.065 * frame.unit).scaled(0.075 * frame.unit)
}

/// A double line of stitches.
fn hem(cloth: &mut Surface, frame: &Frame, line: &[Point]) {
    let stitches = Field::fill(&frame.band(line, 0.007));
    cloth.emboss(&stitches.blurred(1.2).scaled(-1.3));
}

fn wrinkles(frame: &Frame, lines: &[Wrinkle]) -> Field {
    lines
        .iter()
        .fold(Field::filled(0.0), |all, &(line, width, height)| {
            all.plus(&fold(frame, line, width).scaled(0.85 * height))
        })
}

fn fold(frame: &Frame, line: &[Point], width: f32) -> Field {
    Field::fill(&frame.stroke(line, width)).blurred(0.30 * width * frame.unit)
}
