//! Garments lying flat on a light backdrop, as in a catalogue.
//!
//! Lengths are in pixels of the 768x1024 picture; `u` grows from the garment's axis to the
//! right, `v` from the picture's top downwards.

mod pattern;
mod shape;

use image::RgbImage;

use self::shape::{SHAPES, Shape};
use super::canvas::{Canvas, Shadow, Surface};
use super::colour::Light;
use super::field::Field;
use super::outline::{Frame, Point, mirror, on_side};
use super::{WIDTH, noise};

/// What lies there, and in which colours.
#[derive(Clone, Debug, PartialEq)]
pub struct Garment {
    /// Its cut.
    pub cloth: Cloth,
    /// Colour of the cloth, as `0xRRGGBB`.
    pub colour: u32,
    /// Colour of its print, stripes or dots, as `0xRRGGBB`.
    pub accent: u32,
    /// Colour of the backdrop, as `0xRRGGBB`.
    pub backdrop: u32,
}

impl Default for Garment {
    /// The printed tee of the shipped examples.
    fn default() -> Self {
        Self::example(Cloth::Tee)
    }
}

/// Cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloth {
    /// A short-sleeved shirt with a round neck and a print on its chest.
    Tee,
    /// A long-sleeved shirt with horizontal stripes.
    Striped,
    /// A sleeveless shirt, plain.
    Tank,
    /// A sleeveless dress with dots.
    Dress,
    /// Trousers with a waistband and pockets.
    Trousers,
}

impl Cloth {
    /// Every cut.
    pub const ALL: [Self; 5] = [
        Self::Tee,
        Self::Striped,
        Self::Tank,
        Self::Dress,
        Self::Trousers,
    ];
}

impl Garment {
    /// A cut in the colours in which it is shipped.
    pub fn example(cloth: Cloth) -> Self {
        let (colour, accent) = match cloth {
            Cloth::Tee => (0x0020_4a57, 0x00f2_c14e),
            Cloth::Striped => (0x00f1_ece2, 0x0027_3a5e),
            Cloth::Tank => (0x00b8_4a3a, 0x00ff_ffff),
            Cloth::Dress => (0x007a_2640, 0x00f3_dcd6),
            Cloth::Trousers => (0x0086_7a5c, 0x005f_563f),
        };
        Self {
            cloth,
            colour,
            accent,
            backdrop: 0x00f6_f5f3,
        }
    }

    fn shape(&self) -> &'static Shape {
        &SHAPES[self.cloth as usize]
    }
}

/// Draws a garment lying flat, 768x1024 pixels.
pub fn draw_garment(garment: &Garment) -> RgbImage {
    let shape = garment.shape();
    let backdrop = Light::srgb(garment.backdrop);
    let mut canvas = Canvas::new(|x, y| backdrop * (1.0 - 0.02 * (x + y) / 1792.0));
    let sheet = frame();
    let front = front(shape);
    let back = Field::fill(&sheet.mirrored(shape.back));
    let whole = front.clone().max(&back);
    lay_shadow(&mut canvas, &whole);
    if !shape.neckline.is_empty() {
        lay_inside(&mut canvas, garment, back);
    }
    let mut cloth = weave(garment, front.clone());
    pattern::apply(&mut cloth, garment, shape);
    cloth.emboss(&folds(shape));
    cloth.emboss(&stitches(shape));
    let receiver = whole.clone();
    let lip = Shadow {
        softness: 4.0,
        offset: (2, 4),
        strength: 0.5,
    };
    canvas.lay_within(&cloth, &receiver, lip);
    if !shape.neckline.is_empty() {
        lay_collar(&mut canvas, garment, &front);
    }
    canvas.into_photo()
}

/// The garment's coordinates: its axis is the picture's.
fn frame() -> Frame {
    #[expect(clippy::cast_precision_loss, reason = "a picture's sides are small")]
    let axis = WIDTH as f32 / 2.0;
    Frame {
        origin: (axis, 0.0),
        unit: 1.0,
    }
}

