//! Landmarks of tops and one-pieces, read off the mask alone.

mod armpit;
mod axis;
mod hem;
mod neck;
mod shape;
mod sleeve;

pub(super) use axis::find_axis;
pub(super) use shape::pixel;
pub(crate) use sleeve::Sleeve;

use self::shape::Shape;
use super::GarmentError;
use crate::geometry::{Point, Sides};
use crate::raster::plane::Mask;

/// Notches below this share of the height are not armpits: the sleeve lies against the body.
const LOW: f64 = 0.52;
/// Sleeves that lie against the body count only if each covers this share of the garment.
const LEAST_LOW_SLEEVE: f64 = 0.05;

/// What is measured on a top or a one-piece, in analysis pixels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Landmarks {
    /// The column of the mirror axis.
    pub(crate) axis: f64,
    /// How symmetric the mask is: its overlap (IoU) with its mirror image.
    pub(crate) symmetry: f64,
    /// Under the arms.
    pub(crate) armpit: Sides<Point>,
    /// On the outline above the armpits, where sleeves begin.
    pub(crate) shoulder: Sides<Point>,
    /// The ends of the neck opening.
    pub(crate) neck: Sides<Point>,
    /// The lower corners.
    pub(crate) hem: Sides<Point>,
    /// The lower edge on the axis.
    pub(crate) hem_center: Point,
    /// Where sleeves that lie against the body come free of it; their armpits are estimated.
    pub(crate) notch: Option<Sides<Point>>,
    /// The sleeves; `None` for sleeveless garments.
    pub(crate) sleeves: Option<Sides<Sleeve>>,
}

impl Landmarks {
    /// Measures `mask`, the garment at analysis scale.
    pub(super) fn find(mask: &Mask) -> Result<Self, GarmentError> {
        let shape = Shape::measure(mask).ok_or(GarmentError::Blank)?;
        let found = Self::find_with(&shape, armpit::find_notches(&shape, 1.0))?;
        if found.notch.is_none() || found.has_whole_sleeves(mask) {
            return Ok(found);
        }
        Self::find_with(&shape, armpit::find_notches(&shape, LOW))
    }

    /// Whether low notches cut off what can be sleeves.
    fn has_whole_sleeves(&self, mask: &Mask) -> bool {
        let least = LEAST_LOW_SLEEVE * mask.count() as f64;
        self.sleeves.as_ref().is_some_and(|sleeves| {
            let smaller = sleeves.left.area.min(sleeves.right.area);
            smaller as f64 >= least
        })
    }

    fn find_with(shape: &Shape<'_>, notches: Option<Sides<Point>>) -> Result<Self, GarmentError> {
        let has_notches = notches.is_some();
        let mut armpit = match notches {
            Some(notches) => notches,
            None => armpit::sleeveless(shape)?,
        };
        let low = has_notches && (armpit.left.y + armpit.right.y) / 2.0 > shape.down(LOW);
        let notch = low.then_some(armpit);
        if low {
            armpit = armpit::estimate_from_notches(shape, &armpit)?;
        }
        let shoulder = neck::find_shoulders(shape, &armpit, has_notches);
        let neck = neck::find_neck(shape, &shoulder, has_notches)?;
        let sleeves = if has_notches {
            sleeve::find_sleeves(shape, &armpit, &shoulder, notch.as_ref())
        } else {
            None
        };
        let hem = hem::find_hem(shape, &armpit, sleeves.is_some())?;
        Ok(Self {
            axis: shape.axis.column,
            symmetry: shape.axis.symmetry,
            armpit,
            shoulder,
            neck,
            hem: hem.corners,
            hem_center: hem.center,
            notch,
            sleeves,
        })
    }
}
