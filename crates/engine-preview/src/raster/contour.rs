//! The outline of a mask.

use super::label::{Component, Connectivity, label};
use super::plane::{Mask, Plane};

/// The eight neighbours of a pixel, anticlockwise on the screen from the right.
const NEIGHBOURS: [(i64, i64); 8] = [
    (1, 0),
    (1, -1),
    (0, -1),
    (-1, -1),
    (-1, 0),
    (-1, 1),
    (0, 1),
    (1, 1),
];

/// The border pixels of the part of `mask` (eight-connected) whose outline encloses most, in
/// walking order: from its topmost row, down the left side, back over the top. Parts one pixel
/// wide are walked both ways. Empty for an empty mask.
pub(crate) fn contour(mask: &Mask) -> Vec<(i32, i32)> {
    let (labels, components) = label(mask, Connectivity::Eight);
    let mut best: (i64, Vec<(i32, i32)>) = (-1, Vec::new());
    for (index, component) in components.iter().enumerate() {
        let bounds = component.bounds;
        if 2 * (bounds.width() * bounds.height()) as i64 <= best.0 {
            continue;
        }
        let outline = trace(&labels, index as u32 + 1, component);
        let area = doubled_area(&outline);
        if area > best.0 {
            best = (area, outline);
        }
    }
    best.1
}

/// Follows the border of a component with the wall to the left hand.
fn trace(labels: &Plane<u32>, number: u32, component: &Component) -> Vec<(i32, i32)> {
    let inside = |(x, y): (i64, i64)| labels.get(x, y) == Some(&number);
    let step = |(x, y): (i64, i64), d: usize| (x + NEIGHBOURS[d].0, y + NEIGHBOURS[d].1);
    let start = (component.first.0 as i64, component.first.1 as i64);
    let pixel = |(x, y): (i64, i64)| (x as i32, y as i32);
    let clockwise_from_left = [3, 2, 1, 0, 7, 6, 5];
    let Some(before) = clockwise_from_left
        .into_iter()
        .find(|&d| inside(step(start, d)))
    else {
        return vec![pixel(start)];
    };
    let last = step(start, before);
    let (mut here, mut direction) = (start, before);
    let mut outline = Vec::new();
    loop {
        outline.push(pixel(here));
        let turned = (1..=8).map(|turn| (direction + turn) % 8);
        let next = turned.into_iter().find(|&d| inside(step(here, d)));
        direction = next.expect("BUG: the pixel one came from is inside");
        let there = step(here, direction);
        if there == start && here == last {
            return outline;
        }
        here = there;
        direction = (direction + 4) % 8;
    }
}

/// Twice the area that a closed outline encloses.
fn doubled_area(outline: &[(i32, i32)]) -> i64 {
    let next = outline.iter().cycle().skip(1);
    let cross = outline
        .iter()
        .zip(next)
        .map(|(a, b)| i64::from(a.0) * i64::from(b.1) - i64::from(b.0) * i64::from(a.1));
    cross.sum::<i64>().abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raster::plane::Rect;

    #[test]
    fn a_block_is_walked_down_its_left_side_first() {
        let mut mask = Mask::new(6, 6, false);
        mask.fill_rect(
            Rect {
                x0: 1,
                y0: 1,
                x1: 4,
                y1: 4,
            },
            true,
        );
        let walk = [
            (1, 1),
            (1, 2),
            (1, 3),
            (2, 3),
            (3, 3),
            (3, 2),
            (3, 1),
            (2, 1),
        ];
        assert_eq!(contour(&mask), walk);
    }

    #[test]
    fn the_largest_part_is_outlined() {
        let mut mask = Mask::new(20, 9, false);
        mask.fill_rect(
            Rect {
                x0: 0,
                y0: 0,
                x1: 3,
                y1: 3,
            },
            true,
        );
        mask.fill_rect(
            Rect {
                x0: 10,
                y0: 2,
                x1: 18,
                y1: 8,
            },
            true,
        );
        assert_eq!(contour(&mask)[0], (10, 2));
        assert_eq!(contour(&mask).len(), 2 * (8 + 6) - 4);
    }

    #[test]
    fn lines_are_walked_there_and_back_and_points_once() {
        let line = Mask::from_fn(5, 3, |x, y| y == 1 && (1..4).contains(&x));
        assert_eq!(contour(&line), [(1, 1), (2, 1), (3, 1), (2, 1)]);
        let point = Mask::from_fn(5, 3, |x, y| (x, y) == (2, 1));
        assert_eq!(contour(&point), [(2, 1)]);
        assert_eq!(contour(&Mask::new(5, 3, false)), []);
    }

    #[test]
    fn neighbours_on_the_outline_touch() {
        let blob = Mask::from_fn(60, 50, |x, y| {
            let (x, y) = (x as f64 - 30.0, y as f64 - 25.0);
            x.hypot(y) < 14.0 + 6.0 * (3.0 * y.atan2(x)).sin()
        });
        let outline = contour(&blob);
        let next = outline.iter().cycle().skip(1);
        assert!(
            outline
                .iter()
                .zip(next)
                .all(|(a, b)| (a.0 - b.0).abs().max((a.1 - b.1).abs()) == 1)
        );
    }
}
