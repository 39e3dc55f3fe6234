//! The waistband: the row where the top ends and the bottoms begin.

use super::target::Target;
use crate::geometry::even;
use crate::raster::order::median_color;
use crate::raster::plane::Color;

/// A weaker change of colour than this is no waistband.
const LEAST_CONTRAST: f64 = 7.5;

/// Finds the row, between chest and hip, at which the colours change over the whole width.
pub(crate) fn find_waist(lab: &Color, target: &Target) -> Option<usize> {
    let width = target.width;
    let reach = ((0.09 * width) as usize).max(3);
    let columns: Vec<usize> = even(target.axis - 0.27 * width, target.axis + 0.27 * width, 6)
        .into_iter()
        .map(|x| (x.max(0.0) as usize).min(lab.width))
        .collect();
    let first = (target.below(0.50).max(0.0) as usize).max(reach);
    let last = (lab.height.saturating_sub(reach + 2)).min(target.below(1.55).max(0.0) as usize);
    let (contrast, row) = (first..last)
        .map(|y| (contrast(lab, &columns, y, reach) * prior(target, y), y))
        .reduce(|best, next| if next.0 > best.0 { next } else { best })?;
    (contrast > LEAST_CONTRAST).then_some(row)
}

/// A waistband lies about one shoulder width under the shoulders.
fn prior(target: &Target, y: usize) -> f64 {
    let depth = (y as f64 - target.shoulder_y) / target.width;
    (-0.5 * ((depth - 0.98) / 0.45).powi(2)).exp()
}

/// The colour change at row `y`: the two weakest of five columns count, for the whole width must
/// change, not a print in the middle.
fn contrast(lab: &Color, columns: &[usize], y: usize, reach: usize) -> f64 {
    let mut changes: Vec<f64> = columns
        .windows(2)
        .map(|band| {
            let above = band_color(lab, band, y - reach, y - 1);
            let below = band_color(lab, band, y + 1, y + reach);
            let square: f32 = (0..3).map(|c| (above[c] - below[c]).powi(2)).sum();
            f64::from(square.sqrt())
        })
        .collect();
    changes.sort_by(f64::total_cmp);
    1.25 * (changes[0] + changes[1]) / 2.0
}

fn band_color(lab: &Color, band: &[usize], from: usize, to: usize) -> [f32; 3] {
    let colors: Vec<[f32; 3]> = (from..to)
        .flat_map(|y| lab.row(y)[band[0]..band[1]].iter().copied())
        .collect();
    median_color(&colors)
}
