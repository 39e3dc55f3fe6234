//! What is left of the old clothing beside the new, and what is put in its place.

use super::sleeve::flare;
use super::{OUTLINE, Stage, Wearer};
use crate::compose::{Canvas, mix, mix_planes};
use crate::fill;
use crate::geometry::Side;
use crate::noise::Grain;
use crate::plan::UpperPlan;
use crate::raster::blur::gaussian_mask;
use crate::raster::distance::to_nearest;
use crate::raster::morphology::{dilate, erode};
use crate::raster::plane::{Color, Gray, Mask};
use crate::shade::Roundness;

/// The skin of arms and neck darkens towards the outline.
const SKIN: Roundness = Roundness {
    floor: 0.80,
    reach: 0.09,
    cylindrical: false,
};

/// Pixels of the old clothing that stay visible, by what is to replace them.
pub(super) struct Residue {
    pub(super) all: Mask,
    skin: Mask,
    bottoms: Mask,
    backdrop: Mask,
    /// The new hem ends above the waistband: the gap under it shows skin.
    bare_waist: bool,
}

impl Residue {
    /// `covered` is the alpha of the new garment at analysis scale.
    pub(super) fn find(
        wearer: &Wearer,
        plan: &UpperPlan,
        covered: &Gray,
        whole_body: bool,
    ) -> Self {
        let (figure, target) = (&wearer.body.figure, &wearer.target);
        let width = target.width;
        let all = uncovered(wearer, plan, covered, whole_body);
        let torso = target.torso.mask(figure, 0.0);
        let arms = arm_zone(wearer, &torso);
        let inner = wearer.inner_figure();
        let armpit = plan.armpit_y.max(target.torso.first_row as f64);
        let on_skin = Mask::from_fn(figure.width, figure.height, |x, y| {
            let arm = arms[(x, y)] && !torso[(x, y)];
            arm || (y as f64) < armpit
        });
        let mut skin = all.and(&on_skin).and(&inner);
        if !wearer.clothing.long_sleeves {
            skin = skin.minus(&overhang(wearer, &all)).minus(&flare(wearer));
        }
        let below = plan.hem_y - 0.02 * width;
        let under_hem = Mask::from_fn(figure.width, figure.height, |_, y| y as f64 > below);
        let bottoms = all.and(&under_hem).and(&inner).minus(&skin);
        let backdrop = all.minus(&skin).minus(&bottoms);
        let waist = wearer.palette.waist;
        Self {
            bare_waist: waist.is_none_or(|row| plan.hem_y < row - 0.03 * width),
            all,
            skin,
            bottoms,
            backdrop,
        }
    }

    /// The photo with the residue replaced.
    pub(super) fn replace(
        &self,
        stage: &Stage<'_>,
        canvas: &Canvas<'_>,
        wearer: &Wearer,
        plan: &UpperPlan,
    ) -> Color {
        let base = canvas.base();
        let figure = &wearer.body.figure;
        let body = fill_in(stage, canvas, &base, &self.on_body(wearer, plan), &self.all);
        if !self.backdrop.any() {
            return body;
        }
        let around = dilate(figure, 3)
            .or(&dilate(&wearer.clothing.mask, 3))
            .not();
        let Some(backdrop) = fill::continue_from(&wearer.body.picture, &around, 0) else {
            return body;
        };
        let beside = fill_in(stage, canvas, &base, &backdrop, &self.all);
        let edge = canvas.round_off(&self.backdrop.or(&figure.not()), OUTLINE);
        mix_planes(&body, &beside, &edge)
    }

    /// The analysis copy with skin and bottoms, which go on beneath the backdrop's edge.
    fn on_body(&self, wearer: &Wearer, plan: &UpperPlan) -> Color {
        let (figure, picture) = (&wearer.body.figure, &wearer.body.picture);
        let old = dilate(&wearer.clothing.mask, 3);
        let gain = SKIN.gain(&figure.minus(&self.backdrop), wearer.target.width);
        let skin = wearer.skin(0.1, &gain);
        let mut filled = picture.clone();
        fill::put(&mut filled, &skin, &self.skin.or(&self.backdrop));
        let bottoms = if self.bare_waist {
            None
        } else {
            continue_bottoms(wearer, plan, &old)
        };
        fill::put(
            &mut filled,
            bottoms.as_ref().unwrap_or(&skin),
            &self.bottoms,
        );
        filled
    }
}

