//! Drawing of polygons and lines into masks.

pub(crate) use super::contour::contour;
use super::plane::Mask;
use crate::geometry::Point;

/// Sets the pixels whose centre lies in a closed polygon (even-odd), and those its outline passes.
pub(crate) fn fill_polygon(mask: &mut Mask, corners: &[Point]) {
    for y in 0..mask.height {
        let mut crossings = row_crossings(corners, y as f64);
        crossings.sort_by(f64::total_cmp);
        for pair in crossings.chunks_exact(2) {
            let from = pair[0].ceil().max(0.0) as usize;
            let to = (pair[1].floor() + 1.0).max(0.0) as usize;
            let to = to.min(mask.width);
            if from < to {
                mask.row_mut(y)[from..to].fill(true);
            }
        }
    }
    let next = corners.iter().cycle().skip(1);
    for (&a, &b) in corners.iter().zip(next) {
        draw_line(mask, a, b, 1, true);
    }
}

/// The columns where the outline crosses the centre line of a row.
fn row_crossings(corners: &[Point], y: f64) -> Vec<f64> {
    let next = corners.iter().cycle().skip(1);
    let edges = corners.iter().zip(next);
    edges
        .filter(|(a, b)| (a.y <= y) != (b.y <= y))
        .map(|(a, b)| a.x + (b.x - a.x) * (y - a.y) / (b.y - a.y))
        .collect()
}

/// Writes `value` along the line between two points, `thickness` pixels wide with round ends. Lines
/// of thickness 2 and more leave no gap between pixels that share an edge.
pub(crate) fn draw_line(mask: &mut Mask, a: Point, b: Point, thickness: usize, value: bool) {
    if thickness < 2 {
        return draw_thin_line(mask, a, b, value);
    }
    let radius = thickness as f64 / 2.0;
    let clip = |v: f64, limit: usize| (v.max(0.0) as usize).min(limit);
    let columns =
        clip(a.x.min(b.x) - radius, mask.width)..clip(a.x.max(b.x) + radius + 1.0, mask.width);
    let rows =
        clip(a.y.min(b.y) - radius, mask.height)..clip(a.y.max(b.y) + radius + 1.0, mask.height);
    for y in rows {
        for x in columns.clone() {
            if to_segment(Point::new(x as f64, y as f64), a, b) <= radius {
                mask[(x, y)] = value;
            }
        }
    }
}

/// One pixel per step along the longer axis.
fn draw_thin_line(mask: &mut Mask, a: Point, b: Point, value: bool) {
    let round = |p: Point| Point::new(p.x.round_ties_even(), p.y.round_ties_even());
    let (a, b) = (round(a), round(b));
    let steps = (b.x - a.x).abs().max((b.y - a.y).abs());
    for step in 0..=steps as usize {
        let p = round(a.toward(b, step as f64 / steps.max(1.0)));
        let inside =
            p.x >= 0.0 && p.y >= 0.0 && p.x < mask.width as f64 && p.y < mask.height as f64;
        if inside {
            mask[(p.x as usize, p.y as usize)] = value;
        }
    }
}

/// The distance from `p` to the segment between `a` and `b`.
fn to_segment(p: Point, a: Point, b: Point) -> f64 {
    let along = b - a;
    let t = (p - a).dot(along) / along.dot(along).max(1e-12);
    p.distance(a.toward(b, t.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(corners: &[(i32, i32)]) -> Vec<Point> {
        corners.iter().map(|&p| Point::from(p)).collect()
    }

    #[test]
    fn a_square_covers_its_outline() {
        let mut mask = Mask::new(10, 10, false);
        fill_polygon(&mut mask, &points(&[(2, 2), (2, 6), (7, 6), (7, 2)]));
        let expected = Mask::from_fn(10, 10, |x, y| (2..=7).contains(&x) && (2..=6).contains(&y));
        assert_eq!(mask, expected);
    }

    #[test]
    fn polygons_reach_beyond_the_plane() {
        let mut mask = Mask::new(8, 8, false);
        fill_polygon(
            &mut mask,
            &points(&[(-50, -50), (-50, 50), (50, 50), (50, -50)]),
        );
        assert_eq!(mask.count(), 64);
    }

    #[test]
    fn crossing_outlines_leave_their_overlap_out() {
        let mut mask = Mask::new(21, 21, false);
        let star = [(10, 0), (4, 20), (20, 7), (0, 7), (16, 20)];
        fill_polygon(&mut mask, &points(&star));
        assert!(!mask[(10, 10)] && mask[(10, 4)] && !mask[(0, 0)]);
    }

    #[test]
    fn thick_lines_part_what_they_cross() {
        for end in [(30, 0), (30, 13), (17, 30), (0, 30)] {
            let mut mask = Mask::new(31, 31, true);
            let (from, to) = (
                Point::new(30.0 - f64::from(end.0), 30.0 - f64::from(end.1)),
                end.into(),
            );
            draw_line(&mut mask, from, to, 3, false);
            let (_, parts) =
                crate::raster::label::label(&mask, crate::raster::label::Connectivity::Four);
            assert_eq!(parts.len(), 2, "{end:?}");
        }
    }

    #[test]
    fn thin_lines_step_along_their_longer_axis() {
        let mut mask = Mask::new(9, 9, false);
        draw_line(
            &mut mask,
            Point::new(1.0, 1.0),
            Point::new(7.0, 4.0),
            1,
            true,
        );
        assert_eq!(mask.count(), 7);
        assert!(mask[(1, 1)] && mask[(7, 4)]);
    }
}
