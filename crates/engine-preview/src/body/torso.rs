//! The sides of the torso: one path down each side along colour edges, near where a body of this
//! shoulder width has them.

use crate::geometry::{Side, Sides, clamp, interpolate};
use crate::raster::blur::{gaussian, gaussian_color, gaussian1d};
use crate::raster::gradient::{sobel_x, sobel_x_color};
use crate::raster::plane::{Color, Gray, Mask, Plane};
use crate::raster::run::extent;

/// How far down the template measures are given.
const DEPTHS: [f64; 3] = [0.0, 0.45, 1.0];
/// Half width of the torso: chest, waist, hip.
const HALF_WIDTH: [f64; 3] = [0.365, 0.32, 0.40];
/// A silhouette further out than this is an arm.
const ARM_BEYOND: [f64; 3] = [0.42, 0.40, 0.47];
/// The cost of a step of the path to a column -2..=2 away.
const STEP_COST: [f32; 5] = [1.6, 0.5, 0.0, 0.5, 1.6];

/// Both sides of the torso over consecutive rows.
#[derive(Debug, Clone)]
pub(crate) struct Torso {
    pub(crate) first_row: usize,
    /// The column of each side, row by row.
    pub(crate) sides: Sides<Vec<f64>>,
}

impl Torso {
    pub(crate) fn rows(&self) -> std::ops::Range<usize> {
        self.first_row..self.first_row + self.sides.left.len()
    }

    /// The column of a side at row `y`, held above the first and below the last row.
    pub(crate) fn side(&self, side: Side, y: f64) -> f64 {
        let last = self.sides.left.len() as f64 - 1.0;
        self.sides[side][clamp(y - self.first_row as f64, 0.0, last) as usize]
    }

    /// The torso as a mask, `margin` pixels wider on both sides.
    pub(crate) fn mask(&self, shape: &Mask, margin: f64) -> Mask {
        let mut mask = Mask::new(shape.width, shape.height, false);
        for (i, y) in self.rows().enumerate() {
            let from = (self.sides.left[i] - margin).max(0.0) as usize;
            let to = ((self.sides.right[i] + margin).max(0.0) as usize + 1).min(mask.width);
            for x in from..to {
                mask[(x, y)] = true;
            }
        }
        mask
    }
}

/// What the paths are searched on.
pub(crate) struct Chest<'a> {
    pub(crate) lab: &'a Color,
    pub(crate) figure: &'a Mask,
    pub(crate) axis: f64,
    /// Width of the shoulders.
    pub(crate) width: f64,
}

/// Traces both sides from row `from` to row `to`, helped by the edges of the `old` clothing when
/// they are known. The rows must lie in the picture.
pub(crate) fn trace_torso(chest: &Chest<'_>, from: usize, to: usize, old: Option<&Mask>) -> Torso {
    let energy = edge_energy(chest, old);
    let half = Sides::from_fn(|side| {
        let path = Search {
            chest,
            energy: &energy,
            side,
            from,
            to,
        }
        .trace();
        let smooth = gaussian1d(&path, (0.03 * chest.width).max(1.0));
        smooth
            .into_iter()
            .map(|x| side.sign() * (x - chest.axis))
            .collect::<Vec<_>>()
    });
    Torso {
        first_row: from,
        sides: balance(chest, &half),
    }
}

/// Keeps the sides within 0.10 shoulder widths of each other, and both plausible.
fn balance(chest: &Chest<'_>, half: &Sides<Vec<f64>>) -> Sides<Vec<f64>> {
    Sides::from_fn(|side| {
        let pairs = half.left.iter().zip(&half.right).zip(&half[side]);
        pairs
            .map(|((&left, &right), &own)| {
                let most = (left.min(right) + 0.10 * chest.width).min(0.50 * chest.width);
                chest.axis + side.sign() * clamp(own, 0.22 * chest.width, most)
            })
            .collect()
    })
}

/// Vertical edges: of the colours, of the silhouette, and of the old clothing.
fn edge_energy(chest: &Chest<'_>, old: Option<&Mask>) -> Gray {
    let colors = sobel_x_color(&gaussian_color(chest.lab, 1.2));
    let outline = mask_edge(chest.figure);
    let mut energy = colors.zip_with(&outline, |&[l, a, b], &edge| {
        ((l * l + a * a + b * b).sqrt() / 8.0).min(12.0) + 14.0 * edge
    });
    if let Some(old) = old.filter(|old| old.any()) {
        energy = energy.zip_with(&mask_edge(old), |&e, &edge| e + 10.0 * edge);
    }
    energy
}

