//! Armpits: the notches between sleeves and body, or their like on sleeveless garments.
//!
//! The convex hull of each half of the outline bridges the notch under the sleeve; how deep the
//! outline falls below that bridge tells notches from wrinkles.

use super::shape::Shape;
use crate::garment::GarmentError;
use crate::geometry::{Point, Side, Sides};
use crate::raster::blur::gaussian1d;
use crate::raster::hull::{Defect, defects};
use crate::raster::label::keep_largest;
use crate::raster::plane::{Mask, Rect};
use crate::raster::polygon::contour;

/// A bay of the outline that may be an armpit.
#[derive(Debug, Clone, Copy)]
struct Notch {
    depth: f64,
    at: Point,
}

/// The armpits of a garment with sleeves, both or none. Notches further down than `lowest` (a share
/// of the height) do not count.
pub(super) fn find_notches(shape: &Shape<'_>, lowest: f64) -> Option<Sides<Point>> {
    let candidates = Sides::from_fn(|side| {
        let mut notches = candidates(shape, side);
        notches.retain(|notch| lowest >= 1.0 || notch.at.y < shape.down(lowest));
        notches
    });
    match best_pair(shape, &candidates) {
        Some(pair) => Some(even_out(shape, pair)),
        None => mirrored_single(shape, &candidates),
    }
}

/// The notches on one side.
fn candidates(shape: &Shape<'_>, side: Side) -> Vec<Notch> {
    let outline = contour(&half_mask(shape, side));
    let Some(walk) = Walk::new(shape, side, &outline) else {
        return Vec::new();
    };
    let bays = defects(&outline);
    bays.iter().filter_map(|bay| walk.notch(bay)).collect()
}

/// The larger part of the mask on one side of the axis.
fn half_mask(shape: &Shape<'_>, side: Side) -> Mask {
    let mut half = shape.mask.clone();
    let (width, height) = half.size();
    let axis = (shape.axis.column as usize).min(width - 1);
    let other = match side {
        Side::Left => Rect {
            x0: axis + 1,
            y0: 0,
            x1: width,
            y1: height,
        },
        Side::Right => Rect {
            x0: 0,
            y0: 0,
            x1: axis,
            y1: height,
        },
    };
    half.fill_rect(other, false);
    keep_largest(&half, 0.5)
}

/// The outline of a half, walked from the collar outwards and down to the hem.
struct Walk<'a> {
    shape: &'a Shape<'a>,
    side: Side,
    outline: &'a [(i32, i32)],
    start: usize,
    forward: bool,
    /// How far along the topmost point is.
    top: usize,
}

impl<'a> Walk<'a> {
    fn new(shape: &'a Shape<'a>, side: Side, outline: &'a [(i32, i32)]) -> Option<Self> {
        let near_axis =
            |&i: &usize| (f64::from(outline[i].0) - shape.axis.column).abs() < 0.04 * shape.width();
        let row = |&i: &usize| outline[i].1;
        let start = (0..outline.len()).filter(near_axis).min_by_key(row)?;
        let lowest = (0..outline.len()).filter(near_axis).rev().max_by_key(row)?;
        let count = outline.len();
        let steps = (lowest + count - start) % count;
        let columns = (0..=steps).map(|t| f64::from(outline[(start + t) % count].0));
        let mean = columns.sum::<f64>() / (steps + 1) as f64;
        let forward = shape.outward(side, mean) > 0.04 * shape.width();
        let mut walk = Self {
            shape,
            side,
            outline,
            start,
            forward,
            top: 0,
        };
        walk.top = walk.position((0..count).min_by_key(row)?);
        Some(walk)
    }

    /// How many steps along the walk the point of an index is.
    fn position(&self, index: usize) -> usize {
        let count = self.outline.len();
        let steps = if self.forward {
            index + count - self.start
        } else {
            self.start + count - index
        };
        steps % count
    }

    /// The bay as a notch, if it can be one.
    fn notch(&self, bay: &Defect) -> Option<Notch> {
        let (shape, height) = (self.shape, self.shape.height());
        let at = Point::from(self.outline[bay.far]);
        let before_top = self.position(bay.far) < self.top;
        let near_axis = shape.outward(self.side, at.x) < 0.06 * shape.width();
        let shallow =
            bay.depth < 0.014 * height || (at.y < shape.down(0.60) && bay.depth < 0.025 * height);
        let beyond = at.y < shape.down(0.12) || at.y > shape.down(0.975);
        if before_top || near_axis || shallow || beyond {
            return None;
        }
        // Under a sleeve the hull point met first lies further out than the notch; under the
        // curve of an armhole it does not.
        let first = if self.position(bay.start) < self.position(bay.end) {
            bay.start
        } else {
            bay.end
        };
        let overhang = self.side.sign() * (Point::from(self.outline[first]) - at).x;
        (overhang >= 0.035 * shape.width()).then_some(Notch {
            depth: bay.depth,
            at,
        })
    }
}

/// How far the mirror image of one point is from another.
fn mirror_gap(shape: &Shape<'_>, left: Point, right: Point) -> f64 {
    (mirrored(shape, left)).distance(right)
}

