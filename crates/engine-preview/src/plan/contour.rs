//! Walks along closed outlines.

use crate::geometry::Point;

/// The index of the outline point nearest to `point`.
pub(super) fn nearest(outline: &[Point], point: Point) -> usize {
    let distance = |i: &usize| outline[*i].distance(point);
    (0..outline.len())
        .min_by(|a, b| distance(a).total_cmp(&distance(b)))
        .expect("BUG: an outline has points")
}

/// The stretch of the outline from one index to another: of the two ways round, the one without
/// the point `avoid`; the shorter one if both or neither have it.
pub(super) fn arc(outline: &[Point], from: usize, to: usize, avoid: usize) -> Vec<Point> {
    let count = outline.len();
    let forward = (to + count - from) % count;
    let backward = (count - forward) % count;
    let on_forward = (avoid + count - from) % count <= forward;
    let on_backward = (from + count - avoid) % count <= backward;
    let go_forward = match (on_forward, on_backward) {
        (true, false) => false,
        (false, true) => true,
        _ => forward <= backward,
    };
    if go_forward {
        (0..=forward).map(|t| outline[(from + t) % count]).collect()
    } else {
        (0..=backward)
            .map(|t| outline[(from + count - t) % count])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_the_way_that_avoids_a_point() {
        let ring: Vec<Point> = (0..8).map(|i| Point::new(f64::from(i), 0.0)).collect();
        let xs = |points: Vec<Point>| points.iter().map(|p| p.x as i32).collect::<Vec<_>>();
        assert_eq!(xs(arc(&ring, 1, 3, 6)), [1, 2, 3]);
        assert_eq!(xs(arc(&ring, 1, 3, 2)), [1, 0, 7, 6, 5, 4, 3]);
        assert_eq!(xs(arc(&ring, 7, 1, 4)), [7, 0, 1]);
        assert_eq!(nearest(&ring, Point::new(4.4, 1.0)), 4);
    }
}
