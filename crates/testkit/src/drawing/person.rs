//! A person, seen from the front, from head to knee.
//!
//! Lengths are in shoulder widths. The origin lies on the body's axis at the height of the
//! shoulders' corners; `v` grows downwards.

use image::RgbImage;

use super::canvas::{Canvas, Shadow, Surface};
use super::clothes;
use super::colour::Light;
use super::field::Field;
use super::outline::{Frame, Point, on_side};
use super::{HEIGHT, WIDTH, face, hair, noise};

/// Who is drawn, and in what.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// The skin's tone.
    pub skin: Skin,
    /// How the hair is worn.
    pub hair: Hair,
    /// Colour of the hair, as `0xRRGGBB`.
    pub hair_colour: u32,
    /// What is worn above the waist.
    pub top: OldTop,
    /// Colour of that, as `0xRRGGBB`.
    pub top_colour: u32,
    /// Colour of the trousers, as `0xRRGGBB`.
    pub trousers_colour: u32,
    /// Distance between the shoulders' corners, in pixels.
    pub shoulder_width: f32,
    /// How far the hands are held from the body, in shoulder widths (0 to 0.12).
    pub arms_away: f32,
}

impl Default for Person {
    /// The person of the shipped example.
    fn default() -> Self {
        Self {
            skin: Skin::Tan,
            hair: Hair::Bob,
            hair_colour: 0x0039_261d,
            top: OldTop::Tank,
            top_colour: 0x00a9_bccb,
            trousers_colour: 0x002c_3a55,
            shoulder_width: 284.0,
            arms_away: 0.07,
        }
    }
}

/// Skin tones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skin {
    /// Light, with a pink undertone.
    Fair,
    /// Medium, with a golden undertone.
    Tan,
    /// Brown.
    Brown,
    /// Deep brown.
    Deep,
}

impl Skin {
    /// Every tone.
    pub const ALL: [Self; 4] = [Self::Fair, Self::Tan, Self::Brown, Self::Deep];

    pub(super) fn colour(self) -> Light {
        Light::srgb(match self {
            Self::Fair => 0x00f0_c8b0,
            Self::Tan => 0x00e3_ae8c,
            Self::Brown => 0x00b5_7c58,
            Self::Deep => 0x0082_5338,
        })
    }
}

/// How hair is worn. None of it falls over the shoulders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hair {
    /// To the jaw, parted at the side.
    Bob,
    /// Cropped, ears free.
    Short,
}

/// What a person wears above the waist before trying something on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldTop {
    /// A short-sleeved shirt with a round neck, over the trousers.
    Tee,
    /// A sleeveless shirt.
    Tank,
}

impl Person {
    /// The pixel of a place on the body: `u` to the right of its axis and `v` under the corners of
    /// the shoulders, in shoulder widths. The chin is at v = -0.36, the waist at 0.95.
    pub fn pixel(&self, u: f32, v: f32) -> (u32, u32) {
        let (x, y) = self.frame().place((u, v));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "negative places are cut to the picture's edge"
        )]
        (x.round() as u32, y.round() as u32)
    }

    /// Where the body's coordinates lie in the picture.
    pub(super) fn frame(&self) -> Frame {
        #[expect(clippy::cast_precision_loss, reason = "a picture's sides are small")]
        let (width, height) = (WIDTH as f32, HEIGHT as f32);
        // Head and hair end 0.86 shoulder widths above the shoulders.
        let free = 0.055 * height;
        Frame {
            origin: (width / 2.0, free + 0.86 * self.shoulder_width),
            unit: self.shoulder_width,
        }
    }

    /// Moves points of the right arm outwards, the more the lower they are.
    pub(super) fn swing(&self, arm: &[Point]) -> Vec<Point> {
        let away = |v: f32| self.arms_away * ((v - 0.05) / 1.4).clamp(0.0, 1.2);
        arm.iter().map(|&(u, v)| (u + away(v), v)).collect()
    }
}

/// Neck and shoulders, right half.
const BUST: [Point; 11] = [
    (0.113, -0.46),
    (0.114, -0.34),
    (0.122, -0.25),
    (0.162, -0.186),
    (0.225, -0.140),
    (0.310, -0.107),
    (0.370, -0.081),
    (0.400, -0.030),
    (0.410, 0.20),
    (0.330, 0.45),
    (0.0, 0.50),
];

