//! Neck shadow, head and face, in the person's coordinates.

use super::canvas::{Canvas, Shadow, Surface};
use super::colour::Light;
use super::field::Field;
use super::outline::{Frame, Point, mirror};
use super::person::{Hair, Person, skin};

/// The head without hair, right half.
pub(super) const HEAD: [Point; 11] = [
    (0.0, -0.805),
    (0.090, -0.790),
    (0.155, -0.735),
    (0.184, -0.650),
    (0.186, -0.560),
    (0.177, -0.470),
    (0.159, -0.400),
    (0.124, -0.340),
    (0.080, -0.299),
    (0.036, -0.280),
    (0.0, -0.277),
];

const EYE: Point = (0.079, -0.532);

pub(super) fn draw(canvas: &mut Canvas, person: &Person) {
    let frame = person.frame();
    if person.hair == Hair::Short {
        draw_ears(canvas, person);
    }
    let mut head = skin(person, Field::fill(&frame.mirrored(&HEAD)), 0.62);
    shape(&mut head, &frame);
    colour(&mut head, person);
    // The head's shadow is what sets it off from the neck.
    let shadow = Shadow {
        softness: 9.0,
        offset: (6, 20),
        strength: 0.62,
    };
    canvas.lay_with_shadow(&head, shadow);
    draw_nostrils(canvas, &frame);
    draw_mouth(canvas, person);
    for side in [-1.0, 1.0] {
        draw_eye(canvas, person, side);
    }
}

fn draw_ears(canvas: &mut Canvas, person: &Person) {
    let ear: [Point; 8] = [
        (0.180, -0.580),
        (0.205, -0.590),
        (0.220, -0.565),
        (0.217, -0.520),
        (0.205, -0.475),
        (0.190, -0.450),
        (0.178, -0.460),
        (0.175, -0.520),
    ];
    let frame = person.frame();
    let ears = Field::fill_all(&frame.pair(&ear));
    canvas.lay(&skin(person, ears.clone(), 0.5));
    let inner = [(0.197, -0.565), (0.206, -0.54), (0.200, -0.50)];
    let left = inner.map(|(u, v)| (-u, v));
    let paths = [frame.stroke(&inner, 0.012), frame.stroke(&left, 0.012)];
    canvas.darken(&Field::fill_all(&paths).blurred(1.2).scaled(0.35));
}

/// Raises nose, lips, chin and cheeks; sinks the eyes.
fn shape(head: &mut Surface, frame: &Frame) {
    // (centre, radii, blur in shoulder widths, height in pixels); mirrored unless on the axis.
    const BUMPS: [(Point, Point, f32, f32); 8] = [
        ((0.0, -0.500), (0.017, 0.070), 0.012, 6.0),
        ((0.0, -0.447), (0.026, 0.022), 0.011, 7.0),
        ((0.031, -0.440), (0.014, 0.013), 0.008, 3.2),
        ((0.078, -0.540), (0.050, 0.028), 0.020, -5.0),
        ((0.105, -0.455), (0.050, 0.040), 0.026, 5.0),
        ((0.0, -0.312), (0.040, 0.020), 0.016, 4.0),
        ((0.0, -0.372), (0.060, 0.030), 0.016, 3.5),
        ((0.078, -0.598), (0.060, 0.012), 0.014, 2.5),
    ];
    let scale = frame.unit / 258.0;
    for ((u, v), radii, blur, height) in BUMPS {
        let bump =
            Field::fill_all(&frame.pair_of_ellipses((u, v), radii)).blurred(blur * frame.unit);
        head.emboss(&bump.scaled(height * scale));
    }
}

/// Redder cheeks, nose and chin; a shade around the eyes.
fn colour(head: &mut Surface, person: &Person) {
    let frame = person.frame();
    let tone = person.skin.colour();
    let blush = tone.times(Light([1.0, 0.62, 0.58]));
    let spots = [
        frame.ellipse((0.112, -0.440), (0.045, 0.032)),
        frame.ellipse((-0.112, -0.440), (0.045, 0.032)),
        frame.ellipse((0.0, -0.445), (0.022, 0.018)),
    ];
    let spots = Field::fill_all(&spots).blurred(0.028 * frame.unit);
    head.tint(&spots.scaled(0.50), blush);
    let sockets = frame.pair_of_ellipses((EYE.0, EYE.1 - 0.006), (0.046, 0.026));
    let sockets = Field::fill_all(&sockets).blurred(0.014 * frame.unit);
    head.tint(&sockets.scaled(0.40), tone.times(Light([0.72, 0.55, 0.52])));
}

fn draw_nostrils(canvas: &mut Canvas, frame: &Frame) {
    let under = Field::fill(&frame.ellipse((0.004, -0.421), (0.030, 0.007)));
    canvas.darken(&under.blurred(2.2).scaled(0.42));
    let nostrils = frame.pair_of_ellipses((0.0145, -0.4265), (0.0075, 0.0042));
    canvas.darken(&Field::fill_all(&nostrils).blurred(0.8).scaled(0.62));
}

