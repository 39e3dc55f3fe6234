//! Working on the part of a photo that changes, at full resolution.

use image::{Rgb, RgbImage};

use crate::raster::blur::{gaussian, gaussian_fast, gaussian_mask};
use crate::raster::plane::{Color, Gray, Mask, Plane, Rect, to_byte};
use crate::raster::sample::{Border, Sample, bicubic, resize_area, resize_region};
use crate::warp::Layer;

/// Alphas below this show nothing.
const INVISIBLE: f32 = 1e-3;

/// The area of a photo that is worked on, and how it relates to the analysis copy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Canvas<'a> {
    pub(crate) photo: &'a RgbImage,
    pub(crate) area: Rect,
    /// Size of the analysis copy.
    pub(crate) small: (usize, usize),
    /// Photo pixels per analysis pixel.
    pub(crate) zoom: f64,
}

impl Canvas<'_> {
    /// Width and height of the photo.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.photo.width() as usize, self.photo.height() as usize)
    }

    /// The photo's own pixels.
    pub(crate) fn base(&self) -> Color {
        Plane::from_fn(self.area.width(), self.area.height(), |x, y| {
            let (x, y) = ((self.area.x0 + x) as u32, (self.area.y0 + y) as u32);
            self.photo.get_pixel(x, y).0.map(f32::from)
        })
    }

    /// A plane of the analysis copy, brought to the resolution of the photo.
    pub(crate) fn enlarge<T: Sample>(&self, plane: &Plane<T>) -> Plane<T> {
        resize_region(plane, self.size(), self.area)
    }

    /// A mask of the analysis copy as an alpha with an edge about one photo pixel soft.
    pub(crate) fn soften(&self, mask: &Mask) -> Gray {
        self.round_off(mask, 0.8)
    }

    /// Like [`Self::soften`], with an outline from which the steps of the analysis copy, and what
    /// is narrower than some `sigma` of its pixels, are gone.
    pub(crate) fn round_off(&self, mask: &Mask, sigma: f64) -> Gray {
        let blurred = gaussian_mask(mask, sigma);
        let steepness = (1.2 * sigma * self.zoom).max(1.5) as f32;
        let (width, height) = self.size();
        let position =
            |i: usize, from: usize, to: usize| (i as f64 + 0.5) * from as f64 / to as f64 - 0.5;
        Plane::from_fn(self.area.width(), self.area.height(), |x, y| {
            let x = position(self.area.x0 + x, mask.width, width);
            let y = position(self.area.y0 + y, mask.height, height);
            let value = bicubic(&blurred, x, y, Border::Replicate);
            ((value - 0.5) * steepness + 0.5).clamp(0.0, 1.0)
        })
    }

    /// A plane of the area, brought to the size of the analysis copy; 0 outside of the area.
    pub(crate) fn shrink(&self, plane: &Gray) -> Gray {
        let (width, height) = self.size();
        let mut whole = Gray::new(width, height, 0.0);
        whole.paste(plane, self.area.x0, self.area.y0);
        resize_area(&whole, self.small.0, self.small.1)
    }

    /// The photo with `colors` where `touched`; all other pixels keep their bits.
    pub(crate) fn paint(&self, colors: &Color, touched: &Mask) -> RgbImage {
        let mut picture = self.photo.clone();
        for y in 0..self.area.height() {
            for x in (0..self.area.width()).filter(|&x| touched[(x, y)]) {
                let at = ((self.area.x0 + x) as u32, (self.area.y0 + y) as u32);
                picture.put_pixel(at.0, at.1, Rgb(colors[(x, y)].map(to_byte)));
            }
        }
        picture
    }
}

/// The smallest box around both.
pub(crate) fn union(a: Rect, b: Rect) -> Rect {
    Rect {
        x0: a.x0.min(b.x0),
        y0: a.y0.min(b.y0),
        x1: a.x1.max(b.x1),
        y1: a.y1.max(b.y1),
    }
}

/// Layers laid over each other; colours are multiplied by their alpha.
pub(crate) struct Stack {
    area: Rect,
    colors: Color,
    pub(crate) alpha: Gray,
}

impl Stack {
    pub(crate) fn new(area: Rect) -> Self {
        Self {
            area,
            colors: Plane::new(area.width(), area.height(), [0.0; 3]),
            alpha: Plane::new(area.width(), area.height(), 0.0),
        }
    }

    /// Lays `layer`, whose box lies within the area, over what is there.
    pub(crate) fn lay(&mut self, layer: &Layer) {
        self.each(layer, |color, alpha, top, opacity| {
            for (value, &own) in color.iter_mut().zip(top) {
                *value = own * opacity + *value * (1.0 - opacity);
            }
            *alpha = opacity + *alpha * (1.0 - opacity);
        });
    }

