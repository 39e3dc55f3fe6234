//! What is printed on cloth or knitted into it.

use super::super::canvas::Surface;
use super::super::colour::Light;
use super::super::field::Field;
use super::super::outline::{Frame, Point, on_side};
use super::shape::Shape;
use super::{Cloth, Garment, frame};

pub(super) fn apply(cloth: &mut Surface, garment: &Garment, shape: &Shape) {
    let accent = Light::srgb(garment.accent);
    match garment.cloth {
        Cloth::Tee => print_sunset(cloth, accent),
        Cloth::Striped => {
            cloth.tint(&stripes(shape), accent);
        }
        Cloth::Dress => cloth.tint(&dots(), accent),
        Cloth::Trousers => sew_button(cloth, accent),
        Cloth::Tank => {}
    }
}

/// A sun setting behind waves.
fn print_sunset(cloth: &mut Surface, sun: Light) {
    const CENTRE: Point = (0.0, 395.0);
    const RADIUS: f32 = 98.0;
    let sheet = frame();
    let disc = Field::fill(&sheet.ellipse(CENTRE, (RADIUS, RADIUS)));
    let bands = Field::from_fn(|_, y| {
        // Gaps widen towards the horizon.
        let below = y - CENTRE.1 + 10.0;
        let gap = 2.0 + below.max(0.0) / 11.0;
        let phase = below.rem_euclid(22.0);
        if below < 0.0 || phase > gap { 1.0 } else { 0.0 }
    });
    let warmth = Field::from_fn(|_, y| ((y - CENTRE.1 + RADIUS) / (2.0 * RADIUS)).clamp(0.0, 1.0));
    let disc = disc.times(&bands.blurred(0.6));
    cloth.tint(&disc, sun);
    cloth.tint(&disc.times(&warmth).scaled(0.85), Light::srgb(0x00e0_5a3c));
    for (row, colour) in [(0_u8, 0x00f4_ede0), (1, 0x007f_c0bf), (2, 0x00f4_ede0)] {
        let wave = wave(
            &sheet,
            508.0 + 20.0 * f32::from(row),
            118.0 - 16.0 * f32::from(row),
        );
        cloth.tint(&wave.scaled(0.95), Light::srgb(colour));
    }
}

/// A wavy line around the axis, `half` pixels to both sides.
fn wave(sheet: &Frame, v: f32, half: f32) -> Field {
    let line: Vec<Point> = (0..=24_u8)
        .map(|i| (f32::from(i) / 12.0 - 1.0) * half)
        .map(|u| (u, v + 5.0 * (u / 12.5).sin()))
        .collect();
    Field::fill(&sheet.band(&line, 6.5))
}

/// Stripes across the body, and across the sleeves' own direction.
fn stripes(shape: &Shape) -> Field {
    const PITCH: f32 = 36.0;
    const STRIPE: f32 = 14.0;
    let band = |along: f32| {
        let phase = along.rem_euclid(PITCH);
        let edge = phase.min(STRIPE - phase) + 0.5;
        edge.clamp(0.0, 1.0)
    };
    let sheet = frame();
    let axis = sheet.origin.0;
    let body = Field::from_fn(|x, y| {
        let sag = 10.0 * (1.0 - ((x - axis) / 210.0).powi(2));
        if y > 236.0 && y < 826.0 {
            band(y - 236.0 - sag)
        } else {
            0.0
        }
    });
    // Sleeves point down and outwards by about 11 degrees.
    let sleeve = Field::from_fn(|x, y| {
        let along = (y - 160.0) * 0.98 + ((x - axis).abs() - 215.0) * 0.19;
        if (60.0..560.0).contains(&along) {
            band(along)
        } else {
            0.0
        }
    });
    let armhole = [
        (214.0, 100.0),
        (222.0, 230.0),
        (214.0, 300.0),
        (203.0, 352.0),
        (196.0, 900.0),
    ];
    let outside: Vec<Point> = [(600.0, 100.0)]
        .into_iter()
        .chain(armhole)
        .chain([(600.0, 900.0)])
        .collect();
    let outside = [1.0, -1.0].map(|side| {
        let corners: Vec<Point> = outside.iter().flat_map(|&corner| [corner; 2]).collect();
        sheet.closed(&on_side(side, &corners))
    });
    let on_sleeve = Field::fill_all(&outside).times(&Field::fill_all(&sheet.pair(shape.sleeve)));
    body.without(&on_sleeve).plus(&sleeve.times(&on_sleeve))
}

/// Dots in staggered rows.
fn dots() -> Field {
    const PITCH: f32 = 46.0;
    const RADIUS: f32 = 5.2;
    let axis = frame().origin.0;
    Field::from_fn(|x, y| {
        let row = (y / (PITCH / 2.0)).floor();
        let shift = if row.rem_euclid(2.0) < 1.0 {
            0.0
        } else {
            PITCH / 2.0
        };
        let dx = (x - axis + shift + PITCH / 2.0).rem_euclid(PITCH) - PITCH / 2.0;
        let dy = y - (row + 0.5) * PITCH / 2.0;
        (RADIUS - dx.hypot(dy) + 0.5).clamp(0.0, 1.0)
    })
}

fn sew_button(cloth: &mut Surface, colour: Light) {
    let button = Field::fill(&frame().ellipse((0.0, 84.0), (9.0, 9.0)));
    cloth.tint(&button, colour);
    cloth.emboss(&button.blurred(1.5).scaled(5.0));
}
