//! A picture as the rows that the vision tower reads.

use image::RgbImage;

/// How many patches a picture has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Patches from top to bottom; a multiple of the patches that are merged.
    pub height: usize,
    /// Patches from left to right; likewise.
    pub width: usize,
}

impl Grid {
    /// The grid after squares of `merge` × `merge` patches became one.
    #[must_use]
    pub fn merged(self, merge: usize) -> Self {
        Self {
            height: self.height / merge,
            width: self.width / merge,
        }
    }

    /// How many patches there are.
    pub fn area(self) -> usize {
        self.height * self.width
    }
}

/// A picture for the vision tower.
#[derive(Debug, Clone, PartialEq)]
pub struct VisionInput {
    /// How many patches there are.
    pub grid: Grid,
    /// A row for each patch, squares of patches that are merged after one another: `[patches,
    /// 3 · frames · side · side]`.
    pub pixel_values: Vec<f32>,
}

/// How a picture is cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// Pixels of a patch's side.
    pub(super) side: usize,
    /// Patches of the side of a square that is merged.
    pub(super) merge: usize,
    /// Frames of a film that a patch has; a picture is a film that stands still.
    pub(super) frames: usize,
}

/// Cuts a picture whose sides are multiples of `side · merge`. `values` says what each byte of
/// each channel stands for.
///
/// transformers 5.23.0, `models/qwen2_vl/image_processing_pil_qwen2_vl.py`, `patchify`: rows in
/// the order (square row, square column, row in it, column in it), numbers of a row in the order
/// (channel, frame, y, x).
pub(super) fn patchify(picture: &RgbImage, cut: Cut, values: &[[f32; 256]; 3]) -> VisionInput {
    let Cut {
        side,
        merge,
        frames,
    } = cut;
    let grid = Grid {
        height: picture.height() as usize / side,
        width: picture.width() as usize / side,
    };
    let mut pixel_values = Vec::with_capacity(grid.area() * 3 * frames * side * side);
    for (row, column) in patches(grid, merge) {
        for (channel, values) in values.iter().enumerate() {
            let start = pixel_values.len();
            for y in row * side..(row + 1) * side {
                for x in column * side..(column + 1) * side {
                    let byte = picture.get_pixel(x as u32, y as u32).0[channel];
                    pixel_values.push(values[usize::from(byte)]);
                }
            }
            for _ in 1..frames {
                pixel_values.extend_from_within(start..start + side * side);
            }
        }
    }
    VisionInput { grid, pixel_values }
}

/// The row and column of each patch, squares of `merge` × `merge` after one another.
pub(crate) fn patches(grid: Grid, merge: usize) -> impl Iterator<Item = (usize, usize)> {
    let squares = grid.merged(merge);
    let within = move |index: usize| {
        let (square, patch) = (index / (merge * merge), index % (merge * merge));
        let row = square / squares.width * merge + patch / merge;
        let column = square % squares.width * merge + patch % merge;
        (row, column)
    };
    (0..grid.area()).map(within)
}

#[cfg(test)]
mod tests {
    use super::{Grid, patches};

    #[test]
    fn squares_come_after_one_another() {
        let grid = Grid {
            height: 2,
            width: 4,
        };
        let order: Vec<_> = patches(grid, 2).collect();
        let left = [(0, 0), (0, 1), (1, 0), (1, 1)];
        let right = [(0, 2), (0, 3), (1, 2), (1, 3)];
        assert_eq!(order, [left, right].concat());
    }
}
