//! Smooth outlines through a few points.

use tiny_skia::{Path, PathBuilder};

/// A point, as (right, down).
pub(super) type Point = (f32, f32);

/// Where a drawing's own coordinates lie in the picture: `origin` in pixels, `unit` pixels long.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) origin: Point,
    pub(super) unit: f32,
}

impl Frame {
    pub(super) fn place(&self, (u, v): Point) -> Point {
        (self.origin.0 + u * self.unit, self.origin.1 + v * self.unit)
    }

    /// A closed outline. A point given twice in a row is a corner.
    pub(super) fn closed(&self, points: &[Point]) -> Path {
        spline(&self.all(points))
    }

    /// A closed outline from its right half, given from top to bottom.
    pub(super) fn mirrored(&self, half: &[Point]) -> Path {
        self.closed(&mirror(half))
    }

    /// The same shape on the right and on the left.
    pub(super) fn pair(&self, points: &[Point]) -> [Path; 2] {
        let left: Vec<Point> = points.iter().map(|&(u, v)| (-u, v)).collect();
        [self.closed(points), self.closed(&left)]
    }

    /// A brush stroke along a line, `width` units at its thickest and pointed at its ends.
    pub(super) fn stroke(&self, line: &[Point], width: f32) -> Path {
        self.swept(line, |t| width * (4.0 * t * (1.0 - t)).max(0.0).sqrt())
    }

    /// A line of constant `width`, in units.
    pub(super) fn band(&self, line: &[Point], width: f32) -> Path {
        self.swept(line, |_| width)
    }

    pub(super) fn ellipse(&self, (u, v): Point, (ru, rv): Point) -> Path {
        let around: Vec<Point> = (0..16_u8)
            .map(|i| f32::from(i) * std::f32::consts::TAU / 16.0)
            .map(|angle| (u + ru * angle.cos(), v + rv * angle.sin()))
            .collect();
        self.closed(&around)
    }

    /// The same ellipse on the right and on the left.
    pub(super) fn pair_of_ellipses(&self, (u, v): Point, radii: Point) -> [Path; 2] {
        [self.ellipse((u, v), radii), self.ellipse((-u, v), radii)]
    }

    /// The area a line sweeps whose width changes with the way along it, 0 to 1.
    fn swept(&self, line: &[Point], width: impl Fn(f32) -> f32) -> Path {
        let line = resampled(&self.all(line));
        let last = line.len() - 1;
        let side = |sign: f32| {
            let (line, width) = (&line, &width);
            (0..=last).map(move |i| {
                let (a, b) = (line[i.saturating_sub(1)], line[(i + 1).min(last)]);
                let (dx, dy) = (b.0 - a.0, b.1 - a.1);
                let length = dx.hypot(dy).max(1e-3);
                let half = sign * width(ratio(i, last)) * self.unit / 2.0;
                (
                    line[i].0 - dy / length * half,
                    line[i].1 + dx / length * half,
                )
            })
        };
        let right: Vec<Point> = side(1.0).collect();
        let around: Vec<Point> = side(-1.0).chain(right.into_iter().rev()).collect();
        polygon(&around)
    }

    fn all(&self, points: &[Point]) -> Vec<Point> {
        points.iter().map(|&point| self.place(point)).collect()
    }
}

/// Both halves of a figure whose right half is given.
pub(super) fn mirror(half: &[Point]) -> Vec<Point> {
    let left = half.iter().rev().map(|&(u, v)| (-u, v));
    half.iter().copied().chain(left).collect()
}

/// The same points (`side` 1) or their mirror images (`side` -1).
pub(super) fn on_side(side: f32, points: &[Point]) -> Vec<Point> {
    points.iter().map(|&(u, v)| (side * u, v)).collect()
}

/// How far `i` is on the way to `last`, 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "a line has few points")]
pub(super) fn ratio(i: usize, last: usize) -> f32 {
    i as f32 / last.max(1) as f32
}

fn polygon(points: &[Point]) -> Path {
    let mut path = PathBuilder::new();
    path.move_to(points[0].0, points[0].1);
    for &(x, y) in &points[1..] {
        path.line_to(x, y);
    }
    path.close();
    path.finish().expect("BUG: an outline has points")
}

/// A closed Catmull-Rom spline through the points.
fn spline(points: &[Point]) -> Path {
    let mut path = PathBuilder::new();
    path.move_to(points[0].0, points[0].1);
    for i in 0..points.len() {
        let [start, c1, c2, end] = bezier(points, i, true);
        if start != end {
            path.cubic_to(c1.0, c1.1, c2.0, c2.1, end.0, end.1);
        }
    }
    path.close();
    path.finish().expect("BUG: an outline has points")
}

/// The cubic from point `i` to the next one.
fn bezier(points: &[Point], i: usize, closed: bool) -> [Point; 4] {
    let count = points.len();
    let pick = |offset: usize| {
        // `offset` counts from the point before `i`.
        let at = if closed {
            (i + count + offset - 1) % count
        } else {
            (i + offset).saturating_sub(1).min(count - 1)
        };
        points[at]
    };
    let [before, start, end, after] = [0, 1, 2, 3].map(pick);
    let lean = |p: Point, from: Point, to: Point, sign: f32| {
        (
            p.0 + sign * (to.0 - from.0) / 6.0,
            p.1 + sign * (to.1 - from.1) / 6.0,
        )
    };
    [
        start,
        lean(start, before, end, 1.0),
        lean(end, start, after, -1.0),
        end,
    ]
}

/// Points every few pixels along the open spline through `points`.
fn resampled(points: &[Point]) -> Vec<Point> {
    const STEPS: usize = 12;
    let mut line: Vec<Point> = (0..points.len() - 1)
        .map(|i| bezier(points, i, false))
        .flat_map(|cubic| (0..STEPS).map(move |step| on_cubic(&cubic, ratio(step, STEPS))))
        .collect();
    line.push(points[points.len() - 1]);
    line
}

/// The point `t` (0 to 1) of the way along a cubic.
fn on_cubic(cubic: &[Point; 4], t: f32) -> Point {
    let rest = 1.0 - t;
    let weights = [
        rest.powi(3),
        3.0 * rest * rest * t,
        3.0 * rest * t * t,
        t.powi(3),
    ];
    weights
        .iter()
        .zip(cubic)
        .fold((0.0, 0.0), |sum, (weight, point)| {
            (sum.0 + weight * point.0, sum.1 + weight * point.1)
        })
}
