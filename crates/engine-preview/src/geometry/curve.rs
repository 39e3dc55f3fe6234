//! Piecewise linear functions and polylines measured by arc length.

use super::Point;

/// The piecewise linear function through `(xs[i], ys[i])` at `x`, constant beyond both ends.
/// `xs` rises and is not empty.
pub(crate) fn interpolate(x: f64, xs: &[f64], ys: &[f64]) -> f64 {
    debug_assert_eq!(xs.len(), ys.len());
    let next = xs.partition_point(|&knot| knot <= x);
    if next == 0 {
        return ys[0];
    }
    if next == xs.len() {
        return ys[xs.len() - 1];
    }
    let (x0, x1) = (xs[next - 1], xs[next]);
    ys[next - 1] + (ys[next] - ys[next - 1]) * (x - x0) / (x1 - x0)
}

/// `value` within `least..=most`; `most` wins when the bounds cross, and nothing panics.
pub(crate) const fn clamp(value: f64, least: f64, most: f64) -> f64 {
    value.max(least).min(most)
}

/// `count` numbers from `from` to `to`, evenly spaced, both ends included.
pub(crate) fn even(from: f64, to: f64, count: usize) -> Vec<f64> {
    let last = count.max(2) - 1;
    (0..count)
        .map(|i| from + (to - from) * i as f64 / last as f64)
        .collect()
}

/// A polyline with the arc length at each of its points. It has at least one point.
#[derive(Debug, Clone)]
pub(crate) struct Curve {
    points: Vec<Point>,
    arc: Vec<f64>,
}

impl Curve {
    pub(crate) fn new(points: Vec<Point>) -> Self {
        assert!(!points.is_empty(), "BUG: a curve has at least one point");
        let mut arc = vec![0.0];
        for pair in points.windows(2) {
            arc.push(arc[arc.len() - 1] + pair[0].distance(pair[1]));
        }
        Self { points, arc }
    }

    pub(crate) fn length(&self) -> f64 {
        self.arc[self.arc.len() - 1]
    }

    /// The point at arc length `at`, clamped to the ends.
    pub(crate) fn point(&self, at: f64) -> Point {
        let next = self.arc.partition_point(|&s| s <= at);
        if next == 0 {
            return self.points[0];
        }
        if next == self.arc.len() {
            return self.points[next - 1];
        }
        let span = self.arc[next] - self.arc[next - 1];
        self.points[next - 1].toward(self.points[next], (at - self.arc[next - 1]) / span)
    }

    /// The points at the given fractions of the whole length.
    pub(crate) fn at_fractions(&self, fractions: &[f64]) -> Vec<Point> {
        fractions
            .iter()
            .map(|f| self.point(f * self.length()))
            .collect()
    }

    /// The beginning of the curve, up to arc length `at`.
    pub(crate) fn cut(&self, at: f64) -> Vec<Point> {
        let keep = self.arc.partition_point(|&s| s < at);
        let mut points = self.points[..keep].to_vec();
        points.push(self.point(at));
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolates_between_knots_and_holds_the_ends() {
        let (xs, ys) = ([0.0, 1.0, 3.0], [10.0, 20.0, 0.0]);
        assert!((interpolate(0.5, &xs, &ys) - 15.0).abs() < 1e-12);
        assert!((interpolate(2.0, &xs, &ys) - 10.0).abs() < 1e-12);
        assert!((interpolate(-9.0, &xs, &ys) - 10.0).abs() < 1e-12);
        assert!(interpolate(9.0, &xs, &ys).abs() < 1e-12);
    }

    #[test]
    fn measures_and_cuts_by_arc_length() {
        let corner = [
            Point::new(0.0, 0.0),
            Point::new(3.0, 0.0),
            Point::new(3.0, 4.0),
        ];
        let curve = Curve::new(corner.to_vec());
        assert!((curve.length() - 7.0).abs() < 1e-12);
        assert_eq!(curve.point(5.0), Point::new(3.0, 2.0));
        assert_eq!(
            curve.cut(5.0),
            vec![corner[0], corner[1], Point::new(3.0, 2.0)]
        );
        assert_eq!(curve.at_fractions(&[0.0, 1.0]), vec![corner[0], corner[2]]);
    }
}
