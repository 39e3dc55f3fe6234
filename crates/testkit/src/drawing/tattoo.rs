//! A tattoo's design: ink on nothing.

use image::{Rgba, RgbaImage};

use super::field::{Field, pixels};
use super::outline::{Frame, Point};
use super::{HEIGHT, WIDTH};

const INK: [u8; 3] = [22, 26, 34];

/// The sprig's stem, from its foot upwards, in pixels.
const STEM: [Point; 6] = [
    (360.0, 900.0),
    (392.0, 760.0),
    (402.0, 610.0),
    (386.0, 450.0),
    (372.0, 310.0),
    (384.0, 180.0),
];

/// Leaves: where on the stem, direction in degrees from upright (right positive), length.
const LEAVES: [(Point, f32, f32); 13] = [
    ((376.0, 830.0), 62.0, 150.0),
    ((382.0, 800.0), -64.0, 160.0),
    ((396.0, 715.0), 56.0, 165.0),
    ((399.0, 680.0), -60.0, 170.0),
    ((402.0, 600.0), 54.0, 165.0),
    ((400.0, 560.0), -58.0, 165.0),
    ((393.0, 490.0), 50.0, 150.0),
    ((386.0, 450.0), -55.0, 150.0),
    ((379.0, 385.0), 46.0, 130.0),
    ((374.0, 345.0), -48.0, 125.0),
    ((373.0, 285.0), 40.0, 105.0),
    ((374.0, 255.0), -38.0, 100.0),
    ((384.0, 190.0), 4.0, 110.0),
];

/// Draws a sprig of leaves, each half shaded, as dark ink with an alpha channel: 768x1024.
pub fn draw_tattoo() -> RgbaImage {
    let page = Frame {
        origin: (0.0, 0.0),
        unit: 1.0,
    };
    let mut ink = Field::fill(&page.band(&STEM, 5.0));
    for (foot, degrees, length) in LEAVES {
        ink = ink.max(&leaf(&page, foot, degrees.to_radians(), length));
    }
    ink = ink.max(&dots(&page));
    let [width, height] = [WIDTH, HEIGHT].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
    let bytes = pixels().zip(ink.values()).flat_map(|(_, &ink)| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 1"
        )]
        let alpha = (ink * 245.0).round() as u8;
        Rgba([INK[0], INK[1], INK[2], alpha]).0
    });
    RgbaImage::from_raw(width, height, bytes.collect()).expect("BUG: four bytes for each pixel")
}

/// An outlined leaf with its vein; the half below the vein is hatched dark.
fn leaf(page: &Frame, foot: Point, angle: f32, length: f32) -> Field {
    let (sin, cos) = angle.sin_cos();
    // `along` the leaf and `across` it, towards the ground.
    let side = if angle < 0.0 { -1.0 } else { 1.0 };
    let at = |along: f32, across: f32| {
        let across = across * side;
        (
            foot.0 + length * (along * sin + across * cos),
            foot.1 + length * (across * sin - along * cos),
        )
    };
    let edge = |sign: f32| {
        [
            (0.10, 0.0),
            (0.28, 0.14),
            (0.52, 0.18),
            (0.78, 0.10),
            (1.0, 0.0),
        ]
        .map(|(along, across)| at(along, sign * across))
    };
    let vein = [at(0.0, 0.0), at(0.5, 0.012), at(1.0, 0.0)];
    let lines = [edge(1.0), edge(-1.0)].map(|line| page.band(&line, 3.6));
    let lower: Vec<Point> = edge(1.0).into_iter().chain([at(0.55, 0.01)]).collect();
    let shading = Field::fill(&page.closed(&lower)).zip(&hatching(), |a, b| a * b);
    Field::fill_all(&lines)
        .max(&Field::fill(&page.stroke(&vein, 4.4)))
        .max(&shading)
}

/// Fine parallel lines, as an engraver shades.
fn hatching() -> Field {
    Field::from_fn(|x, y| {
        let phase = (x * 0.62 + y * 0.78).rem_euclid(6.0);
        (3.3 - phase).clamp(0.0, 1.0) * phase.clamp(0.0, 1.0)
    })
}

fn dots(page: &Frame) -> Field {
    const DOTS: [(Point, f32); 6] = [
        ((300.0, 214.0), 6.0),
        ((462.0, 222.0), 5.0),
        ((278.0, 252.0), 4.0),
        ((486.0, 262.0), 3.5),
        ((322.0, 168.0), 3.5),
        ((440.0, 172.0), 4.0),
    ];
    let dots: Vec<_> = DOTS
        .iter()
        .map(|&(at, radius)| page.ellipse(at, (radius, radius)))
        .collect();
    Field::fill_all(&dots)
}
