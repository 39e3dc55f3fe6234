//! The arms: the outline of the figure beside the torso.

use crate::geometry::{Point, Side, clamp, interpolate};
use crate::raster::blur::{gaussian1d, median1d};
use crate::raster::plane::Mask;
use crate::raster::run::extent;

/// Depth under the shoulder and width of a hanging arm there, in shoulder widths.
const DEPTHS: [f64; 5] = [0.0, 0.35, 0.7, 1.1, 1.4];
const WIDTHS: [f64; 5] = [0.20, 0.215, 0.18, 0.15, 0.11];

/// An arm, row by row from the shoulder corner down.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arm {
    pub(crate) first_row: usize,
    /// The column of its outer edge.
    pub(crate) outer: Vec<f64>,
    pub(crate) width: Vec<f64>,
}

/// Follows the outer edge of the figure on one side.
pub(crate) fn trace_arm(
    figure: &Mask,
    side: Side,
    corner: Point,
    shoulder_y: f64,
    width: f64,
) -> Arm {
    let first_row = corner.y.max(0.0) as usize;
    let last = (figure.height - 1).min((shoulder_y + 1.9 * width).max(0.0) as usize);
    let rows = first_row..last.max(first_row);
    let seen: Vec<Option<f64>> = rows
        .clone()
        .map(|y| {
            extent(figure, y).map(|run| match side {
                Side::Left => run.start as f64,
                Side::Right => run.end as f64,
            })
        })
        .collect();
    let outer = gaussian1d(&fill_gaps(&seen, corner.x), 2.0);
    let widths: Vec<f64> = rows
        .zip(&outer)
        .map(|(y, &x)| {
            let depth = (y as f64 - corner.y) / width;
            measure(figure, side, x, y, width)
                .unwrap_or_else(|| interpolate(depth, &DEPTHS, &WIDTHS) * width)
        })
        .collect();
    Arm {
        first_row,
        outer,
        width: median1d(&widths, 9),
    }
}

/// The width of the run that starts at the outer edge, where a gap parts arm and torso.
fn measure(figure: &Mask, side: Side, outer: f64, y: usize, width: f64) -> Option<f64> {
    let inward = -side.sign() as i64;
    let start = outer.round_ties_even() as i64;
    let set = |x: i64| {
        usize::try_from(x)
            .ok()
            .filter(|&x| x < figure.width)
            .map(|x| figure[(x, y)])
    };
    let mut x = start;
    while set(x) == Some(false) && (x - start).abs() < 4 {
        x += inward;
    }
    let mut count = 0.0;
    while set(x) == Some(true) && count < 0.4 * width {
        x += inward;
        count += 1.0;
    }
    (count > 0.06 * width && count < 0.32 * width).then_some(count)
}

/// Interpolates over rows without a figure.
fn fill_gaps(values: &[Option<f64>], default: f64) -> Vec<f64> {
    let (rows, known): (Vec<f64>, Vec<f64>) = values
        .iter()
        .enumerate()
        .filter_map(|(i, v)| Some((i as f64, (*v)?)))
        .unzip();
    if known.is_empty() {
        return vec![default; values.len()];
    }
    (0..values.len())
        .map(|i| interpolate(i as f64, &rows, &known))
        .collect()
}

/// The thickness of the limb at `point` along its inward normal, within what an arm can have.
pub(crate) fn thickness(figure: &Mask, point: Point, inward: Point, width: f64) -> f64 {
    let mut length = 0.0;
    while length < 0.24 * width {
        let p = point + inward * length;
        let inside = figure.get(p.x.round_ties_even() as i64, p.y.round_ties_even() as i64);
        if inside.is_none_or(|&set| !set && length > 0.05 * width) {
            break;
        }
        length += 1.0;
    }
    let measured = if length < 0.235 * width {
        length
    } else {
        0.19 * width
    };
    clamp(measured, 0.10 * width, 0.21 * width)
}
