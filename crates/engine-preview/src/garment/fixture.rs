//! Garments drawn for tests, whose outline is known.

use image::{GrayImage, Luma, Rgb, RgbImage};

use super::{Cutout, Source};
use crate::geometry::Point;
use crate::raster::blur::gaussian_fast;
use crate::raster::plane::{Gray, Mask};
use crate::raster::polygon::fill_polygon;
use crate::raster::sample::resize_area;

/// The right half of an outline from the axis over the top to the axis at the bottom, in units of
/// the drawing's side; x from the axis.
pub(crate) type Outline = &'static [(f64, f64)];

pub(crate) const TEE: Outline = &[
    (0.0, 0.13),
    (0.05, 0.12),
    (0.10, 0.06),
    (0.26, 0.11),
    (0.44, 0.30),
    (0.37, 0.38),
    (0.27, 0.30),
    (0.265, 0.60),
    (0.27, 0.93),
    (0.0, 0.94),
];
pub(crate) const LONG_SLEEVES: Outline = &[
    (0.0, 0.13),
    (0.05, 0.12),
    (0.10, 0.06),
    (0.25, 0.10),
    (0.32, 0.18),
    (0.42, 0.52),
    (0.46, 0.80),
    (0.39, 0.82),
    (0.33, 0.55),
    (0.27, 0.34),
    (0.265, 0.60),
    (0.27, 0.92),
    (0.0, 0.93),
];
/// Long sleeves that come free of the body at two thirds of the height only.
pub(crate) const HANGING_SLEEVES: Outline = &[
    (0.0, 0.13),
    (0.05, 0.12),
    (0.10, 0.06),
    (0.25, 0.10),
    (0.31, 0.18),
    (0.36, 0.50),
    (0.41, 0.90),
    (0.33, 0.91),
    (0.26, 0.66),
    (0.25, 0.92),
    (0.0, 0.93),
];
pub(crate) const TANK: Outline = &[
    (0.0, 0.22),
    (0.05, 0.20),
    (0.10, 0.05),
    (0.17, 0.05),
    (0.20, 0.05),
    (0.21, 0.14),
    (0.23, 0.24),
    (0.27, 0.30),
    (0.27, 0.55),
    (0.27, 0.93),
    (0.0, 0.94),
];
pub(crate) const DRESS: Outline = &[
    (0.0, 0.12),
    (0.05, 0.11),
    (0.09, 0.04),
    (0.15, 0.06),
    (0.16, 0.13),
    (0.19, 0.20),
    (0.17, 0.38),
    (0.20, 0.46),
    (0.33, 0.95),
    (0.0, 0.96),
];
pub(crate) const TROUSERS: Outline = &[
    (0.0, 0.05),
    (0.18, 0.05),
    (0.22, 0.25),
    (0.20, 0.60),
    (0.17, 0.95),
    (0.05, 0.95),
    (0.03, 0.54),
    (0.0, 0.40),
];
pub(crate) const SKIRT: Outline = &[
    (0.0, 0.10),
    (0.17, 0.10),
    (0.24, 0.30),
    (0.36, 0.90),
    (0.0, 0.92),
];
/// What is seen of the inside of the back through the neck of [`TEE`].
pub(crate) const NECK: Outline = &[
    (0.0, 0.045),
    (0.05, 0.045),
    (0.10, 0.06),
    (0.05, 0.12),
    (0.0, 0.13),
];

/// The side of a drawing, in pixels.
pub(crate) const SIDE: usize = 640;
/// Subpixels per pixel and axis.
const OVERSAMPLING: usize = 3;

/// A garment to draw.
#[derive(Clone, Copy)]
pub(crate) struct Drawing {
    pub(crate) outline: Outline,
    pub(crate) cloth: [f32; 3],
    pub(crate) backdrop: [f32; 3],
    /// Brightness that the backdrop gains from the top left to the bottom right.
    pub(crate) gradient: f32,
    /// Strength of a soft shadow below, 0 for none.
    pub(crate) shadow: f32,
    /// Whether the inside of the back is seen through the neck.
    pub(crate) neck: bool,
}

