//! Putting bottoms on a person whose clothing is not painted over.

use image::RgbImage;

use super::residue::{fill_in, shadow_catcher};
use super::{Stage, Wearer, front};
use crate::compose::{Canvas, Stack, mix_planes};
use crate::fill;
use crate::garment::LowerGarment;
use crate::geometry::Side;
use crate::plan::{LowerPlan, lower_rows};
use crate::raster::blur::gaussian;
use crate::raster::label::keep_largest;
use crate::raster::morphology::{dilate, open};
use crate::raster::plane::{Color, Gray, Mask};
use crate::shade::{Folds, Roundness, fold_gain};
use crate::warp::{Layer, Part, warp};

const FOLDS: Folds = Folds {
    strength: 0.6,
    detail: 0.8,
    reach: 0.06,
};
const FORM: Roundness = Roundness {
    floor: 0.84,
    reach: 0.10,
    cylindrical: false,
};
const BARE_LEG: Roundness = Roundness {
    floor: 0.78,
    reach: 0.09,
    cylindrical: true,
};

/// The person in the new bottoms, or the photo as it was when they fall outside of it.
pub(crate) fn dress_lower(
    stage: &Stage<'_>,
    wearer: &Wearer,
    garment: &LowerGarment,
    plan: &LowerPlan,
) -> RgbImage {
    let old = old_bottoms(wearer, plan.waist_y, plan.hem_y, plan.ankle_y);
    let layers = warp_halves(stage, garment, plan);
    let references: Vec<&Layer> = layers.iter().collect();
    let Some(canvas) = stage.canvas(&references, &dilate(&old, 3)) else {
        return stage.photo.clone();
    };
    let mut stack = Stack::new(canvas.area);
    for layer in &layers {
        stack.lay(layer);
    }
    let mut drape = stack.finish();
    drape.shade(&light(&canvas, wearer, &old));
    let base = canvas.base();
    let front = front::in_front_of_bottoms(wearer, plan.waist_y);
    let residue = residue(&old, &canvas.shrink(&drape.alpha), &front, plan);
    let filled = replaced(wearer, plan, &residue);
    let mut ground = fill_in(stage, &canvas, &base, &filled, &residue);
    let body = shadow_catcher(&canvas, &wearer.body.figure);
    let shadow = drape.contact_shadow(&body, stage.photo_width(), 0.28);
    ground = ground.zip_with(&shadow, |color, &gain| color.map(|c| c * gain));
    let front = canvas.soften(&front);
    let dressed = mix_planes(&drape.over(&ground), &base, &front);
    let touched = drape.touched(&front, &base, &ground);
    canvas.paint(&dressed, &touched)
}

/// The bottoms worn now that would be gone under such as reach the ankles.
pub(crate) fn find_bottoms(wearer: &Wearer) -> Mask {
    let (figure, waist) = (&wearer.body.figure, wearer.palette.waist);
    let (waist_y, ankle_y) = lower_rows(&wearer.target, figure, waist);
    old_bottoms(wearer, waist_y, ankle_y, ankle_y)
}

fn warp_halves(stage: &Stage<'_>, garment: &LowerGarment, plan: &LowerPlan) -> Vec<Layer> {
    let zoom = stage.zoom_for(garment.cutout.scale, 0.01);
    let half = |side: Side| {
        let part = Part {
            colors: &garment.cutout.colors,
            alpha: &garment.halves[side],
        };
        warp(part, &plan.halves[side], zoom, stage.size())
    };
    Side::BOTH.into_iter().filter_map(half).collect()
}

/// The bottoms worn now: below the waistband, not skin, and never shoes or the floor.
fn old_bottoms(wearer: &Wearer, waist_y: f64, hem_y: f64, ankle_y: f64) -> Mask {
    let (figure, palette, width) = (&wearer.body.figure, &wearer.palette, wearer.target.width);
    let mut end = (hem_y + 0.3 * width).min(ankle_y + 0.06 * width);
    if hem_y > ankle_y - 0.25 * width {
        end = end.min(hem_y);
    }
    let old = Mask::from_fn(figure.width, figure.height, |x, y| {
        let (at, row) = ((x, y), y as f64);
        let like_bottoms = palette
            .bottom_distance
            .as_ref()
            .is_none_or(|distance| distance[at] < 4.5);
        figure[at] && row > waist_y && row < end && palette.skin_distance[at] > 1.1 && like_bottoms
    });
    keep_largest(&open(&old, 1), 0.05)
}

fn light(canvas: &Canvas<'_>, wearer: &Wearer, old: &Mask) -> Gray {
    let (body, width) = (&wearer.body, wearer.target.width);
    let form = gaussian(&FORM.gain(&body.figure, width), 0.015 * width);
    let form = canvas.enlarge(&form);
    match fold_gain(&body.lab, old, width, FOLDS) {
        Some(folds) => form.zip_with(&canvas.enlarge(&folds), |&a, &b| a * b),
        None => form,
    }
}

/// What stays visible of the old bottoms.
fn residue(old: &Mask, covered: &Gray, front: &Mask, plan: &LowerPlan) -> Mask {
    let wide = dilate(old, 3);
    Mask::from_fn(old.width, old.height, |x, y| {
        let at = (x, y);
        wide[at] && covered[at] < 0.98 && !front[at] && y as f64 > plan.waist_y
    })
}

/// The analysis copy with bare legs under the hem and backdrop beside them.
fn replaced(wearer: &Wearer, plan: &LowerPlan, residue: &Mask) -> Color {
    let (body, width) = (&wearer.body, wearer.target.width);
    let mut filled = body.picture.clone();
    if !residue.any() {
        return filled;
    }
    let inner = wearer.inner_figure();
    let hem = plan.hem_y - 0.02 * width;
    let legs = Mask::from_fn(residue.width, residue.height, |x, y| {
        residue[(x, y)] && inner[(x, y)] && y as f64 > hem
    });
    let around = dilate(&body.figure, 3).not();
    if let Some(backdrop) = fill::continue_from(&body.picture, &around, 0) {
        fill::put(&mut filled, &backdrop, &residue.minus(&legs));
    }
    let gain = BARE_LEG.gain(&body.figure, width);
    fill::put(&mut filled, &wearer.skin(0.5, &gain), &legs);
    filled
}
