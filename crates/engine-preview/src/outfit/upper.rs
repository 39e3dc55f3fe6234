//! Putting a top or a one-piece on a person whose clothing is not painted over.

use image::RgbImage;

use super::residue::{Residue, shadow_catcher};
use super::{Stage, UpperLayers, Wearer, front, head_zone};
use crate::compose::{Canvas, mix_planes};
use crate::garment::UpperGarment;
use crate::plan::{Extent, UpperPlan};
use crate::raster::blur::gaussian;
use crate::raster::morphology::dilate;
use crate::raster::plane::Gray;
use crate::shade::{Folds, Roundness, fold_gain};

const FOLDS: Folds = Folds {
    strength: 0.75,
    detail: 0.9,
    reach: 0.07,
};
const FORM: Roundness = Roundness {
    floor: 0.86,
    reach: 0.10,
    cylindrical: false,
};

/// The person in the new top, or the photo as it was when the garment falls outside of it.
pub(crate) fn dress_upper(
    stage: &Stage<'_>,
    wearer: &Wearer,
    garment: &UpperGarment,
    plan: &UpperPlan,
    extent: Extent,
) -> RgbImage {
    let layers = UpperLayers::warp(garment, plan, stage);
    let changing = dilate(&wearer.clothing.mask, 3);
    let Some(canvas) = stage.canvas(&layers.all(), &changing) else {
        return stage.photo.clone();
    };
    let mut drape = layers.stack(&canvas, plan, stage.photo_width());
    drape.cut(&canvas.enlarge(&head_zone(stage.small, wearer.target.below(-0.30))));
    drape.shade(&light(&canvas, wearer));
    let base = canvas.base();
    let covered = canvas.shrink(&drape.alpha);
    let residue = Residue::find(wearer, plan, &covered, extent == Extent::WholeBody);
    let mut ground = residue.replace(stage, &canvas, wearer, plan);
    let body = shadow_catcher(&canvas, &wearer.body.figure);
    let shadow = drape.contact_shadow(&body, stage.photo_width(), 0.30);
    ground = ground.zip_with(&shadow, |color, &gain| color.map(|c| c * gain));
    let front = canvas.soften(&front::in_front_of_top(wearer, plan));
    let dressed = mix_planes(&drape.over(&ground), &base, &front);
    let touched = drape.touched(&front, &base, &ground);
    canvas.paint(&dressed, &touched)
}

/// The gain of form and folds.
fn light(canvas: &Canvas<'_>, wearer: &Wearer) -> Gray {
    let (body, width) = (&wearer.body, wearer.target.width);
    let form = gaussian(&FORM.gain(&body.figure, width), 0.015 * width);
    let form = canvas.enlarge(&form);
    match fold_gain(&body.lab, &wearer.clothing.mask, width, FOLDS) {
        Some(folds) => form.zip_with(&canvas.enlarge(&folds), |&a, &b| a * b),
        None => form,
    }
}
