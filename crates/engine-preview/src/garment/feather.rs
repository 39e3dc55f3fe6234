//! Soft edges: alphas of the garment and its parts, and colours that reach past them.

use super::Landmarks;
use crate::geometry::{Point, Side, Sides};
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
        let sleeve = resize_mask_nearest(&sleeves[side].mask, alpha.width, alpha.height);
        let region = sleeve_region(&sleeve, scale);
        cut_sleeve(&mut torso, &sleeve, region, landmarks, side, scale);
        sleeve_alpha(alpha, &sleeve, region, scale)
    });
    (torso, Some(parts))
}

/// The seam overlap in pixels of the crop.
fn seam_radius(scale: f64) -> usize {
    (SEAM / scale).round_ties_even() as usize
}

/// The box around a sleeve outside of which its alphas are settled.
fn sleeve_region(sleeve: &Mask, scale: f64) -> Rect {
    let margin = seam_radius(scale) + (5.0 / scale) as usize + 4;
    let nothing = Rect {
        x0: 0,
        y0: 0,
        x1: 0,
        y1: 0,
    };
    sleeve
        .bounds()
        .unwrap_or(nothing)
        .grown(margin, sleeve.width, sleeve.height)
}

fn sleeve_alpha(alpha: &Gray, sleeve: &Mask, region: Rect, scale: f64) -> Gray {
    let wide = dilate_disk(&sleeve.crop(region), seam_radius(scale));
    let soft = smooth(&wide, 0.6 / scale);
    let product = alpha.crop(region).zip_with(&soft, |a, s| a * s);
    let mut part = Gray::new(alpha.width, alpha.height, 0.0);
    part.paste(&product, region.x0, region.y0);
    part
}

/// Takes the sleeve, but for a band along its seam, out of the torso.
fn cut_sleeve(
    torso: &mut Gray,
    sleeve: &Mask,
    region: Rect,
    landmarks: &Landmarks,
    side: Side,
    scale: f64,
) {
    let full = |p: Point| p * (1.0 / scale) - Point::new(region.x0 as f64, region.y0 as f64);
    let (shoulder, armpit) = (full(landmarks.shoulder[side]), full(landmarks.armpit[side]));
    let reach = (shoulder - armpit) * 0.3;
    let mut outer = sleeve.crop(region);
    let width = 2 * seam_radius(scale) + 1;
    draw_line(
        &mut outer,
        shoulder + reach,
        armpit - reach * 0.2,
        width,
        false,
    );
    let soft = smooth(&dilate_square(&outer, 1), 0.8 / scale);
    let cut = torso.crop(region).zip_with(&soft, |t, s| t * (1.0 - s));
    torso.paste(&cut, region.x0, region.y0);
}

fn smooth(mask: &Mask, sigma: f64) -> Gray {
    let gray = mask.to_gray();
    if sigma < 2.0 {
        gaussian(&gray, sigma)
    } else {
        gaussian_fast(&gray, sigma)
    }
}
