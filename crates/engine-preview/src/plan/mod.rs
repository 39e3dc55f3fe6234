//! Plans: which point of a garment goes to which point of the body, as quad meshes.

mod anchor;
mod contour;
mod lower;
mod sleeve;
mod torso;
mod upper;

pub(crate) use lower::{LowerPlan, lower_rows, plan_lower};
pub(crate) use upper::{Extent, Hem, UpperPlan, plan_upper};

use crate::geometry::Point;

/// A quad mesh that lays a part of a garment onto the body.
#[derive(Debug, Clone)]
pub(crate) struct Mesh {
    /// Points in each row.
    pub(crate) columns: usize,
    /// Where each point lies on the garment, in its analysis pixels, row after row.
    pub(crate) source: Vec<Point>,
    /// Where it goes on the body, in the analysis pixels of the person.
    pub(crate) target: Vec<Point>,
}

impl Mesh {
    pub(crate) fn new(columns: usize) -> Self {
        Self {
            columns,
            source: Vec::new(),
            target: Vec::new(),
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.source.len() / self.columns
    }

    /// Adds a row of points, given as `(source, target)`.
    pub(crate) fn push_row(&mut self, points: impl IntoIterator<Item = (Point, Point)>) {
        for (source, target) in points {
            self.source.push(source);
            self.target.push(target);
        }
        debug_assert_eq!(self.source.len() % self.columns, 0);
    }
}
