//! The shoulders in a silhouette: where it widens most on the way down from the head.

use crate::geometry::{Point, Side, Sides};
use crate::raster::blur::gaussian1d;
use crate::raster::color::skin_rule;
use crate::raster::order::{median, percentile};
use crate::raster::plane::{Color, Mask};
use crate::raster::run::{Run, central_run};

/// Where the figure's shoulders are, in analysis pixels.
#[derive(Debug, Clone)]
pub(crate) struct Shoulders {
    /// The axis of the neck.
    pub(crate) neck_axis: f64,
    /// The outer corners, where the shoulder turns into the arm.
    pub(crate) corner: Sides<Point>,
    /// First row of the figure. May be negative: the head can reach out of the photo.
    pub(crate) top: f64,
}

impl Shoulders {
    /// The distance between the corners: the unit of every body measure.
    pub(crate) fn width(&self) -> f64 {
        self.corner.right.x - self.corner.left.x
    }
}

/// The rows of a figure with the run around its axis.
struct Rows {
    top: usize,
    bottom: usize,
    runs: Vec<Option<Run>>,
    /// Widths of the runs, 0 where there is none.
    widths: Vec<f64>,
    /// A robust width of the upper body.
    reference: f64,
}

/// Finds the shoulders of `figure`, or nothing if it has none worth the name.
pub(crate) fn find_shoulders(picture: &Color, figure: &Mask) -> Option<Shoulders> {
    let rows = Rows::new(figure)?;
    let step = rows.find_step()?;
    let reference = rows.reference;
    let neck = rows
        .top
        .max(step.saturating_sub((0.12 * reference) as usize));
    let neck_axis = rows.axis(rows.top.max(neck.saturating_sub(3)), neck + 3)?;
    let corner = Sides::from_fn(|side| rows.find_corner(step, side));
    let mut corner = Sides::new(corner.left?, corner.right?);
    mirror_raised_arm(&mut corner, neck_axis, reference, |below| {
        face_width(picture, figure, below)
    });
    let shoulders = Shoulders {
        neck_axis,
        corner,
        top: rows.top as f64,
    };
    (shoulders.width() >= 12.0).then_some(shoulders)
}

impl Rows {
    fn new(figure: &Mask) -> Option<Self> {
        let filled = |&y: &usize| figure.row(y).contains(&true);
        let top = (0..figure.height).find(filled)?;
        let bottom = (0..figure.height).rfind(filled)?;
        let height = bottom - top + 1;
        let axis = median_column(figure, top, (top + (height / 2).max(8)).min(figure.height));
        let runs: Vec<_> = (0..figure.height)
            .map(|y| central_run(figure, y, axis))
            .collect();
        let widths: Vec<_> = runs
            .iter()
            .map(|run| run.map_or(0.0, |r| r.len() as f64))
            .collect();
        let upper = top + ((0.55 * height as f64) as usize).max(1);
        let reference = percentile(&widths[top..upper], 85.0);
        Some(Self {
            top,
            bottom,
            runs,
            widths,
            reference,
        })
    }

    /// The row where the figure widens most.
    fn find_step(&self) -> Option<usize> {
        let height = (self.bottom - self.top + 1) as f64;
        let window = ((0.16 * self.reference) as usize).max(4);
        let widths = gaussian1d(&self.widths, 1.5);
        let mean = |from: usize, to: usize| {
            widths[from..to].iter().sum::<f64>() / (to - from).max(1) as f64
        };
        let first = self.top + if self.top > 3 { window } else { 2 };
        let reach = (0.5 * height).min(2.2 * self.reference) as usize;
        let last = self.bottom.saturating_sub(window).min(self.top + reach);
        (first..last)
            .map(|y| (y, mean(y.saturating_sub(window), y), mean(y, y + window)))
            .filter(|&(_, _, below)| below >= 0.55 * self.reference)
            .reduce(|best, next| {
                if next.2 - next.1 > best.2 - best.1 {
                    next
                } else {
                    best
                }
            })
            .map(|(y, ..)| y)
    }

    /// The middle of the figure in the given rows.
    fn axis(&self, from: usize, to: usize) -> Option<f64> {
        let to = to.min(self.runs.len()).max(from);
        let centers: Vec<f64> = self.runs[from..to]
            .iter()
            .flatten()
            .map(|r| r.center())
            .collect();
        (!centers.is_empty()).then(|| median(&centers))
    }

    /// The contour point around the row `step` that stands out furthest over the chord from
    /// the neck to the arm.
    fn find_corner(&self, step: usize, side: Side) -> Option<Point> {
        let from = self
            .top
            .max(step.saturating_sub((0.22 * self.reference) as usize));
        let to = self.bottom.min(step + (0.42 * self.reference) as usize);
        let (ys, xs): (Vec<_>, Vec<_>) = (from..=to)
            .filter_map(|y| self.runs[y].map(|run| (y as f64, run.edge(side))))
            .unzip();
        let points: Vec<Point> = gaussian1d(&xs, 1.0)
            .into_iter()
            .zip(ys)
            .map(|(x, y)| Point::new(x, y))
            .collect();
        let (first, last) = (*points.first()?, *points.last()?);
        let outward = (last - first).unit().normal() * -side.sign();
        points.into_iter().reduce(|best, next| {
            if (next - first).dot(outward) > (best - first).dot(outward) {
                next
            } else {
                best
            }
        })
    }
}

/// The median column of the set pixels in the given rows.
fn median_column(figure: &Mask, from: usize, to: usize) -> f64 {
    let columns: Vec<f64> = (from..to)
        .flat_map(|y| figure.row(y).iter().enumerate())
        .filter_map(|(x, &set)| set.then_some(x as f64))
        .collect();
    median(&columns)
}

/// A raised or akimbo arm drags its corner out and down: the corner of the other side is mirrored
/// instead, unless the width that gives is implausible next to the width of the face.
fn mirror_raised_arm(
    corner: &mut Sides<Point>,
    neck_axis: f64,
    reference: f64,
    face_width: impl Fn(f64) -> Option<f64>,
) {
    let reach = Sides::from_fn(|side| side.sign() * (corner[side].x - neck_axis));
    let (raised, near, span) = if reach.left > reach.right {
        (Side::Left, reach.right.max(1.0), reach.left + reach.right)
    } else {
        (Side::Right, reach.left.max(1.0), reach.left + reach.right)
    };
    let kept = corner[raised.other()];
    let lower = corner[raised].y - kept.y > 0.06 * span;
    if reach[raised] <= 1.25 * near || !lower {
        return;
    }
    let highest = corner.left.y.min(corner.right.y);
    let wide_face = face_width(highest - 0.25 * span)
        .is_some_and(|face| 2.05 * near < 1.75 * face && span < 3.3 * face);
    if !wide_face {
        let x = neck_axis + raised.sign() * 1.05 * near;
        corner[raised] = Point::new(x, kept.y + 0.02 * reference);
    }
}

/// The width of the face: of the skin of the figure above row `below`.
pub(crate) fn face_width(picture: &Color, figure: &Mask, below: f64) -> Option<f64> {
    let rows = (below.max(0.0) as usize).min(figure.height);
    let widths: Vec<f64> = (0..rows)
        .map(|y| {
            let skin = |(&set, &color): (&bool, &[f32; 3])| set && skin_rule(color);
            figure
                .row(y)
                .iter()
                .zip(picture.row(y))
                .filter(|&p| skin(p))
                .count() as f64
        })
        .filter(|&width| width > 0.0)
        .collect();
    let clear = widths.iter().filter(|&&width| width > 3.0).count();
    (clear > 5).then(|| percentile(&widths, 85.0))
}
