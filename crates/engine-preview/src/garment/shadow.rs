//! Shadows that a garment casts on its backdrop.

use super::contrast::{Contrast, Core};
use crate::raster::color::distance;
use crate::raster::distance::nearest;
use crate::raster::label::{Border, connected_to_border, keep_largest};
use crate::raster::morphology::{erode, open};
use crate::raster::plane::{Color, Mask};

/// How far in from the outline shadow is looked for, in analysis pixels.
const DEPTH: usize = 12;
/// Parts smaller than this share of the largest are dirt.
const LEAST_PART: f64 = 0.03;

/// Lets the backdrop grow over soft shadow: of its own hue, somewhat darker, without texture. Only
/// for garments that differ much from that, and unless it would eat them.
pub(super) fn drop_cast_shadow(
    contrast: &Contrast,
    core: &Core,
    mask: Mask,
    threshold: f32,
) -> Mask {
    if core.lightness <= 30.0 && core.chroma <= 14.0 {
        return mask;
    }
    let tinted = contrast.chroma.map(|&c| c < 4.0);
    let darker = contrast.lightness.map(|&l| l < 0.0 && l > -22.0);
    let smooth = contrast.gradient.map(|&g| g < 6.0);
    let shadow = tinted.and(&darker).and(&smooth);
    let free = contrast.weighted.map(|&d| d < threshold).or(&shadow);
    let solid = connected_to_border(&free, Border::ALL).not();
    let kept = keep_largest(&open(&solid, 1), LEAST_PART);
    if kept.count() as f64 > 0.92 * mask.count() as f64 {
        kept
    } else {
        mask
    }
}

/// Peels shadow off the outline: pixels near it that look like darkened backdrop rather than like
/// the garment further in, and that are reachable from outside.
pub(super) fn peel(contrast: &Contrast, mask: Mask) -> Mask {
    let inner = erode(&mask, DEPTH);
    let area = mask.count() as f64;
    if (inner.count() as f64) < 0.2 * area {
        return mask;
    }
    let darkened = darkened_backdrop_distance(contrast);
    let band = inner.minus(&erode(&inner, DEPTH));
    let similar = band
        .zip_with(&darkened, |&inside, &d| inside && d.0 < 5.0)
        .count();
    if similar as f64 > 0.05 * band.count() as f64 {
        // The cloth itself has parts of the backdrop's colour near its edge, such as stripes.
        return mask;
    }
    let shadow = shadow_ring(contrast, &mask.minus(&inner), &inner, &darkened);
    let free = connected_to_border(&mask.not().or(&shadow), Border::ALL);
    let kept = keep_largest(&open(&mask.minus(&free), 1), LEAST_PART);
    if kept.count() as f64 > 0.90 * area {
        kept
    } else {
        mask
    }
}

/// Per pixel, the distance to the backdrop darkened to the pixel's own lightness (not below 55 %),
/// and whether the pixel is lighter than that limit.
fn darkened_backdrop_distance(contrast: &Contrast) -> crate::raster::plane::Plane<(f32, bool)> {
    contrast
        .lab
        .zip_with(&contrast.backdrop.plane, |&pixel, &backdrop| {
            let share = (pixel[0] / backdrop[0].max(1.0)).clamp(0.55, 1.0);
            let gap = distance(pixel, backdrop.map(|v| v * share));
            (gap, pixel[0] > 0.55 * backdrop[0])
        })
}

/// The pixels of `ring` nearer to darkened backdrop than to the colour of the nearest pixel of
/// `inner`, where lightness counts half.
fn shadow_ring(
    contrast: &Contrast,
    ring: &Mask,
    inner: &Mask,
    darkened: &crate::raster::plane::Plane<(f32, bool)>,
) -> Mask {
    let Some(nearest) = nearest(inner) else {
        return ring.map(|_| false);
    };
    Mask::from_fn(ring.width, ring.height, |x, y| {
        let (to_backdrop, light) = darkened[(x, y)];
        if !ring[(x, y)] || !light || to_backdrop >= 5.0 {
            return false;
        }
        let garment = contrast.lab.data[nearest[(x, y)] as usize];
        to_backdrop + 3.0 < garment_distance(&contrast.lab, (x, y), garment)
    })
}

fn garment_distance(lab: &Color, at: (usize, usize), garment: [f32; 3]) -> f32 {
    let pixel = lab[at];
    distance(
        [0.5 * pixel[0], pixel[1], pixel[2]],
        [0.5 * garment[0], garment[1], garment[2]],
    )
}
