//! Shoulders and the ends of the neck opening, on the upper outline.

use super::shape::{Shape, pixel};
use crate::garment::GarmentError;
use crate::geometry::{Point, Side, Sides};
use crate::raster::run::runs;

/// The shoulders: with sleeves, on the outline above the armpits; without, the outermost point a
/// fifth of the way down to them.
pub(super) fn find_shoulders(
    shape: &Shape<'_>,
    armpit: &Sides<Point>,
    sleeved: bool,
) -> Sides<Point> {
    Sides::from_fn(|side| {
        if sleeved {
            let x = armpit[side].x - side.sign() * 0.01 * shape.width();
            Point::new(x, shape.top_at(x).unwrap_or(shape.down(0.0)))
        } else {
            strap_end(shape, armpit[side], side)
        }
    })
}

fn strap_end(shape: &Shape<'_>, armpit: Point, side: Side) -> Point {
    let top = shape.down(0.0);
    let row = (armpit.y - 1.0).min(top + 0.20 * (armpit.y - top) + 2.0);
    let row = pixel(row, shape.mask.height - 1);
    let runs = runs(shape.mask, row);
    let end = match side {
        Side::Left => runs.first().map(|run| run.start as f64),
        Side::Right => runs.last().map(|run| run.end as f64),
    };
    let outside = |x: &f64| shape.outward(side, *x) > 0.0;
    let x = end.filter(outside).unwrap_or(armpit.x);
    let top = shape.top[pixel(x, shape.mask.width - 1)];
    Point::new(x, top.unwrap_or(row as f64))
}

/// The ends of the neck opening: among the highest columns between each shoulder and the axis, the
/// one at the distance from the axis where necks end.
pub(super) fn find_neck(
    shape: &Shape<'_>,
    shoulder: &Sides<Point>,
    sleeved: bool,
) -> Result<Sides<Point>, GarmentError> {
    let missing = GarmentError::NoLandmark { landmark: "neck" };
    let usual = sleeved.then(|| 0.20 * (shoulder.right.x - shoulder.left.x).abs());
    let left = neck_end(shape, Side::Left, shoulder.left.x, usual).ok_or(missing)?;
    let right = neck_end(shape, Side::Right, shoulder.right.x, usual).ok_or(missing)?;
    Ok(Sides::new(left, right))
}

fn neck_end(shape: &Shape<'_>, side: Side, shoulder: f64, usual: Option<f64>) -> Option<Point> {
    let axis = shape.axis.column;
    let last = shape.mask.width - 1;
    let span = |a: f64, b: f64| (pixel(a.min(b), last), pixel(a.max(b), last));
    let (mut from, mut to) = span(shoulder, axis);
    let crossed = shape.outward(side, shoulder) < 0.0;
    if crossed || to - from < 3 {
        (from, to) = span(axis, axis + side.sign() * 0.2 * shape.width());
    }
    let column = |x: usize| Some(Point::new(x as f64, shape.top[x]?));
    let columns: Vec<Point> = (from..=to).filter_map(column).collect();
    let highest = columns.iter().map(|p| p.y).reduce(f64::min)?;
    let high: Vec<Point> = columns
        .into_iter()
        .filter(|p| p.y <= highest + 0.02 * shape.height())
        .collect();
    let from_axis = |p: &Point| (p.x - axis).abs();
    let mean = high.iter().map(from_axis).sum::<f64>() / high.len() as f64;
    let wanted = usual.unwrap_or(mean);
    let misfit = |p: &Point| (from_axis(p) - wanted).abs();
    high.into_iter().reduce(|best, next| {
        if misfit(&next) < misfit(&best) {
            next
        } else {
            best
        }
    })
}
