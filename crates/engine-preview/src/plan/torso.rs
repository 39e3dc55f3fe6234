//! The mesh for the body of a top: from over the shoulders past the armpits to the hem.

use super::Mesh;
use super::anchor::{Anchors, Fitting, mean_reach};
use super::upper::Extent;
use crate::geometry::{Point, Side, Sides, clamp, even, interpolate};
use crate::raster::run::{central_run, top_profile};

/// Rows between the shoulder line (0) and the armpits (1); the first lies above the shoulders.
const UPPER_ROWS: [f64; 6] = [-0.30, 0.0, 0.25, 0.5, 0.75, 1.0];
/// Rows between the armpits (0) and the hem (1); the last lies below the hem.
const LOWER_ROWS: [f64; 8] = [0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.0, 1.12];

/// How far the garment stands off the body at least, in shoulder widths.
const LEAST_EASE: f64 = 0.015;

pub(super) fn torso_mesh(fitting: &Fitting<'_>, anchors: &Anchors) -> Mesh {
    let top = TopLine::new(fitting, anchors);
    let columns = columns(&top);
    let mut mesh = Mesh::new(columns.len());
    let garment = fitting.garment;
    let across = |sides: &Sides<Point>, f: f64| sides.left.toward(sides.right, f);
    for t in UPPER_ROWS {
        mesh.push_row(columns.iter().map(|&f| {
            let source = top.source(f).toward(across(&garment.armpit, f), t);
            let target = top.target(f).toward(across(&anchors.armpit, f), t);
            (source, target)
        }));
    }
    for f in LOWER_ROWS {
        let source = Sides::from_fn(|side| garment_edge(fitting, side, f));
        let target = Sides::from_fn(|side| body_edge(fitting, anchors, side, f, source[side].x));
        mesh.push_row(
            columns
                .iter()
                .map(|&c| (across(&source, c), across(&target, c))),
        );
    }
    mesh
}

/// Fractions of the shoulder line: evenly spaced, at the neck points, and beyond both ends.
fn columns(top: &TopLine<'_>) -> Vec<f64> {
    let mut columns = even(0.0, 1.0, 13);
    columns.extend(top.neck_fractions().map(|f| clamp(f, 0.01, 0.99)));
    columns.extend([-0.22, -0.1, 1.1, 1.22]);
    columns.sort_by(f64::total_cmp);
    columns.dedup();
    columns
}

/// The line over both shoulders, on the garment and on the body.
struct TopLine<'a> {
    fitting: &'a Fitting<'a>,
    anchors: &'a Anchors,
    /// Columns of the garment's left shoulder, left neck, right neck and right shoulder points.
    stations: [f64; 4],
    /// The first row of the garment in each column.
    profile: Vec<Option<f64>>,
}

impl<'a> TopLine<'a> {
    fn new(fitting: &'a Fitting<'a>, anchors: &'a Anchors) -> Self {
        let (shoulder, neck) = (&fitting.garment.shoulder, &fitting.garment.neck);
        Self {
            fitting,
            anchors,
            stations: [shoulder.left.x, neck.left.x, neck.right.x, shoulder.right.x],
            profile: top_profile(fitting.mask),
        }
    }

    fn width(&self) -> f64 {
        (self.stations[3] - self.stations[0]).max(1.0)
    }

    fn neck_fractions(&self) -> [f64; 2] {
        [1, 2].map(|i| (self.stations[i] - self.stations[0]) / self.width())
    }

    fn source(&self, f: f64) -> Point {
        let x = self.stations[0] + f * self.width();
        let y = if x <= self.stations[1] {
            self.shoulder_row(Side::Left, x)
        } else if x >= self.stations[2] {
            self.shoulder_row(Side::Right, x)
        } else {
            let neck = &self.fitting.garment.neck;
            interpolate(x, &self.stations[1..3], &[neck.left.y, neck.right.y])
        };
        Point::new(x, y)
    }

    /// The straight line from shoulder to neck, drawn towards the garment's own outline.
    fn shoulder_row(&self, side: Side, x: f64) -> f64 {
        let garment = self.fitting.garment;
        let (shoulder, neck) = (garment.shoulder[side], garment.neck[side]);
        let t = clamp((x - shoulder.x) / (neck.x - shoulder.x + 1e-6), -3.0, 1.0);
        let line = shoulder.y + (neck.y - shoulder.y) * t;
        let column = clamp(x.round_ties_even(), 0.0, self.profile.len() as f64 - 1.0) as usize;
        match self.profile[column] {
            Some(row) if t >= 0.0 => {
                clamp(row, line - 0.05 * self.width(), line + 0.05 * self.width())
            }
            _ => line,
        }
    }

    fn target(&self, f: f64) -> Point {
        let (shoulder, neck) = (&self.anchors.shoulder, &self.anchors.neck);
        let xs = [shoulder.left.x, neck.left.x, neck.right.x, shoulder.right.x];
        let [left, right] = self.neck_fractions();
        let span = xs[3] - xs[0];
        let x = if f < 0.0 {
            xs[0] + f * span
        } else if f > 1.0 {
            xs[3] + (f - 1.0) * span
        } else {
            interpolate(f, &[0.0, left, right, 1.0], &xs)
        };
        let y = if xs[1] < x && x < xs[2] {
            interpolate(x, &xs[1..3], &[neck.left.y, neck.right.y])
        } else {
            self.fitting.target.slope.y(clamp(x, xs[0], xs[3]))
        };
        Point::new(x, y)
    }
}

/// The edge of the garment at fraction `f` of the way from the armpit to the hem.
fn garment_edge(fitting: &Fitting<'_>, side: Side, f: f64) -> Point {
    let garment = fitting.garment;
    let (armpit, hem) = (garment.armpit[side], garment.hem[side]);
    let line = armpit.toward(hem, f.min(1.0));
    let beyond = (f - 1.0).max(0.0) * (hem.y - armpit.y);
    let x = if f < 0.95 {
        let row = clamp(line.y, 0.0, fitting.mask.height as f64 - 1.0) as usize;
        let run = central_run(fitting.mask, row, garment.axis);
        let seen = run.map_or(line.x, |run| run.edge(side));
        // A sleeve in the same run is not the side of the garment.
        let near = 0.22 * mean_reach(garment.axis, &garment.armpit);
        if (seen - line.x).abs() > near {
            line.x
        } else {
            seen
        }
    } else {
        hem.x
    };
    Point::new(x, line.y + beyond)
}

/// Where that edge, at column `source_x` of the garment, goes on the body.
fn body_edge(fitting: &Fitting<'_>, anchors: &Anchors, side: Side, f: f64, source_x: f64) -> Point {
    let (garment, target) = (fitting.garment, fitting.target);
    let armpit = anchors.armpit[side];
    let corner = (garment.hem[side].y - garment.hem_center.y) * fitting.along * 0.7;
    let y = armpit.y + (anchors.hem_y + corner - armpit.y) * f.min(1.0);
    let beyond = (f - 1.0).max(0.0) * (anchors.hem_y - armpit.y);
    let body = (side.sign() * (target.torso.side(side, y) - target.axis)).max(0.22 * target.width);
    let natural = side.sign() * (source_x - garment.axis) * fitting.across;
    let most = match fitting.extent {
        Extent::Torso => 1.22,
        Extent::WholeBody => 1.9,
    };
    let least = body + LEAST_EASE * target.width;
    let mut half = clamp(natural, least, (body * most).max(least));
    if f <= 0.15 {
        half = 0.3 * side.sign() * (armpit.x - target.axis) + 0.7 * half;
    }
    Point::new(target.axis + side.sign() * half, y + beyond)
}
