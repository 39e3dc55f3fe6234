//! Inflating flat shapes, so that light has something to fall on.

use super::field::Field;
use super::{HEIGHT, WIDTH};

/// Inflates a coverage like a balloon: the result is the height of the skin over the plane.
///
/// Solves Poisson's equation `-laplace(u) = 1` inside with `u = 0` at the edge and takes
/// `sqrt(2 u)`, which makes an infinite strip a half cylinder and everything else something
/// smooth. Multigrid: each grid starts from the solution on the next coarser one.
pub(super) fn inflate(coverage: &Field) -> Field {
    let mut grids = vec![Grid::around(coverage)];
    while let Some(coarse) = grids[grids.len() - 1].find_coarser() {
        grids.push(coarse);
    }
    let mut solved: Option<Grid> = None;
    for mut grid in grids.into_iter().rev() {
        if let Some(coarse) = &solved {
            grid.start_from(coarse);
        }
        grid.relax();
        solved = Some(grid);
    }
    let solved = solved.expect("BUG: there is at least one grid");
    solved
        .to_field()
        .map(|u| (2.0 * u.max(0.0)).sqrt())
        .blurred(1.2)
}

/// A rectangle of cells with an empty border.
struct Grid {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    inside: Vec<bool>,
    value: Vec<f32>,
}

impl Grid {
    /// The part of the picture that is covered, with a border.
    fn around(coverage: &Field) -> Self {
        let covered = |x: usize, y: usize| coverage.at(x, y) > 0.5;
        let row_used = |y: &usize| (0..WIDTH).any(|x| covered(x, *y));
        let column_used = |x: &usize| (0..HEIGHT).any(|y| covered(*x, y));
        let top = (0..HEIGHT).find(row_used).unwrap_or(0);
        let bottom = (0..HEIGHT).rfind(row_used).unwrap_or(0);
        let left = (0..WIDTH).find(column_used).unwrap_or(0);
        let right = (0..WIDTH).rfind(column_used).unwrap_or(0);
        let (width, height) = (right - left + 3, bottom - top + 3);
        let mut grid = Self::empty(width, height);
        (grid.left, grid.top) = (left, top);
        for y in top..=bottom {
            for x in left..=right {
                grid.inside[(y - top + 1) * width + x - left + 1] = covered(x, y);
            }
        }
        grid
    }

    fn empty(width: usize, height: usize) -> Self {
        Self {
            left: 0,
            top: 0,
            width,
            height,
            inside: vec![false; width * height],
            value: vec![0.0; width * height],
        }
    }

    /// Half the resolution, until there is nothing left to halve.
    fn find_coarser(&self) -> Option<Self> {
        if self.width.min(self.height) < 12 {
            return None;
        }
        let mut coarse = Self::empty(self.width / 2 + 1, self.height / 2 + 1);
        for y in 1..coarse.height - 1 {
            for x in 1..coarse.width - 1 {
                let at = 2 * y * self.width + 2 * x;
                let four = [at, at - 1, at - self.width, at - self.width - 1];
                let count = four.into_iter().filter(|&i| self.inside[i]).count();
                coarse.inside[y * coarse.width + x] = count >= 2;
            }
        }
        Some(coarse)
    }

    /// Takes the solution on a grid with cells twice as large, where values are a fourth.
    fn start_from(&mut self, coarse: &Self) {
        for y in 0..self.height {
            for x in 0..self.width {
                let at = y.div_ceil(2).min(coarse.height - 1) * coarse.width
                    + x.div_ceil(2).min(coarse.width - 1);
                if self.inside[y * self.width + x] {
                    self.value[y * self.width + x] = 4.0 * coarse.value[at];
                }
            }
        }
    }

    /// Successive over-relaxation; the coarser grids have done the long range.
    fn relax(&mut self) {
        const SWEEPS: usize = 60;
        const STEP: f32 = 1.6;
        let width = self.width;
        for _ in 0..SWEEPS {
            for y in 1..self.height - 1 {
                for at in y * width + 1..(y + 1) * width - 1 {
                    if self.inside[at] {
                        let v = &self.value;
                        let around = v[at - 1] + v[at + 1] + v[at - width] + v[at + width];
                        self.value[at] += STEP * ((around + 1.0) / 4.0 - self.value[at]);
                    }
                }
            }
        }
    }

    fn to_field(&self) -> Field {
        Field::from_index(|x, y| {
            let (x, y) = (x + 1, y + 1);
            if x < self.left || y < self.top {
                return 0.0;
            }
            let (x, y) = (x - self.left, y - self.top);
            if x < self.width && y < self.height {
                self.value[y * self.width + x]
            } else {
                0.0
            }
        })
    }
}