fn draw_mouth(canvas: &mut Canvas, person: &Person) {
    const UPPER: [Point; 7] = [
        (0.0, -0.3835),
        (0.010, -0.3875),
        (0.032, -0.3835),
        (0.063, -0.3775),
        (0.063, -0.3775),
        (0.030, -0.3675),
        (0.0, -0.3655),
    ];
    const LOWER: [Point; 6] = [
        (0.0, -0.3665),
        (0.030, -0.3690),
        (0.060, -0.3770),
        (0.044, -0.3550),
        (0.020, -0.3440),
        (0.0, -0.3420),
    ];
    let frame = person.frame();
    let tone = person.skin.colour();
    let mut lip = |half: &[Point], darkness: f32, gloss: f32| {
        let coverage = Field::fill(&frame.mirrored(half)).blurred(0.6);
        let colour = tone.times(Light([0.86, 0.44, 0.46])) * darkness;
        let mut lip = Surface::inflated(coverage, colour, 0.55);
        lip.gloss = gloss;
        lip.translucency = 0.2;
        canvas.lay(&lip);
    };
    lip(&UPPER, 0.82, 0.1);
    lip(&LOWER, 1.0, 0.55);
    let smile = mirror(&[(0.068, -0.3815), (0.032, -0.3690), (0.0, -0.3660)]);
    let line = Field::fill(&frame.stroke(&smile, 0.0065)).blurred(0.7);
    canvas.darken(&line.scaled(0.85));
    let under = Field::fill(&frame.ellipse((0.0, -0.333), (0.030, 0.006)));
    canvas.darken(&under.blurred(2.5).scaled(0.30));
}

/// One eye: the ball, iris, lids, lashes and brow.
fn draw_eye(canvas: &mut Canvas, person: &Person, side: f32) {
    const SIZE: f32 = 1.12;
    let frame = person.frame();
    let at = |u: f32, v: f32| (side * (EYE.0 + SIZE * u), EYE.1 + SIZE * v);
    let lids = [
        at(-0.033, 0.004),
        at(-0.016, -0.010),
        at(0.002, -0.0145),
        at(0.020, -0.010),
        at(0.034, -0.001),
        at(0.018, 0.009),
        at(0.0, 0.0115),
        at(-0.018, 0.0095),
    ];
    let opening = Field::fill(&frame.closed(&lids));
    canvas.paint(&opening.clone().blurred(0.6), Light::srgb(0x00e9_e2db));
    let disc = |u: f32, v: f32, radius: f32| {
        Field::fill(&frame.ellipse(at(u, v), (SIZE * radius, SIZE * radius))).times(&opening)
    };
    canvas.paint(&disc(0.0, -0.0015, 0.0155), Light::srgb(0x003a_2a1c));
    canvas.paint(
        &disc(0.0, 0.0015, 0.0115).blurred(0.8),
        Light::srgb(0x0074_5233),
    );
    canvas.paint(&disc(0.0, -0.0015, 0.0075), Light::srgb(0x0012_0d0a));
    // The upper lid shades the ball.
    let shade = Field::fill(&frame.ellipse(at(0.0, -0.0135), (0.036, 0.008)));
    canvas.darken(&shade.blurred(1.2).times(&opening).scaled(0.55));
    let glint =
        Field::fill(&frame.ellipse((side * EYE.0 - 0.005, EYE.1 - 0.006), (0.0034, 0.0034)));
    canvas.paint(&glint.scaled(0.95), Light::WHITE);
    draw_lashes(canvas, &frame, at);
    draw_brow(canvas, person, at);
}

fn draw_lashes(canvas: &mut Canvas, frame: &Frame, at: impl Fn(f32, f32) -> Point) {
    let upper = [
        at(-0.034, 0.004),
        at(-0.016, -0.011),
        at(0.003, -0.0155),
        at(0.022, -0.011),
        at(0.040, -0.005),
    ];
    let lower = [
        at(-0.020, 0.010),
        at(0.0, 0.0125),
        at(0.020, 0.0095),
        at(0.034, 0.001),
    ];
    let crease = [
        at(-0.030, -0.012),
        at(-0.008, -0.025),
        at(0.016, -0.024),
        at(0.038, -0.012),
    ];
    let lash = Light::srgb(0x001d_1512);
    let line = |points: &[Point], width: f32| Field::fill(&frame.stroke(points, width));
    canvas.paint(&line(&upper, 0.0085).blurred(0.6).scaled(0.92), lash);
    canvas.darken(&line(&lower, 0.004).blurred(0.7).scaled(0.45));
    canvas.darken(&line(&crease, 0.006).blurred(1.0).scaled(0.38));
}

fn draw_brow(canvas: &mut Canvas, person: &Person, at: impl Fn(f32, f32) -> Point) {
    let brow = [
        at(-0.044, -0.049),
        at(-0.010, -0.061),
        at(0.022, -0.062),
        at(0.052, -0.046),
    ];
    let hair = Light::srgb(person.hair_colour) * 0.8;
    let stroke = person.frame().stroke(&brow, 0.0165);
    canvas.paint(&Field::fill(&stroke).blurred(1.3).scaled(0.80), hair);
}
