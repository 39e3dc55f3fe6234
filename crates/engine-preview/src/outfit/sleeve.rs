//! The old sleeves that stood off the arms.

use super::Wearer;
use crate::geometry::{Side, interpolate};
use crate::raster::plane::Mask;

/// Below the shoulder corner by this much of the shoulders' width, a sleeve begins to stand off.
const FROM: f64 = 0.10;
/// Cuffs are sought down to this much of the shoulders' width below the corner.
const ELBOW: f64 = 0.75;
/// The bare arm is measured this much of the shoulders' width below the cuff.
const BELOW: f64 = 0.06;

/// The part of the figure that is old sleeve beside the arm: outside of the line from the shoulder
/// to the outer edge of the bare arm just below the cuff.
pub(super) fn flare(wearer: &Wearer) -> Mask {
    let figure = &wearer.body.figure;
    let lines = Side::BOTH.map(|side| (side, Line::find(wearer, side)));
    Mask::from_fn(figure.width, figure.height, |x, y| {
        let beyond = |(side, line): &(Side, Option<Line>)| {
            let edge = line.as_ref().and_then(|line| line.at(y as f64));
            edge.is_some_and(|edge| side.sign() * (x as f64 - edge) > 0.0)
        };
        figure[(x, y)] && lines.iter().any(beyond)
    })
}

/// The outer edge of an arm under a sleeve.
struct Line {
    rows: [f64; 2],
    columns: [f64; 2],
}

impl Line {
    /// The line along the arm on one side, where a cuff with a bare arm below it is seen.
    fn find(wearer: &Wearer, side: Side) -> Option<Self> {
        let (arm, width) = (&wearer.target.arms[side], wearer.target.width);
        let clothing = &wearer.clothing.mask;
        let clad = |&row: &usize| {
            let inside = arm.outer[row] - side.sign() * 0.04 * width;
            let at = (inside.round() as i64, (arm.first_row + row) as i64);
            clothing.get(at.0, at.1) == Some(&true)
        };
        let elbow = arm.outer.len().min((ELBOW * width) as usize);
        let cuff = (0..elbow).rfind(clad)?;
        let start = (FROM * width) as usize;
        let end = cuff + (BELOW * width).ceil() as usize;
        let columns = [*arm.outer.get(start)?, *arm.outer.get(end)?];
        (cuff > start).then(|| Self {
            rows: [start, end].map(|row| (arm.first_row + row) as f64),
            columns,
        })
    }

    /// The column of the edge in row `y`, if the sleeve covers that.
    fn at(&self, y: f64) -> Option<f64> {
        let [from, to] = self.rows;
        let covered = (from..to).contains(&y);
        covered.then(|| interpolate(y, &self.rows, &self.columns))
    }
}