    /// Darkens what lies around `layer`, but only where `under` is opaque: a sleeve shades the
    /// torso. `strength` gives the most that a row of the photo is darkened.
    pub(crate) fn shade_around(
        &mut self,
        layer: &Layer,
        sigma: f64,
        under: &Gray,
        strength: impl Fn(usize) -> f32,
    ) {
        let blurred = blur(&layer.alpha, sigma);
        let (left, top) = (layer.area.x0 - self.area.x0, layer.area.y0 - self.area.y0);
        for y in 0..blurred.height {
            let strength = strength(layer.area.y0 + y);
            for x in 0..blurred.width {
                let at = (left + x, top + y);
                if under[at] > 0.5 {
                    let shade = blurred[(x, y)] * (1.0 - layer.alpha[(x, y)]);
                    let gain = 1.0 - strength * shade;
                    self.colors[at] = self.colors[at].map(|c| c * gain);
                }
            }
        }
    }

    fn each(
        &mut self,
        layer: &Layer,
        mut join: impl FnMut(&mut [f32; 3], &mut f32, &[f32; 3], f32),
    ) {
        let (left, top) = (layer.area.x0 - self.area.x0, layer.area.y0 - self.area.y0);
        for y in 0..layer.alpha.height {
            let span = left..left + layer.alpha.width;
            let colors = &mut self.colors.row_mut(top + y)[span.clone()];
            let alphas = &mut self.alpha.row_mut(top + y)[span];
            for (x, (color, alpha)) in colors.iter_mut().zip(alphas).enumerate() {
                join(color, alpha, &layer.colors[(x, y)], layer.alpha[(x, y)]);
            }
        }
    }

    /// The layers as one garment.
    pub(crate) fn finish(self) -> Drape {
        let colors = self.colors.zip_with(&self.alpha, |&color, &alpha| {
            color.map(|c| c / alpha.max(INVISIBLE))
        });
        Drape {
            colors,
            alpha: self.alpha.map(|a| a.clamp(0.0, 1.0)),
        }
    }
}

/// The garment on the body: colours and alpha over the area of a canvas.
pub(crate) struct Drape {
    pub(crate) colors: Color,
    pub(crate) alpha: Gray,
}

impl Drape {
    /// Hides the garment where `keep_out` is 1.
    pub(crate) fn cut(&mut self, keep_out: &Gray) {
        self.alpha = self.alpha.zip_with(keep_out, |&a, &out| a * (1.0 - out));
    }

    /// Multiplies the colours by `gain`.
    pub(crate) fn shade(&mut self, gain: &Gray) {
        self.colors = self.colors.zip_with(gain, |color, &gain| {
            color.map(|c| (c * gain).clamp(0.0, 255.0))
        });
    }

    /// The shadow that the garment throws on what lies under it, as a gain: `body` is 1 on the
    /// figure, `width` the width of the shoulders in photo pixels.
    pub(crate) fn contact_shadow(&self, body: &Gray, width: f64, strength: f32) -> Gray {
        let blurred = blur(&self.alpha, 0.018 * width);
        let shift = (0.012 * width) as usize;
        Plane::from_fn(body.width, body.height, |x, y| {
            let above = if y < shift {
                0.0
            } else {
                blurred[(x, y - shift)]
            };
            let shade = (above * (1.0 - self.alpha[(x, y)])).clamp(0.0, 1.0);
            1.0 - strength * shade * body[(x, y)]
        })
    }

    /// The garment over `ground`.
    pub(crate) fn over(&self, ground: &Color) -> Color {
        let colors = ground.zip_with(&self.colors, |&below, &above| (below, above));
        colors.zip_with(&self.alpha, |(below, above), &alpha| {
            mix(below, above, alpha)
        })
    }

    /// Where the garment, or a change of the ground, is seen; `front` covers the garment.
    pub(crate) fn touched(&self, front: &Gray, base: &Color, ground: &Color) -> Mask {
        let changed = base.zip_with(ground, |old, new| {
            (0..3).any(|c| (old[c] - new[c]).abs() > 0.5)
        });
        let seen = self
            .alpha
            .zip_with(front, |&a, &front| a * (1.0 - front) > INVISIBLE);
        seen.or(&changed)
    }
}

/// `below` and `above` mixed by `alpha`.
pub(crate) fn mix(below: &[f32; 3], above: &[f32; 3], alpha: f32) -> [f32; 3] {
    std::array::from_fn(|c| below[c] * (1.0 - alpha) + above[c] * alpha)
}

/// `below` and `above` mixed pixel by pixel.
pub(crate) fn mix_planes(below: &Color, above: &Color, alpha: &Gray) -> Color {
    let colors = below.zip_with(above, |&below, &above| (below, above));
    colors.zip_with(alpha, |(below, above), &alpha| mix(below, above, alpha))
}

/// A Gaussian, by boxes where it is wide.
fn blur(plane: &Gray, sigma: f64) -> Gray {
    if sigma < 2.0 {
        gaussian(plane, sigma)
    } else {
        gaussian_fast(plane, sigma)
    }
}
