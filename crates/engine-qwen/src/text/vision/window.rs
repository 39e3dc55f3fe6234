//! The windows that patches see each other in.

use crate::{backend::Backend, image::Grid, tap::Tap, text::config::VisionConfig};

/// An order of the patches in which those of a window come after one another.
///
/// transformers 5.23.0, `vision_utils.py`, `get_vision_window_index`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Windows {
    /// Which square of merged patches comes where.
    squares: Vec<usize>,
    /// Which patch comes where; those of a square stay together.
    pub(super) patches: Vec<usize>,
    /// Where each square went: what undoes the order.
    pub(super) back: Vec<usize>,
    /// Where the windows end, in patches.
    pub(super) ends: Vec<usize>,
    /// Where the pictures end, in patches.
    pub(super) pictures: Vec<usize>,
}

impl Windows {
    pub(super) fn of(grids: &[Grid], config: &VisionConfig) -> Self {
        let merge = config.spatial_merge_size;
        let (window, square) = (config.window(), merge * merge);
        let mut windows = Self::default();
        for grid in grids {
            windows.add(grid.merged(merge), window, square);
        }
        let within = |index: &usize| index * square..(index + 1) * square;
        windows.patches = windows.squares.iter().flat_map(within).collect();
        windows.back = vec![0; windows.squares.len()];
        for (place, index) in windows.squares.iter().enumerate() {
            windows.back[*index] = place;
        }
        windows
    }

    /// Adds a picture's squares, window by window; those at the right and the bottom are smaller.
    fn add(&mut self, grid: Grid, window: usize, square: usize) {
        let before = self.squares.len();
        for top in (0..grid.height).step_by(window) {
            for left in (0..grid.width).step_by(window) {
                for row in top..(top + window).min(grid.height) {
                    let columns = left..(left + window).min(grid.width);
                    let indices = columns.map(|column| before + row * grid.width + column);
                    self.squares.extend(indices);
                }
                self.ends.push(self.squares.len() * square);
            }
        }
        self.pictures.push(self.squares.len() * square);
    }

    /// Shows the order as the reference keeps it: the ends begin with 0.
    pub(super) fn note<B: Backend>(&self, tap: &mut dyn Tap<B>) {
        let numbers = |values: &[usize]| values.iter().map(|n| *n as f64).collect::<Vec<_>>();
        tap.note(format_args!("vis.window_index"), &numbers(&self.squares));
        let ends = [vec![0.0], numbers(&self.ends)].concat();
        tap.note(format_args!("vis.cu_window_seqlens"), &ends);
    }
}

#[cfg(test)]
mod tests {
    use super::Windows;
    use crate::text::fixture::{grids, numbers, rows};

    /// Pictures that windows part evenly and unevenly, alone and after one another.
    #[test]
    fn the_order_is_the_references() {
        for row in rows("windows.json") {
            let mut windows = Windows::default();
            for grid in grids(&row) {
                windows.add(grid, 4, 4);
            }
            assert_eq!(windows.squares, numbers(&row["window_index"]), "{row}");
            let ends = numbers(&row["cu_window_seqlens"]);
            assert_eq!(windows.ends, ends[1..], "{row}");
        }
    }
}
