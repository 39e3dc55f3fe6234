//! The lower edge.

use super::shape::{Shape, pixel};
use crate::garment::GarmentError;
use crate::geometry::{Point, Side, Sides};
use crate::raster::order::{median, percentile};
use crate::raster::run::{bottom_profile, central_run};

/// The hem of a garment.
pub(super) struct Hem {
    pub(super) corners: Sides<Point>,
    pub(super) center: Point,
}

/// The hem, measured between the armpits since sleeves may hang lower.
pub(super) fn find_hem(
    shape: &Shape<'_>,
    armpit: &Sides<Point>,
    sleeved: bool,
) -> Result<Hem, GarmentError> {
    let missing = GarmentError::NoLandmark { landmark: "hem" };
    let chest = armpit.right.x - armpit.left.x;
    let profile = bottom_profile(shape.mask);
    let last = profile.len() - 1;
    let bottoms = |from: f64, to: f64| -> Vec<f64> {
        let columns = pixel(from, last)..pixel(to, last + 1);
        columns.filter_map(|x| profile[x]).collect()
    };
    let axis = shape.axis.column;
    let middle = bottoms(
        (axis - 0.2 * chest).max(shape.bounds.x0 as f64),
        (axis + 0.2 * chest).min((shape.bounds.x1 - 1) as f64) + 1.0,
    );
    let body = bottoms(armpit.left.x + 0.1 * chest, armpit.right.x - 0.1 * chest);
    if middle.is_empty() || body.is_empty() {
        return Err(missing);
    }
    let row = pixel(
        percentile(&body, 60.0) - 0.03 * shape.height(),
        shape.mask.height - 1,
    );
    let run = central_run(shape.mask, row, axis).ok_or(missing)?;
    let end = |side: Side| match side {
        Side::Left => run.start as f64,
        Side::Right => run.end as f64,
    };
    let corners = Sides::from_fn(|side| {
        let mut x = end(side);
        if sleeved && side.sign() * (x - armpit[side].x) > 0.25 * chest.abs() {
            // A sleeve has merged into the run at the height of the hem.
            x = armpit[side].x + side.sign() * 0.05 * chest.abs();
        }
        corner(shape, side, Point::new(x, row as f64), 0.12 * chest)
    });
    Ok(Hem {
        corners,
        center: Point::new(axis, median(&middle)),
    })
}

/// The point of the outline near `end` that is lowest and furthest out.
fn corner(shape: &Shape<'_>, side: Side, end: Point, reach: f64) -> Point {
    let score = |p: Point| side.sign() * p.x + p.y;
    shape
        .outline
        .iter()
        .copied()
        .filter(|p| (p.x - end.x).abs() < reach && p.y >= end.y - 2.0)
        .reduce(|best, next| {
            if score(next) > score(best) {
                next
            } else {
                best
            }
        })
        .unwrap_or(end)
}