impl Drawing {
    /// A blue garment on light grey, with a faint shadow.
    pub(crate) const fn new(outline: Outline) -> Self {
        Self {
            outline,
            cloth: [50.0, 80.0, 150.0],
            backdrop: [236.0, 235.0, 233.0],
            gradient: 0.0,
            shadow: 0.10,
            neck: false,
        }
    }

    pub(crate) fn draw(&self) -> Picture {
        let cloth = coverage(self.outline);
        let neck = coverage(NECK).map(|&v| if self.neck { v } else { 0.0 });
        let shade = gaussian_fast(&cloth, 6.0);
        let image = RgbImage::from_fn(SIDE as u32, SIDE as u32, |x, y| {
            let at = (x as usize, y as usize);
            let above = (at.0.saturating_sub(4), at.1.saturating_sub(7));
            let slope = self.gradient * (x + y) as f32 / (2 * SIDE) as f32;
            let light = 1.0 - self.shadow * shade[above];
            Rgb(std::array::from_fn(|c| {
                let backdrop = (self.backdrop[c] + slope) * light;
                let behind = backdrop + (0.55 * self.cloth[c] - backdrop) * neck[at];
                let value = behind + (self.cloth[c] - behind) * cloth[at];
                (value + noise(x, y, c as u32)).clamp(0.0, 255.0) as u8
            }))
        });
        Picture {
            image,
            alpha: None,
            truth: cloth.zip_with(&neck, |&a, &b| a.max(b) > 0.5),
        }
    }

    /// A point of a crop in the units of the outline.
    pub(crate) fn place(&self, p: Point, cutout: &Cutout) -> Point {
        let truth = self.draw().truth.bounds().unwrap();
        let found = cutout.mask.bounds().unwrap();
        let offset = Point::new(
            truth.x0 as f64 - found.x0 as f64,
            truth.y0 as f64 - found.y0 as f64,
        );
        let p = (p + offset) * (1.0 / SIDE as f64);
        Point::new(p.x - 0.5, p.y)
    }
}

/// A drawn picture and what is garment in it.
pub(crate) struct Picture {
    pub(crate) image: RgbImage,
    pub(crate) alpha: Option<GrayImage>,
    pub(crate) truth: Mask,
}

impl Picture {
    pub(crate) fn source(&self) -> Source<'_> {
        Source {
            picture: &self.image,
            alpha: self.alpha.as_ref(),
        }
    }

    /// The same picture cut out by its alpha.
    pub(crate) fn with_alpha(mut self) -> Self {
        let alpha = GrayImage::from_fn(SIDE as u32, SIDE as u32, |x, y| {
            Luma([if self.truth[(x as usize, y as usize)] {
                255
            } else {
                0
            }])
        });
        self.alpha = Some(alpha);
        self
    }

    /// Intersection over union of the truth and a mask of its size.
    pub(crate) fn overlap(&self, mask: &Mask) -> f64 {
        self.truth.and(mask).count() as f64 / self.truth.or(mask).count() as f64
    }
}

/// How much of each pixel lies within an outline and its mirror image.
pub(crate) fn coverage(outline: &[(f64, f64)]) -> Gray {
    let size = SIDE * OVERSAMPLING;
    let at = |x: f64, y: f64| Point::new(size as f64 * (0.5 + x), size as f64 * y);
    let right = outline.iter().map(|&(x, y)| at(x, y));
    let left = outline.iter().rev().map(|&(x, y)| at(-x, y));
    let mut mask = Mask::new(size, size, false);
    fill_polygon(&mut mask, &right.chain(left).collect::<Vec<_>>());
    resize_area(&mask.to_gray(), SIDE, SIDE)
}

/// Noise of about one level that depends on the place alone.
fn noise(x: u32, y: u32, channel: u32) -> f32 {
    let mut hash = x.wrapping_mul(0x9E37_79B9) ^ y.wrapping_mul(0x85EB_CA6B) ^ (channel << 29);
    for _ in 0..3 {
        hash = (hash ^ (hash >> 15)).wrapping_mul(0x2C1B_3C6D);
    }
    (hash >> 16) as f32 / 65536.0 * 3.0 - 1.0
}
