//! What lies in front of the new garment and is put back over it: hair and hands.

use super::Wearer;
use crate::body::Parts;
use crate::plan::UpperPlan;
use crate::raster::label::{Component, Connectivity};
use crate::raster::morphology::{dilate, open};
use crate::raster::plane::{Mask, Rect};

/// Hair, and hands that lie on the old top.
pub(super) fn in_front_of_top(wearer: &Wearer, plan: &UpperPlan) -> Mask {
    let hair = wearer.hair();
    if wearer.palette.ambiguous {
        return hair;
    }
    hair.or(&hands_on_top(wearer, plan))
}

fn hands_on_top(wearer: &Wearer, plan: &UpperPlan) -> Mask {
    let (figure, target, palette) = (&wearer.body.figure, &wearer.target, &wearer.palette);
    let width = target.width;
    let torso = target.torso.mask(figure, 0.0);
    let old = &wearer.clothing.mask;
    let (top, bottom) = (plan.armpit_y + 0.12 * width, plan.hem_y + 0.1 * width);
    let skin = Mask::from_fn(figure.width, figure.height, |x, y| {
        let at = (x, y);
        figure[at]
            && palette.skin_distance[at] < 0.9
            && !old[at]
            && torso[at]
            && (top..bottom).contains(&(y as f64))
    });
    let bare_arm = Mask::from_fn(figure.width, figure.height, |x, y| {
        let at = (x, y);
        figure[at] && palette.skin_distance[at] < 1.2 && !torso[at] && !old[at]
    });
    let hands = Parts::new(&open(&skin, 2), Connectivity::Four);
    let hands = hands.select(|i, part| is_hand(wearer, part, &hands.mask_of(i), &bare_arm));
    dilate(&hands, 1)
}

/// A patch of skin is a hand when it hangs on a bare arm and lies on the old clothing; at the
/// waist, a wide one is the belly.
fn is_hand(wearer: &Wearer, part: &Component, patch: &Mask, bare_arm: &Mask) -> bool {
    let (target, width) = (&wearer.target, wearer.target.width);
    let (across, down) = (breadth(part.bounds.width()), breadth(part.bounds.height()));
    let (x, y) = part.centroid;
    let small = (part.area as f64) < 0.004 * width * width || across > 0.5 * width;
    let at_waist = wearer
        .palette
        .waist
        .is_some_and(|row| (y - row).abs() < 0.16 * width);
    let belly = at_waist && across > 1.3 * down;
    if small || belly || (x - target.axis).abs() < 0.07 * width {
        return false;
    }
    let around = part.bounds.grown(5, patch.width, patch.height);
    let (patch, arm) = (patch.crop(around), bare_arm.crop(around));
    let ring = dilate(&patch, 3).minus(&patch);
    let on_cloth = ring.and(&wearer.clothing.mask.crop(around)).count();
    dilate(&patch, 4).and(&arm).count() > 8 && on_cloth as f64 > 0.35 * ring.count() as f64
}

fn breadth(pixels: usize) -> f64 {
    pixels as f64 - 1.0
}

/// The untucked top, and the hands and arms, which hang in front of bottoms.
pub(super) fn in_front_of_bottoms(wearer: &Wearer, waist_y: f64) -> Mask {
    let (figure, target, palette) = (&wearer.body.figure, &wearer.target, &wearer.palette);
    let width = target.width;
    let rows = (waist_y - 0.2 * width)..target.below(1.95);
    let skin = Mask::from_fn(figure.width, figure.height, |x, y| {
        figure[(x, y)] && palette.skin_distance[(x, y)] < 1.0 && rows.contains(&(y as f64))
    });
    let arms = Parts::new(&open(&skin, 1), Connectivity::Four).select(|_, part| {
        part.area as f64 >= 0.003 * width * width
            && (part.centroid.0 - target.axis).abs() > 0.22 * width
            && breadth(part.bounds.width()) < 0.6 * width
    });
    let all = Rect {
        x0: 0,
        y0: 0,
        x1: figure.width,
        y1: figure.height,
    };
    let mut top = wearer.clothing.mask.clone();
    let end = ((waist_y + 0.6 * width).max(0.0).ceil() as usize).min(all.y1);
    top.fill_rect(Rect { y0: end, ..all }, false);
    top.or(&dilate(&arms, 1))
}
