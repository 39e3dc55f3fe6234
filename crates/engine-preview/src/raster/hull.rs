//! Convex hulls and how far an outline falls short of them.

/// A bay of an outline between two neighbouring corners of its hull.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Defect {
    /// Index into the outline of the hull corner before the bay.
    pub start: usize,
    /// Index of the hull corner after it.
    pub end: usize,
    /// Index of the point deepest in the bay.
    pub far: usize,
    /// Its distance to the line between the corners.
    pub depth: f64,
}

/// The indices of the corners of the convex hull of `points`, ascending. Points on an edge of
/// the hull are not corners.
pub(crate) fn convex_hull(points: &[(i32, i32)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by_key(|&i| points[i]);
    order.dedup_by_key(|i| points[*i]);
    if order.len() < 3 {
        order.sort_unstable();
        return order;
    }
    let mut corners = half_hull(points, order.iter().copied());
    corners.extend(half_hull(points, order.iter().rev().copied()));
    corners.sort_unstable();
    corners.dedup();
    corners
}

/// One chain of the hull over points sorted by x, without its last point.
fn half_hull(points: &[(i32, i32)], order: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut chain: Vec<usize> = Vec::new();
    for index in order {
        while let [.., a, b] = chain[..] {
            if cross(points[a], points[b], points[index]) > 0 {
                break;
            }
            chain.pop();
        }
        chain.push(index);
    }
    chain.pop();
    chain
}

/// Twice the signed area of a triangle.
fn cross(a: (i32, i32), b: (i32, i32), c: (i32, i32)) -> i64 {
    let along = (i64::from(b.0 - a.0), i64::from(b.1 - a.1));
    let aside = (i64::from(c.0 - a.0), i64::from(c.1 - a.1));
    along.0 * aside.1 - along.1 * aside.0
}

/// The bays of a closed outline, one for each pair of neighbouring hull corners that does not
/// enclose a straight stretch.
pub(crate) fn defects(outline: &[(i32, i32)]) -> Vec<Defect> {
    let corners = convex_hull(outline);
    if corners.len() < 3 {
        return Vec::new();
    }
    let next = corners.iter().copied().cycle().skip(1);
    let pairs = corners.iter().copied().zip(next);
    pairs
        .filter_map(|(start, end)| bay(outline, start, end))
        .collect()
}

fn bay(outline: &[(i32, i32)], start: usize, end: usize) -> Option<Defect> {
    let count = outline.len();
    let between = (1..(end + count - start) % count).map(|i| (start + i) % count);
    let (a, b) = (outline[start], outline[end]);
    let mut deepest = (0, 0);
    for index in between {
        let area = cross(a, b, outline[index]).abs();
        if area > deepest.0 {
            deepest = (area, index);
        }
    }
    let chord = f64::from(b.0 - a.0).hypot(f64::from(b.1 - a.1));
    let depth = deepest.0 as f64 / chord;
    (deepest.0 > 0).then_some(Defect {
        start,
        end,
        far: deepest.1,
        depth,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_on_edges_are_no_corners() {
        let square = [
            (0, 0),
            (0, 2),
            (0, 4),
            (2, 4),
            (4, 4),
            (4, 0),
            (2, 0),
            (2, 2),
        ];
        assert_eq!(convex_hull(&square), [0, 2, 4, 5]);
        assert_eq!(convex_hull(&[(1, 1), (1, 1)]), [0]);
        assert_eq!(convex_hull(&[(0, 0), (1, 1), (2, 2)]), [0, 2]);
    }

    #[test]
    fn a_notch_is_a_defect_of_its_depth() {
        let notched = [(0, 0), (0, 10), (4, 10), (5, 3), (6, 10), (10, 10), (10, 0)];
        let found = defects(&notched);
        assert_eq!(
            found,
            [Defect {
                start: 1,
                end: 5,
                far: 3,
                depth: 7.0
            }]
        );
    }

    #[test]
    fn convex_outlines_have_no_defects() {
        assert_eq!(defects(&[(0, 0), (0, 5), (5, 5), (5, 0)]), []);
        assert_eq!(defects(&[(0, 0), (3, 3)]), []);
    }
}