fn front(shape: &Shape) -> Field {
    let body = Field::fill(&frame().mirrored(shape.body));
    if shape.sleeve.is_empty() {
        body
    } else {
        body.max(&Field::fill_all(&frame().pair(shape.sleeve)))
    }
}

/// The shadow of cloth on a table: close, soft and short.
fn lay_shadow(canvas: &mut Canvas, whole: &Field) {
    let table = Field::filled(1.0);
    for (softness, reach, strength) in [(3.0, 2, 0.16), (9.0, 6, 0.12)] {
        let offset = (reach, reach);
        canvas.shade(
            whole,
            &table,
            Shadow {
                softness,
                offset,
                strength,
            },
        );
    }
}

/// The inside of the back, seen through the neckline, with its label.
fn lay_inside(canvas: &mut Canvas, garment: &Garment, back: Field) {
    let mut inside = weave(garment, back);
    inside.vary(|_, _| 0.45);
    canvas.lay(&inside);
    let top = garment.shape().back[0].1;
    let label = [
        (-19.0, top + 17.0),
        (19.0, top + 17.0),
        (19.0, top + 45.0),
        (-19.0, top + 45.0),
    ];
    let label = Field::fill(&frame().closed(&label.map(|corner| [corner; 2]).concat()));
    // Tone on tone, so that no search for the neckline takes the label's edge for it.
    canvas.darken(&label.blurred(0.6).scaled(0.22));
}

/// A ribbed band around the neckline, in the colour of the cloth.
fn lay_collar(canvas: &mut Canvas, garment: &Garment, front: &Field) {
    let shape = garment.shape();
    let line = mirror(&shape.neckline.iter().rev().copied().collect::<Vec<_>>());
    let coverage = Field::fill(&frame().band(&line, 2.0 * shape.band)).times(front);
    let mut band = weave(garment, coverage);
    let (x0, y0) = (frame().origin.0, shape.neckline[0].1 - 110.0);
    band.vary(|x, y| 0.97 + 0.07 * ((x - x0).atan2(y - y0) * 150.0).sin());
    let seam = Shadow {
        softness: 2.0,
        offset: (0, 2),
        strength: 0.35,
    };
    canvas.lay_within(&band, front, seam);
}

/// Plain cloth with its grain and the unevenness of something that was just spread out.
fn weave(garment: &Garment, coverage: Field) -> Surface {
    const THICKNESS: f32 = 13.0;
    let mut cloth = Surface::flat(coverage, Light::srgb(garment.colour), THICKNESS);
    cloth.vary(|x, y| {
        let threads = 0.5 * (noise::white(x, y / 2.0, 41) + noise::white(x / 2.0, y, 42));
        1.0 + 0.05 * threads + 0.02 * noise::cloudy(x / 60.0, y / 60.0, 43)
    });
    cloth.emboss(&Field::from_fn(|x, y| {
        5.0 * noise::cloudy(x / 90.0, y / 150.0, 44)
    }));
    cloth
}

fn folds(shape: &Shape) -> Field {
    shape
        .folds
        .iter()
        .fold(Field::filled(0.0), |all, (line, width, height)| {
            let fold = Field::fill(&frame().stroke(line, *width));
            all.plus(&fold.blurred(0.3 * width).scaled(*height))
        })
}

/// Seams as furrows, and hems as two lines of stitches.
fn stitches(shape: &Shape) -> Field {
    let lines = |lines: &[&[Point]], shift: f32, width: f32| {
        let paths: Vec<_> = lines
            .iter()
            .flat_map(|line| [1.0, -1.0].map(|side| on_side(side, line)))
            .map(|line| {
                line.iter()
                    .map(|&(u, v)| (u, v - shift))
                    .collect::<Vec<_>>()
            })
            .map(|line| frame().band(&line, width))
            .collect();
        Field::fill_all(&paths).blurred(1.0)
    };
    let seams = lines(shape.seams, 0.0, 2.2).scaled(-1.8);
    let hems = lines(shape.hems, 0.0, 1.6).plus(&lines(shape.hems, 5.0, 1.6));
    seams.plus(&hems.scaled(-1.1))
}
