//! The mannequin: the outline of a standing body, for regions whose body is painted over.

use crate::geometry::{Point, Side, Sides, clamp, interpolate};
use crate::raster::plane::Mask;
use crate::raster::polygon::fill_polygon;

/// The right half of the outline from the neck over the arm, the torso and the leg to the crotch:
/// distance from the axis and depth under the shoulders, in shoulder widths.
const OUTLINE: [(f64, f64); 31] = [
    (0.125, -0.42),
    (0.13, -0.22),
    (0.18, -0.155),
    (0.25, -0.128),
    (0.31, -0.105),
    (0.375, -0.078),
    (0.44, -0.045),
    (0.49, 0.0),
    (0.52, 0.08),
    (0.53, 0.2),
    (0.535, 0.45),
    (0.545, 0.75),
    (0.535, 1.05),
    (0.515, 1.35),
    (0.515, 1.50),
    (0.495, 1.64),
    (0.455, 1.66),
    (0.435, 1.52),
    (0.43, 1.36),
    (0.425, 1.05),
    (0.405, 0.78),
    (0.362, 0.40),
    (0.345, 0.62),
    (0.325, 0.85),
    (0.345, 1.08),
    (0.385, 1.30),
    (0.395, 1.55),
    (0.37, 2.1),
    (0.34, 2.7),
    (0.03, 2.7),
    (0.0, 1.62),
];
/// Above this depth the outline is that of the neck.
const NECK_ENDS: f64 = -0.20;
/// The outer edge of the arms alone, by depth.
const ARM_DEPTHS: [f64; 6] = [0.0, 0.45, 0.75, 1.05, 1.35, 1.64];
const ARM_EDGE: [f64; 6] = [0.49, 0.535, 0.545, 0.535, 0.515, 0.495];
/// The edge of the trunk alone, by depth.
const TRUNK_DEPTHS: [f64; 6] = [0.40, 0.62, 0.85, 1.08, 1.30, 1.55];
const TRUNK_EDGE: [f64; 6] = [0.362, 0.345, 0.325, 0.345, 0.385, 0.395];

/// Half the width of the trunk at a depth under the shoulders, in shoulder widths.
pub(super) fn trunk_edge(depth: f64) -> f64 {
    interpolate(depth, &TRUNK_DEPTHS, &TRUNK_EDGE)
}

/// Where the mannequin stands, in analysis pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pose {
    pub(crate) axis: f64,
    pub(crate) shoulder_y: f64,
    /// The width between the shoulders.
    pub(crate) width: f64,
    /// How far the arms are bent out to meet visible hands.
    pub(crate) bend: Option<Bend>,
    /// Half the width of the neck, where that is seen.
    pub(crate) half_neck: Option<f64>,
}

/// A sideways shift of the arms that grows from the shoulder to a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bend {
    /// The row at which the shift is the given one.
    pub(crate) row: f64,
    /// The shift in x of each arm.
    pub(crate) shift: Sides<f64>,
}

impl Pose {
    /// The bend that brings the arms to the outline `left..right` seen in `row`, if it is near.
    pub(crate) fn find_bend(&self, row: f64, left: f64, right: f64) -> Option<Bend> {
        let depth = (row - self.shoulder_y) / self.width;
        let edge = interpolate(depth, &ARM_DEPTHS, &ARM_EDGE) * self.width;
        let shift = Sides::new(left - (self.axis - edge), right - (self.axis + edge));
        let near = shift.left.abs().max(shift.right.abs()) < 0.28 * self.width;
        near.then_some(Bend { row, shift })
    }

    /// The mannequin in this pose, in a picture of the size of `shape`.
    pub(crate) fn draw(&self, shape: &Mask) -> Mask {
        let right = OUTLINE
            .iter()
            .map(|&vertex| self.vertex(Side::Right, vertex));
        let left = OUTLINE
            .iter()
            .rev()
            .map(|&vertex| self.vertex(Side::Left, vertex));
        let mut mask = Mask::new(shape.width, shape.height, false);
        fill_polygon(&mut mask, &right.chain(left).collect::<Vec<_>>());
        mask
    }

    fn vertex(&self, side: Side, (out, down): (f64, f64)) -> Point {
        if let Some(half) = self.half_neck.filter(|_| down < NECK_ENDS) {
            return Point::new(
                self.axis + side.sign() * half,
                self.shoulder_y + down * self.width,
            );
        }
        let arm = out > 0.40 && down > 0.05;
        let shift = self.bend.filter(|_| arm).map_or(0.0, |bend| {
            let reach = (bend.row - self.shoulder_y).max(1.0);
            bend.shift[side] * clamp(down * self.width / reach, 0.0, 1.3)
        });
        Point::new(
            self.axis + side.sign() * out * self.width + shift,
            self.shoulder_y + down * self.width,
        )
    }
}
