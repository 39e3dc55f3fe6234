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
pub fn contour(mask: &Mask) -> Vec<(i32, i32)> {
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
