//! Everything of a body that clothes are fitted to.

use super::arm::{Arm, trace_arm};
use super::shoulder::Shoulders;
use super::slope::Slope;
use super::torso::{Chest, Torso, trace_torso};
use crate::geometry::{Point, Sides, clamp};
use crate::raster::plane::{Color, Mask};
use crate::raster::polygon::contour;

/// The body side of a fitting, in analysis pixels.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The axis of the chest.
    pub(crate) axis: f64,
    /// The axis of the neck.
    pub(crate) neck_axis: f64,
    /// The row of the shoulder corners.
    pub(crate) shoulder_y: f64,
    /// The width between the shoulder corners: the unit of every body measure.
    pub(crate) width: f64,
    pub(crate) corner: Sides<Point>,
    pub(crate) slope: Slope,
    pub(crate) torso: Torso,
    pub(crate) arms: Sides<Arm>,
    /// The outline of the figure, in walking order.
    pub(crate) outline: Vec<Point>,
}

impl Target {
    /// Measures the figure, or nothing when its torso is not in the picture.
    pub(crate) fn measure(lab: &Color, figure: &Mask, shoulders: &Shoulders) -> Option<Self> {
        let corner = shoulders.corner;
        let width = shoulders.width();
        let axis = f64::midpoint(corner.left.x, corner.right.x);
        let shoulder_y = f64::midpoint(corner.left.y, corner.right.y);
        let blend = 0.6 * shoulders.neck_axis + 0.4 * axis;
        let neck_axis = clamp(blend, axis - 0.10 * width, axis + 0.10 * width);
        let (from, to) = torso_rows(figure, shoulder_y, width)?;
        let chest = Chest {
            lab,
            figure,
            axis,
            width,
        };
        Some(Self {
            axis,
            neck_axis,
            shoulder_y,
            width,
            corner,
            slope: Slope::fit(figure, neck_axis, corner),
            torso: trace_torso(&chest, from, to, None),
            arms: Sides::from_fn(|side| trace_arm(figure, side, corner[side], shoulder_y, width)),
            outline: contour(figure).into_iter().map(Point::from).collect(),
        })
    }

    /// Traces the torso once more, now that the old clothing is known.
    pub(crate) fn refine(&mut self, lab: &Color, figure: &Mask, old: Option<&Mask>) {
        let rows = self.torso.rows();
        let chest = Chest {
            lab,
            figure,
            axis: self.axis,
            width: self.width,
        };
        self.torso = trace_torso(&chest, rows.start, rows.end - 1, old);
    }

    /// The row that lies `lengths` shoulder widths under the shoulders.
    pub(crate) fn below(&self, lengths: f64) -> f64 {
        self.shoulder_y + lengths * self.width
    }
}

/// The rows in which the torso is traced.
fn torso_rows(figure: &Mask, shoulder_y: f64, width: f64) -> Option<(usize, usize)> {
    let from = (shoulder_y + 0.36 * width).max(0.0) as usize;
    let to = ((shoulder_y + 1.75 * width) as usize).min(figure.height - 1);
    (to >= from + 4).then_some((from, to))
}