/// The right arm with its hand, from the shoulder around the fingertips.
pub(super) const ARM: [Point; 36] = [
    (0.300, -0.040),
    (0.345, -0.085),
    (0.400, -0.066),
    (0.448, -0.040),
    (0.489, 0.004),
    (0.519, 0.08),
    (0.531, 0.20),
    (0.535, 0.45),
    (0.540, 0.68),
    (0.547, 0.80),
    (0.540, 1.00),
    (0.521, 1.20),
    (0.515, 1.29),
    (0.527, 1.36),
    (0.536, 1.43),
    (0.534, 1.50),
    (0.527, 1.57),
    (0.514, 1.625),
    (0.497, 1.650),
    (0.478, 1.648),
    (0.464, 1.625),
    (0.457, 1.57),
    (0.452, 1.51),
    (0.444, 1.520),
    (0.432, 1.535),
    (0.421, 1.520),
    (0.418, 1.47),
    (0.424, 1.40),
    (0.434, 1.33),
    (0.441, 1.27),
    (0.437, 1.18),
    (0.421, 1.00),
    (0.405, 0.78),
    (0.372, 0.45),
    (0.350, 0.30),
    (0.300, 0.05),
];

/// Lines between the fingers and along the thumb.
const FINGERS: [[Point; 3]; 4] = [
    [(0.475, 1.49), (0.475, 1.55), (0.477, 1.63)],
    [(0.494, 1.48), (0.494, 1.55), (0.494, 1.635)],
    [(0.513, 1.47), (0.514, 1.54), (0.509, 1.61)],
    [(0.457, 1.40), (0.454, 1.45), (0.451, 1.51)],
];

const CONTACT: Shadow = Shadow {
    softness: 5.0,
    offset: (3, 5),
    strength: 0.55,
};

/// Draws a person on a plain backdrop, 768x1024 pixels.
pub fn draw_person(person: &Person) -> RgbImage {
    let mut canvas = Canvas::new(backdrop);
    hair::draw_behind(&mut canvas, person);
    draw_body(&mut canvas, person);
    clothes::draw(&mut canvas, person);
    face::draw(&mut canvas, person);
    hair::draw_front(&mut canvas, person);
    canvas.into_photo()
}

/// Seamless paper: brightest behind the head, falling off smoothly.
fn backdrop(x: f32, y: f32) -> Light {
    let (dx, dy) = ((x - 360.0) / 768.0, (y - 380.0) / 1024.0);
    let falloff = 1.0 - 0.22 * dx * dx - 0.30 * dy * dy;
    Light::srgb(0x00ea_e7e2) * falloff
}

/// A piece of skin.
pub(super) fn skin(person: &Person, coverage: Field, roundness: f32) -> Surface {
    let mut surface = Surface::inflated(coverage, person.skin.colour(), roundness);
    surface.translucency = 0.28;
    surface.gloss = 0.22;
    surface.vary(|x, y| 1.0 + 0.025 * noise::cloudy(x / 14.0, y / 14.0, 3));
    surface
}

/// Neck, shoulders and arms, with collarbones and the muscles of the neck.
fn draw_body(canvas: &mut Canvas, person: &Person) {
    // Collarbone and neck muscle: a line on the right, mirrored, and its width.
    const RIDGES: [([Point; 3], f32); 2] = [
        ([(0.035, -0.070), (0.15, -0.085), (0.30, -0.070)], 0.030),
        ([(0.100, -0.30), (0.068, -0.18), (0.030, -0.085)], 0.034),
    ];
    let frame = person.frame();
    let bust = Field::fill(&frame.mirrored(&BUST));
    let arms = Field::fill_all(&frame.pair(&person.swing(&ARM)));
    let mut body = skin(person, bust.max(&arms), 0.70);
    for (line, width) in RIDGES {
        for side in [1.0, -1.0] {
            let ridge = Field::fill(&frame.stroke(&on_side(side, &line), width));
            body.emboss(&ridge.blurred(0.4 * width * frame.unit).scaled(3.0));
        }
    }
    body.emboss(&elbows(person));
    canvas.lay_with_shadow(&body, CONTACT);
    let armpit = [(0.372, 0.44), (0.372, 0.32), (0.385, 0.20)];
    canvas.darken(
        &limbs_of_strokes(person, &armpit, 0.03)
            .blurred(4.0)
            .scaled(0.5),
    );
    for finger in FINGERS {
        let line = limbs_of_strokes(person, &finger, 0.011).blurred(1.0);
        canvas.darken(&line.scaled(0.48));
    }
}

/// A brush stroke on both arms, given on the right one.
fn limbs_of_strokes(person: &Person, line: &[Point], width: f32) -> Field {
    let line = person.swing(line);
    let strokes = [1.0, -1.0].map(|side| person.frame().stroke(&on_side(side, &line), width));
    Field::fill_all(&strokes)
}

/// The inner bend of the elbows, slightly dented.
fn elbows(person: &Person) -> Field {
    let crease = [(0.430, 0.74), (0.470, 0.765), (0.505, 0.755)];
    limbs_of_strokes(person, &crease, 0.03)
        .blurred(4.0)
        .scaled(-2.0)
}
