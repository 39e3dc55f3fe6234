//! The plan for tops and one-pieces: a mesh for the body and one for each sleeve.

use super::Mesh;
use super::anchor::Fitting;
use super::{sleeve, torso};
use crate::body::Target;
use crate::garment::UpperGarment;
use crate::geometry::Sides;
use crate::raster::plane::Mask;

/// What a garment covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// A top: it ends between waist and thigh.
    Torso,
    /// A dress or an overall.
    WholeBody,
}

/// What decides the length of the garment.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hem<'a> {
    /// The garment's own proportions.
    Natural,
    /// The same, but drawn down over the hem of the old clothing where that is near.
    Over(&'a Mask),
    /// This row.
    At(f64),
}

/// How a top or a one-piece is laid onto the body, in analysis pixels of the person.
#[derive(Debug, Clone)]
pub(crate) struct UpperPlan {
    pub(crate) torso: Mesh,
    pub(crate) sleeves: Option<Sides<Mesh>>,
    /// The row of the armpits.
    pub(crate) armpit_y: f64,
    pub(crate) hem_y: f64,
}

/// Plans `garment` on the body that `target` measures in `figure`.
pub(crate) fn plan_upper(
    garment: &UpperGarment,
    target: &Target,
    figure: &Mask,
    extent: Extent,
    hem: Hem<'_>,
) -> UpperPlan {
    let landmarks = &garment.landmarks;
    let mask = &garment.cutout.small_mask;
    let fitting = Fitting::new(landmarks, mask, target, figure, extent);
    let anchors = fitting.anchors(hem);
    UpperPlan {
        torso: torso::torso_mesh(&fitting, &anchors),
        sleeves: sleeve::sleeve_meshes(&fitting, &anchors),
        armpit_y: anchors.armpit.left.y,
        hem_y: anchors.hem_y,
    }
}