fn uncovered(wearer: &Wearer, plan: &UpperPlan, covered: &Gray, whole_body: bool) -> Mask {
    let (figure, target) = (&wearer.body.figure, &wearer.target);
    let old = &wearer.clothing.mask;
    let (wide, narrow) = (dilate(old, 3), dilate(old, 1));
    // Without a waistband the old clothing goes on as the bottoms.
    let keeps_bottoms = wearer.palette.waist.is_none() || whole_body;
    let below = plan.hem_y - 0.02 * target.width;
    Mask::from_fn(figure.width, figure.height, |x, y| {
        let at = (x, y);
        let bottoms = keeps_bottoms
            && y as f64 > below
            && (x as f64 - target.axis).abs() < 0.60 * target.width;
        let old = if figure[at] {
            wide[at] && !bottoms
        } else {
            narrow[at]
        };
        old && covered[at] < 0.98
    })
}

/// Where the old clothing stood off the torso: beside it, near the gap under the arm and nearer to
/// that than to any skin.
fn overhang(wearer: &Wearer, old: &Mask) -> Mask {
    let (figure, target) = (&wearer.body.figure, &wearer.target);
    let bare = Mask::from_fn(figure.width, figure.height, |x, y| {
        figure[(x, y)] && !old[(x, y)] && wearer.palette.skin_distance[(x, y)] < 1.2
    });
    let (to_backdrop, to_skin) = (to_nearest(&figure.not()), to_nearest(&bare));
    let reach = 0.08 * target.width;
    let rows = target.torso.rows();
    let sides = |y: usize| Side::BOTH.map(|side| target.torso.side(side, y as f64));
    Mask::from_fn(figure.width, figure.height, |x, y| {
        let gap = to_backdrop[(x, y)];
        let beside = sides(y).iter().any(|side| (x as f64 - side).abs() < reach);
        rows.contains(&y) && beside && f64::from(gap) < reach && gap < to_skin[(x, y)]
    })
}

/// The arms; under loose sleeves, all beside the torso.
fn arm_zone(wearer: &Wearer, torso: &Mask) -> Mask {
    let (figure, target) = (&wearer.body.figure, &wearer.target);
    let mut zone = Mask::new(figure.width, figure.height, false);
    for side in Side::BOTH {
        let arm = &target.arms[side];
        for (row, (&outer, &width)) in arm.outer.iter().zip(&arm.width).enumerate() {
            let (from, to) = match side {
                Side::Left => (outer - 2.0, outer + width),
                Side::Right => (outer - width, outer + 2.0),
            };
            let columns = from.max(0.0) as usize..(to.max(0.0) as usize + 1).min(figure.width);
            for x in columns {
                zone[(x, arm.first_row + row)] = true;
            }
        }
    }
    if wearer.clothing.long_sleeves {
        let last = target.below(1.75);
        return Mask::from_fn(figure.width, figure.height, |x, y| {
            zone[(x, y)] || (!torso[(x, y)] && (y as f64) < last)
        });
    }
    zone
}

fn continue_bottoms(wearer: &Wearer, plan: &UpperPlan, old: &Mask) -> Option<Color> {
    let (figure, palette) = (&wearer.body.figure, &wearer.palette);
    let top = palette.waist.unwrap_or(plan.hem_y);
    let bottoms = Mask::from_fn(figure.width, figure.height, |x, y| {
        let at = (x, y);
        figure[at] && y as f64 > top && !old[at] && palette.skin_distance[at] > 1.0
    });
    fill::continue_from(&wearer.body.picture, &bottoms, 50)
}

/// The photo with the pixels of `zone` replaced by those of `filled`, both at analysis scale.
pub(super) fn fill_in(
    stage: &Stage<'_>,
    canvas: &Canvas<'_>,
    base: &Color,
    filled: &Color,
    zone: &Mask,
) -> Color {
    if !zone.any() {
        return base.clone();
    }
    let grain = Grain::like(stage.photo, stage.seed);
    let alpha = canvas.enlarge(&gaussian_mask(zone, 0.9));
    let filled = canvas.enlarge(filled);
    Color::from_fn(base.width, base.height, |x, y| {
        let at = (x, y);
        let alpha = (1.25 * alpha[at]).clamp(0.0, 1.0);
        if alpha <= 0.0 {
            return base[at];
        }
        let noise = grain.at(canvas.area.x0 + x, canvas.area.y0 + y);
        mix(&base[at], &filled[at].map(|c| c + noise), alpha)
    })
}

/// The figure as an alpha for shadows that must not fall on the backdrop.
pub(super) fn shadow_catcher(canvas: &Canvas<'_>, figure: &Mask) -> Gray {
    canvas.enlarge(&gaussian_mask(&erode(figure, 1), 1.0))
}
