//! The mirror axis of a mask.

use crate::geometry::even;
use crate::raster::plane::Mask;

/// Rows are thinned out to about this many: the axis does not need more.
const ROWS: usize = 160;

/// A mirror axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Axis {
    pub(crate) column: f64,
    /// Intersection over union of the mask and its mirror image.
    pub(crate) symmetry: f64,
}

/// The vertical axis, within 8 % of the width around the centroid, that mirrors the mask best onto
/// itself; `None` for an empty mask.
pub(crate) fn find_axis(mask: &Mask) -> Option<Axis> {
    let bounds = mask.bounds()?;
    let centroid = mean_column(mask);
    let reach = 0.08 * (bounds.width() - 1) as f64;
    let step = (mask.height / ROWS).max(1);
    let thin = Mask::from_fn(
        mask.width.div_ceil(step),
        mask.height.div_ceil(step),
        |x, y| mask[(x * step, y * step)],
    );
    even(centroid - reach, centroid + reach, 33)
        .into_iter()
        .map(|column| Axis {
            column,
            symmetry: symmetry(&thin, column / step as f64),
        })
        .reduce(|best, next| {
            if next.symmetry > best.symmetry {
                next
            } else {
                best
            }
        })
}

fn mean_column(mask: &Mask) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for row in mask.rows() {
        for (x, _) in row.iter().enumerate().filter(|(_, set)| **set) {
            sum += x as f64;
            count += 1.0;
        }
    }
    sum / count
}

fn symmetry(mask: &Mask, axis: f64) -> f64 {
    let mirror = |x: usize| (2.0 * axis - x as f64 + 0.5).floor() as i64;
    let columns: Vec<i64> = (0..mask.width).map(mirror).collect();
    let (mut both, mut either) = (0usize, 0usize);
    for row in mask.rows() {
        for (&own, &column) in row.iter().zip(&columns) {
            let other = usize::try_from(column)
                .ok()
                .and_then(|x| row.get(x))
                .copied();
            let other = other.unwrap_or(false);
            both += usize::from(own && other);
            either += usize::from(own || other);
        }
    }
    both as f64 / either.max(1) as f64
}
