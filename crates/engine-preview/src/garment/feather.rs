//! Soft edges: alphas of the garment and its parts, and colours that reach past them.

use super::Landmarks;
use crate::geometry::{Point, Sides};
use crate::raster::blur::{gaussian, gaussian_fast};
use crate::raster::distance::nearest_within;
use crate::raster::morphology::{dilate_disk, dilate_square, erode, erode_square};
use crate::raster::plane::{Color, Gray, Mask, Rect};
use crate::raster::polygon::draw_line;
use crate::raster::sample::resize_mask_nearest;

/// How far a sleeve and the torso overlap at their seam, in analysis pixels.
const SEAM: f64 = 5.0;

/// The mask drawn in by 1.4 analysis pixels, and that with a feathered edge. `scale` is analysis
/// pixels per pixel of the mask.
pub(super) fn soft_alpha(mask: &Mask, scale: f64) -> (Mask, Gray) {
    let depth = (1.4 / scale).round_ties_even().max(1.0) as usize;
    let eroded = erode_square(mask, depth);
    let alpha = smooth(&eroded, (0.5 / scale).max(0.8));
    (eroded, alpha)
}

/// Continues the colours inside of `mask` over its edge, `depth` pixels far.
pub(super) fn bleed(colors: &mut Color, mask: &Mask, depth: usize) {
    let deep = erode(mask, 2);
    let inside = if deep.count() < 50 {
        mask.clone()
    } else {
        deep
    };
    let source = nearest_within(&inside, &inside.not(), depth + 2);
    for (index, from) in source.data.iter().enumerate() {
        if let Some(from) = from {
            colors.data[index] = colors.data[*from as usize];
        }
    }
}

/// Splits `alpha` into the torso and the sleeves, if the garment has any. They overlap along the
/// seam alone, so that neither shows through where the mesh of one ends.
pub(super) fn part_alphas(
    alpha: &Gray,
    landmarks: &Landmarks,
    scale: f64,
) -> (Gray, Option<Sides<Gray>>) {
    let mut torso = alpha.clone();
    let Some(sleeves) = &landmarks.sleeves else {
        return (torso, None);
    };
    let parts = Sides::from_fn(|side| {
        let mask = resize_mask_nearest(&sleeves[side].mask, alpha.width, alpha.height);
        let seam = (landmarks.shoulder[side], landmarks.armpit[side]);
        let sleeve = SleeveCut::new(&mask, seam, scale);
        sleeve.take_from(&mut torso);
        sleeve.alpha(alpha)
    });
    (torso, Some(parts))
}

/// A sleeve and its seam in the box that it takes up, at the resolution of the crop.
struct SleeveCut {
    /// Outside of this box the alphas do not depend on the sleeve.
    region: Rect,
    /// The sleeve in that box.
    mask: Mask,
    shoulder: Point,
    armpit: Point,
    scale: f64,
    /// How far the sleeve and the torso overlap.
    overlap: usize,
}

impl SleeveCut {
    /// `seam` runs from the shoulder to the armpit, in analysis pixels.
    fn new(sleeve: &Mask, seam: (Point, Point), scale: f64) -> Self {
        let overlap = (SEAM / scale).round_ties_even() as usize;
        let margin = overlap + (5.0 / scale) as usize + 4;
        let nothing = Rect {
            x0: 0,
            y0: 0,
            x1: 0,
            y1: 0,
        };
        let bounds = sleeve.bounds().unwrap_or(nothing);
        let region = bounds.grown(margin, sleeve.width, sleeve.height);
        let corner = Point::new(region.x0 as f64, region.y0 as f64);
        let place = |p: Point| p * (1.0 / scale) - corner;
        Self {
            mask: sleeve.crop(region),
            shoulder: place(seam.0),
            armpit: place(seam.1),
            region,
            scale,
            overlap,
        }
    }

    /// The part of `alpha` on the sleeve and a little beyond.
    fn alpha(&self, alpha: &Gray) -> Gray {
        let wide = dilate_disk(&self.mask, self.overlap);
        let soft = smooth(&wide, 0.6 / self.scale);
        let product = alpha.crop(self.region).zip_with(&soft, |a, s| a * s);
        let mut part = Gray::new(alpha.width, alpha.height, 0.0);
        part.paste(&product, self.region.x0, self.region.y0);
        part
    }

    /// Takes the sleeve, but for a band along its seam, out of the alpha of the torso.
    fn take_from(&self, torso: &mut Gray) {
        let reach = (self.shoulder - self.armpit) * 0.3;
        let (from, to) = (self.shoulder + reach, self.armpit - reach * 0.2);
        let mut outer = self.mask.clone();
        draw_line(&mut outer, from, to, 2 * self.overlap + 1, false);
        let soft = smooth(&dilate_square(&outer, 1), 0.8 / self.scale);
        let cut = torso
            .crop(self.region)
            .zip_with(&soft, |t, s| t * (1.0 - s));
        torso.paste(&cut, self.region.x0, self.region.y0);
    }
}

fn smooth(mask: &Mask, sigma: f64) -> Gray {
    let gray = mask.to_gray();
    if sigma < 2.0 {
        gaussian(&gray, sigma)
    } else {
        gaussian_fast(&gray, sigma)
    }
}