fn mirrored(shape: &Shape<'_>, p: Point) -> Point {
    Point::new(2.0 * shape.axis.column - p.x, p.y)
}

/// The deepest pair of notches that mirror each other.
fn best_pair(shape: &Shape<'_>, candidates: &Sides<Vec<Notch>>) -> Option<Sides<Point>> {
    let mut best: Option<(f64, Sides<Point>)> = None;
    for left in &candidates.left {
        for right in &candidates.right {
            let gap = mirror_gap(shape, left.at, right.at);
            let score = left.depth + right.depth - 2.0 * gap;
            let better = best.is_none_or(|(least, _)| score > least);
            if gap < 0.15 * shape.height() && better {
                best = Some((score, Sides::new(left.at, right.at)));
            }
        }
    }
    best.map(|(_, pair)| pair)
}

/// Where a pair is uneven, keeps the higher notch and moves the other one to the innermost point of
/// the outline near the mirror image.
fn even_out(shape: &Shape<'_>, mut pair: Sides<Point>) -> Sides<Point> {
    let height = shape.height();
    if mirror_gap(shape, pair.left, pair.right) <= 0.05 * height {
        return pair;
    }
    let kept = if pair.left.y < pair.right.y {
        Side::Left
    } else {
        Side::Right
    };
    let moved = kept.other();
    let image = mirrored(shape, pair[kept]);
    let inwardness = |p: Point| moved.sign() * p.x + 0.5 * (p.y - image.y).abs();
    let innermost = shape
        .outline
        .iter()
        .copied()
        .filter(|p| shape.outward(moved, p.x) > 0.05 * shape.width() && p.y > shape.down(0.12))
        .filter(|p| p.distance(image) < 0.07 * height)
        .reduce(|best, next| {
            if inwardness(next) < inwardness(best) {
                next
            } else {
                best
            }
        });
    pair[moved] = innermost.unwrap_or(image);
    pair
}

/// The deepest notch of the garment, if it is deep enough to stand alone, and its mirror image.
fn mirrored_single(shape: &Shape<'_>, candidates: &Sides<Vec<Notch>>) -> Option<Sides<Point>> {
    let deepest = |side: Side| {
        let deeper = |a: Notch, b: Notch| if b.depth > a.depth { b } else { a };
        candidates[side]
            .iter()
            .copied()
            .reduce(deeper)
            .map(|notch| (side, notch))
    };
    let (side, notch) = match (deepest(Side::Left), deepest(Side::Right)) {
        (Some(left), Some(right)) if right.1.depth > left.1.depth => right,
        (left, right) => left.or(right)?,
    };
    if notch.depth <= 0.06 * shape.height() {
        return None;
    }
    let image = mirrored(shape, notch.at);
    Some(match side {
        Side::Left => Sides::new(notch.at, image),
        Side::Right => Sides::new(image, notch.at),
    })
}

/// The armpits of a sleeveless garment: on each side the first row that is nearly as wide as the
/// widest of the upper half.
pub(super) fn sleeveless(shape: &Shape<'_>) -> Result<Sides<Point>, GarmentError> {
    let missing = GarmentError::NoLandmark {
        landmark: "armholes",
    };
    let long = shape.height() >= 1.9 * shape.width();
    let from = shape.bounds.y0 + (if long { 0.11 } else { 0.20 } * shape.height()) as usize;
    let to = shape.bounds.y0 + (0.55 * shape.height()) as usize;
    let side_point = |side: Side| {
        let rows = (from..to).map(|y| y as f64);
        let edge: Vec<Point> = rows
            .filter_map(|y| Some(Point::new(shape.outermost(side, y)?, y)))
            .collect();
        let reach: Vec<f64> = edge.iter().map(|p| shape.outward(side, p.x)).collect();
        let reach = gaussian1d(&reach, 2.0);
        let widest = reach.iter().copied().reduce(f64::max)?;
        let first = reach.iter().position(|&r| r >= 0.965 * widest)?;
        Some(edge[first])
    };
    let (left, right) = (side_point(Side::Left), side_point(Side::Right));
    Ok(Sides::new(left.ok_or(missing)?, right.ok_or(missing)?))
}

/// Armpits above notches that lie too low to be armpits themselves.
pub(super) fn estimate_from_notches(
    shape: &Shape<'_>,
    notches: &Sides<Point>,
) -> Result<Sides<Point>, GarmentError> {
    let estimate = |side: Side| {
        let shoulder = shape.outermost(side, shape.down(0.16))?;
        let inside_notch = 1.02 * shape.outward(side, notches[side].x);
        let inside_shoulder = 0.98 * shape.outward(side, shoulder);
        let reach = inside_notch.min(inside_shoulder).max(0.16 * shape.width());
        Some(Point::new(
            shape.axis.column + side.sign() * reach,
            shape.down(0.34),
        ))
    };
    let missing = GarmentError::NoLandmark {
        landmark: "shoulders",
    };
    let (left, right) = (estimate(Side::Left), estimate(Side::Right));
    Ok(Sides::new(left.ok_or(missing)?, right.ok_or(missing)?))
}
