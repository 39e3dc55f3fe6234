//! Rectangles of an analysis picture, given in floating point measures and clipped to the picture.

use std::ops::Range;

use crate::raster::plane::Mask;

/// A clipped rectangle; both ranges may be empty.
#[derive(Debug, Clone)]
pub(crate) struct Zone {
    pub(crate) columns: Range<usize>,
    pub(crate) rows: Range<usize>,
}

impl Zone {
    /// The rectangle `from..to` in `x` and `y`, clipped to a picture of the size of `shape`.
    pub(crate) fn new(shape: &Mask, x: (f64, f64), y: (f64, f64)) -> Self {
        Self {
            columns: clip(x, shape.width),
            rows: clip(y, shape.height),
        }
    }

    /// The pixels of `mask` in the rectangle.
    pub(crate) fn of(&self, mask: &Mask) -> Mask {
        let mut inside = Mask::new(mask.width, mask.height, false);
        for y in self.rows.clone() {
            for x in self.columns.clone() {
                inside[(x, y)] = mask[(x, y)];
            }
        }
        inside
    }
}

fn clip((from, to): (f64, f64), size: usize) -> Range<usize> {
    let from = (from.max(0.0) as usize).min(size);
    let to = (to.max(0.0) as usize).min(size);
    from..to.max(from)
}