fn mask_edge(mask: &Mask) -> Gray {
    sobel_x(&gaussian(&mask.to_gray(), 1.0)).map(|g| g.abs().min(1.0))
}

/// The search for one side.
struct Search<'a> {
    chest: &'a Chest<'a>,
    energy: &'a Gray,
    side: Side,
    from: usize,
    to: usize,
}

impl Search<'_> {
    fn trace(&self) -> Vec<f64> {
        let radius = (0.13 * self.chest.width) as i64;
        let rows = self.to - self.from + 1;
        let breadth = 2 * radius as usize + 1;
        let mut columns = Plane::new(breadth, rows, 0_usize);
        let mut cost = Plane::new(breadth, rows, 0.0_f32);
        for row in 0..rows {
            self.row_cost(row, radius, &mut columns, &mut cost);
        }
        cheapest_path(&cost)
            .into_iter()
            .enumerate()
            .map(|(row, index)| columns[(index, row)] as f64)
            .collect()
    }

    fn row_cost(&self, row: usize, radius: i64, columns: &mut Plane<usize>, cost: &mut Gray) {
        let (chest, y) = (self.chest, self.from + row);
        let depth = row as f64 / (self.to - self.from).max(1) as f64;
        let template = interpolate(depth, &DEPTHS, &HALF_WIDTH) * chest.width;
        let center = chest.axis + self.side.sign() * template;
        let arm = self.arm_column(y, depth);
        for index in 0..columns.width {
            let offset = (index as i64 - radius) as f64;
            let last = (chest.figure.width - 1) as f64;
            let column = clamp((center + offset).round_ties_even(), 0.0, last);
            let in_arm = arm.is_some_and(|x| (column - x).abs() < 0.07 * chest.width);
            let edge = if in_arm {
                0.0
            } else {
                self.energy[(column as usize, y)]
            };
            let prior = 3.0 * (offset / (0.075 * chest.width)).powi(2);
            columns[(index, row)] = column as usize;
            cost[(index, row)] = prior as f32 - edge;
        }
    }

    /// The outline of the figure in row `y` where it is too far out for a torso.
    fn arm_column(&self, y: usize, depth: f64) -> Option<f64> {
        let run = extent(self.chest.figure, y)?;
        let outline = match self.side {
            Side::Left => run.start as f64,
            Side::Right => run.end as f64,
        };
        let limit = interpolate(depth, &DEPTHS, &ARM_BEYOND) * self.chest.width;
        (self.side.sign() * (outline - self.chest.axis) > limit).then_some(outline)
    }
}

/// The cheapest way from the first to the last row, as one column index per row.
fn cheapest_path(cost: &Gray) -> Vec<usize> {
    let mut total = cost.row(0).to_vec();
    let mut back = Plane::new(cost.width, cost.height, 0_usize);
    for y in 1..cost.height {
        let mut next = Vec::with_capacity(cost.width);
        for x in 0..cost.width {
            let (from, before) = cheapest_step(&total, x);
            back[(x, y)] = from;
            next.push(before + cost[(x, y)]);
        }
        total = next;
    }
    let mut index = (0..total.len()).reduce(|a, b| if total[b] < total[a] { b } else { a });
    let mut path = Vec::with_capacity(cost.height);
    for y in (0..cost.height).rev() {
        let Some(x) = index else { break };
        path.push(x);
        index = Some(back[(x, y)]);
    }
    path.reverse();
    path
}

/// The cheapest column of the row above to reach column `x` from, and what it costs to be there.
fn cheapest_step(total: &[f32], x: usize) -> (usize, f32) {
    STEP_COST
        .iter()
        .enumerate()
        .filter_map(|(i, &step)| {
            let from = (x + i).checked_sub(2)?;
            Some((from, total.get(from)? + step))
        })
        .reduce(|best, next| if next.1 < best.1 { next } else { best })
        .expect("BUG: a column can be reached from itself")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_follows_the_cheap_columns() {
        let valley = [4, 4, 5, 6, 6, 5, 3];
        let cost = Gray::from_fn(9, 7, |x, y| if x == valley[y] { -10.0 } else { 0.0 });
        assert_eq!(cheapest_path(&cost), valley);
    }
}
