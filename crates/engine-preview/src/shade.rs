//! Shading: the roundness of the body, and the folds of the old clothing.

use crate::body::plainness;
use crate::raster::blur::{gaussian, gaussian_within};
use crate::raster::distance::to_nearest;
use crate::raster::order::median;
use crate::raster::plane::{Color, Gray, Mask};

/// How much darker a body gets towards its outline.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Roundness {
    /// The gain at the outline.
    pub(crate) floor: f32,
    /// The depth, in shoulder widths, from which the gain is 1.
    pub(crate) reach: f64,
    /// Fast at first, like a cylinder, rather than linear.
    pub(crate) cylindrical: bool,
}

impl Roundness {
    /// The gain over `figure`, for shoulders `width` pixels wide.
    pub(crate) fn gain(self, figure: &Mask, width: f64) -> Gray {
        let reach = (self.reach * width) as f32;
        to_nearest(&figure.not()).map(|&depth| {
            let depth = (depth / reach).min(1.0);
            let depth = if self.cylindrical {
                depth.sqrt()
            } else {
                depth
            };
            self.floor + (1.0 - self.floor) * depth
        })
    }
}

/// How folds are carried over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Folds {
    /// How much of the light's slow changes.
    pub(crate) strength: f64,
    /// How much of single folds, relative to that.
    pub(crate) detail: f32,
    /// The scale of slow changes, in shoulder widths.
    pub(crate) reach: f64,
}

/// Clothing that covers less than this, in square shoulder widths, tells nothing.
const LEAST_AREA: f64 = 0.05;

/// The light and shade on the `old` clothing as a gain around 1. Prints and dark cloth say little
/// about light, so the gain fades with both.
pub(crate) fn fold_gain(lab: &Color, old: &Mask, width: f64, folds: Folds) -> Option<Gray> {
    if old.count() as f64 <= LEAST_AREA * width * width {
        return None;
    }
    let lightness = lab.channel(0);
    let usual = median(&lightness.select(old)) as f32;
    let cloth = without_prints(&lightness, old, usual);
    let (slow, weight) = gaussian_within(&lightness, &cloth, folds.reach * width);
    let (fine, _) = gaussian_within(&lightness, &cloth, 0.012 * width);
    let readable = f64::from(usual / 55.0).clamp(0.15, 1.0) * plainness(lab, old);
    let strength = (folds.strength * readable) as f32;
    let scale = usual.max(35.0);
    let light = slow.zip_with(&weight, |&slow, &weight| (slow, weight));
    let fine = fine.zip_with(&cloth, |&fine, &known| known.then_some(fine));
    let gain = light.zip_with(&fine, |&(slow, weight), &fine| {
        let fold = fine.map_or(0.0, |fine| fine - slow);
        let gain = 1.0 + strength * ((slow - usual) + folds.detail * fold) / scale;
        let known = (1.6 * weight - 0.3).clamp(0.0, 1.0);
        1.0 + (gain.clamp(0.72, 1.18) - 1.0) * known
    });
    Some(gaussian(&gain, 0.8))
}

/// The pixels of usual lightness: what is far from it is a print, not shading.
fn without_prints(lightness: &Gray, old: &Mask, usual: f32) -> Mask {
    let off = lightness.map(|&l| (l - usual).abs());
    let limit = (2.5 * 1.4826 * median(&off.select(old))).max(14.0) as f32;
    off.zip_with(old, |&off, &inside| inside && off < limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDS: Folds = Folds {
        strength: 0.75,
        detail: 0.9,
        reach: 0.07,
    };

    #[test]
    fn folds_darken_and_prints_do_not() {
        let old = Mask::from_fn(120, 120, |x, y| {
            (10..110).contains(&x) && (10..110).contains(&y)
        });
        let lab = Color::from_fn(120, 120, |x, _| match x {
            40..44 => [62.0, 0.0, 0.0],
            80..90 => [10.0, 0.0, 0.0],
            _ => [70.0, 0.0, 0.0],
        });
        let gain = fold_gain(&lab, &old, 100.0, FOLDS).unwrap();
        assert!(gain[(42, 60)] < 0.97, "fold: {}", gain[(42, 60)]);
        assert!(
            (gain[(85, 60)] - 1.0).abs() < 0.02,
            "print: {}",
            gain[(85, 60)]
        );
        assert!(
            (gain[(60, 60)] - 1.0).abs() < 0.02,
            "cloth: {}",
            gain[(60, 60)]
        );
    }

    #[test]
    fn little_cloth_tells_nothing() {
        let old = Mask::from_fn(120, 120, |x, y| x < 10 && y < 10);
        let lab = Color::new(120, 120, [50.0, 0.0, 0.0]);
        assert!(fold_gain(&lab, &old, 100.0, FOLDS).is_none());
    }
}
