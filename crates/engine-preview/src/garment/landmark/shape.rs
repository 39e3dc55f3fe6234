//! A mask with the measures that all landmarks are found by.

use super::axis::{Axis, find_axis};
use crate::geometry::{Point, Side};
use crate::raster::plane::{Mask, Rect};
use crate::raster::polygon::contour;
use crate::raster::run::{extent, top_profile};

/// The mask of a garment and what is known of it as a whole.
pub(super) struct Shape<'a> {
    pub(super) mask: &'a Mask,
    pub(super) bounds: Rect,
    pub(super) axis: Axis,
    /// The outline, in walking order.
    pub(super) outline: Vec<Point>,
    /// The first row of each column.
    pub(super) top: Vec<Option<f64>>,
}

impl<'a> Shape<'a> {
    /// Measures a mask that is not empty.
    pub(super) fn measure(mask: &'a Mask) -> Option<Self> {
        Some(Self {
            mask,
            bounds: mask.bounds()?,
            axis: find_axis(mask)?,
            outline: contour(mask).into_iter().map(Point::from).collect(),
            top: top_profile(mask),
        })
    }

    pub(super) fn width(&self) -> f64 {
        self.bounds.width() as f64
    }

    pub(super) fn height(&self) -> f64 {
        self.bounds.height() as f64
    }

    /// The row a share of the height below the top.
    pub(super) fn down(&self, share: f64) -> f64 {
        self.bounds.y0 as f64 + share * self.height()
    }

    /// How far a column lies from the axis, on `side`.
    pub(super) fn outward(&self, side: Side, x: f64) -> f64 {
        side.sign() * (x - self.axis.column)
    }

    /// The outermost pixel of row `y` on `side`.
    pub(super) fn outermost(&self, side: Side, y: f64) -> Option<f64> {
        let run = extent(self.mask, pixel(y, self.mask.height - 1))?;
        Some(match side {
            Side::Left => run.start as f64,
            Side::Right => run.end as f64,
        })
    }

    /// The first row of the column nearest to `x`.
    pub(super) fn top_at(&self, x: f64) -> Option<f64> {
        let (first, last) = (self.bounds.x0, self.bounds.x1 - 1);
        self.top[pixel(x.round_ties_even(), last).max(first)]
    }
}

/// The index of the pixel at `v`, within `0..=last`.
pub(crate) fn pixel(v: f64, last: usize) -> usize {
    (v.max(0.0) as usize).min(last)
}
