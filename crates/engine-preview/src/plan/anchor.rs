//! The scale of a garment on a body, and where its landmarks go.

use crate::body::Target;
use crate::garment::Landmarks;
use crate::geometry::{Point, Side, Sides, clamp};
use crate::raster::plane::Mask;

use super::upper::{Extent, Hem};

/// A garment about to be fitted to a body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fitting<'a> {
    pub(super) garment: &'a Landmarks,
    /// The garment at analysis scale.
    pub(super) mask: &'a Mask,
    pub(super) target: &'a Target,
    /// The person.
    pub(super) figure: &'a Mask,
    pub(super) extent: Extent,
    /// Body pixels per garment pixel across.
    pub(super) across: f64,
    /// Body pixels per garment pixel along.
    pub(super) along: f64,
}

/// Where the landmarks of the garment go on the body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Anchors {
    pub(super) neck: Sides<Point>,
    pub(super) shoulder: Sides<Point>,
    pub(super) armpit: Sides<Point>,
    pub(super) hem_y: f64,
}

impl<'a> Fitting<'a> {
    pub(super) fn new(
        garment: &'a Landmarks,
        mask: &'a Mask,
        target: &'a Target,
        figure: &'a Mask,
        extent: Extent,
    ) -> Self {
        let width = target.width;
        let half_neck = mean_reach(garment.axis, &garment.neck).max(1.0);
        let across = half_chest(target) / mean_reach(garment.axis, &garment.armpit).max(1.0);
        // The neck tells more about the true size than the chest, within limits.
        let along = if garment.sleeves.is_some() {
            (across * clamp(0.155 * width / half_neck, across, 1.45 * across)).sqrt()
        } else {
            across
        };
        Self {
            garment,
            mask,
            target,
            figure,
            extent,
            across,
            along,
        }
    }

    /// The row of the garment's neck points.
    pub(super) fn neck_row(&self) -> f64 {
        self.garment.neck.map(|p| p.y).mean()
    }

    /// The length from neck to hem on the body.
    fn length(&self) -> f64 {
        let natural = (self.garment.hem_center.y - self.neck_row()) * self.along;
        let (least, most) = match self.extent {
            Extent::Torso => (0.55, 1.85),
            Extent::WholeBody => (1.7, 3.7),
        };
        clamp(natural, least * self.target.width, most * self.target.width)
    }

    pub(super) fn anchors(&self, hem: Hem<'_>) -> Anchors {
        let garment = self.garment;
        let armhole = Sides::from_fn(|side| garment.armpit[side].y - garment.shoulder[side].y);
        let depth = armhole.mean() * self.along - 0.10 * self.target.width;
        let width = self.target.width;
        let armpit_y = self.target.shoulder_y + clamp(depth, 0.30 * width, 0.56 * width);
        let armpit =
            Sides::from_fn(|side| Point::new(self.target.torso.side(side, armpit_y), armpit_y));
        let neck = Sides::from_fn(|side| self.neck(side));
        let shoulder = Sides::from_fn(|side| self.shoulder(side, neck[side], armpit[side]));
        let hem_y = match hem {
            Hem::At(row) => row,
            Hem::Natural => neck.map(|p| p.y).mean() + self.length(),
            Hem::Over(old) => self.cover_old_hem(neck.map(|p| p.y).mean() + self.length(), old),
        };
        Anchors {
            neck,
            shoulder,
            armpit,
            hem_y,
        }
    }

    fn on_slope(&self, x: f64) -> Point {
        Point::new(x, self.target.slope.y(x))
    }

    fn neck(&self, side: Side) -> Point {
        let half = (self.garment.neck[side].x - self.garment.axis).abs() * self.along;
        let width = self.target.width;
        let reach = clamp(half, 0.11 * width, 0.40 * width);
        self.on_slope(self.target.neck_axis + side.sign() * reach)
    }

    /// Above the armpit with a sleeve; as wide as the garment is without one.
    fn shoulder(&self, side: Side, neck: Point, armpit: Point) -> Point {
        let (target, width) = (self.target, self.target.width);
        let x = if self.garment.sleeves.is_some() {
            armpit.x - side.sign() * 0.005 * width
        } else {
            let half = (self.garment.shoulder[side].x - self.garment.axis).abs() * self.across;
            let neck_reach = (neck.x - target.neck_axis).abs();
            target.axis + side.sign() * clamp(half, neck_reach + 0.03 * width, 0.46 * width)
        };
        let least = 0.03 * width;
        let x = if side.sign() * (x - neck.x) < least {
            neck.x + side.sign() * least
        } else {
            x
        };
        self.on_slope(x)
    }

    /// A hem that ends somewhat above that of the old clothing is drawn down to it, so that little
    /// has to be invented; a cropped garment stays cropped sooner.
    fn cover_old_hem(&self, hem_y: f64, old: &Mask) -> f64 {
        let Some(row) = last_filled_row(old, self.target) else {
            return hem_y;
        };
        let old_hem = row as f64 + 0.035 * self.target.width;
        let length = self.length();
        let cropped = length / half_chest(self.target).max(1.0) < 1.75;
        let reach = if cropped { 0.32 } else { 0.60 } * length;
        if hem_y < old_hem && old_hem - hem_y < reach {
            old_hem
        } else {
            hem_y
        }
    }
}

/// How far the two points are from the axis.
pub(super) fn mean_reach(axis: f64, points: &Sides<Point>) -> f64 {
    points.map(|p| (p.x - axis).abs()).mean()
}

/// Half the width of the chest.
fn half_chest(target: &Target) -> f64 {
    let first = target.torso.first_row as f64;
    let half = Sides::from_fn(|side| (target.torso.side(side, first) - target.axis).abs()).mean();
    clamp(half, 0.30 * target.width, 0.44 * target.width)
}

/// The last row in which the clothing spans a good part of the middle.
fn last_filled_row(old: &Mask, target: &Target) -> Option<usize> {
    let clip = |x: f64| (x.max(0.0) as usize).min(old.width);
    let columns = clip(target.axis - 0.25 * target.width)..clip(target.axis + 0.25 * target.width);
    let least = columns.len() as f64 * 0.25;
    (0..old.height).rfind(|&y| {
        let filled = old.row(y)[columns.clone()].iter().filter(|&&set| set);
        filled.count() as f64 > least
    })
}
