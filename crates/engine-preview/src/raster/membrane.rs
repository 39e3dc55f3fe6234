//! Smooth filling of holes from all around, by pull and push through a pyramid.

use super::plane::Color;
use super::plane::{Mask, Plane};

/// Colours (times their weight) and weights of one level of the pyramid.
type Level = Plane<[f32; 4]>;

/// The picture with the pixels of `hole` replaced by a smooth surface that joins the others. With
/// nothing outside of the hole, black.
pub(crate) fn fill(picture: &Color, hole: &Mask) -> Color {
    let base = picture.zip_with(
        hole,
        |&[r, g, b], &hole| {
            if hole { [0.0; 4] } else { [r, g, b, 1.0] }
        },
    );
    let mut levels = vec![base];
    while let Some(level) = levels.last().filter(|l| l.width.min(l.height) > 2) {
        levels.push(halve(level));
    }
    let mut filled = levels.pop().map(|top| top.map(|&v| own(v)));
    while let Some(level) = levels.pop() {
        filled = filled.map(|coarse| {
            let smooth = double(&coarse, level.width, level.height);
            level.zip_with(&smooth, |&v, &s| mix(v, s))
        });
    }
    filled.expect("BUG: a pyramid has a base")
}

/// The colour that a level itself knows.
fn own([r, g, b, weight]: [f32; 4]) -> [f32; 3] {
    [r, g, b].map(|v| v / weight.max(1e-6))
}

/// The level's own colour as far as it has weight, the coarser one for the rest.
fn mix(value: [f32; 4], coarse: [f32; 3]) -> [f32; 3] {
    let (own, weight) = (own(value), value[3].clamp(0.0, 1.0));
    std::array::from_fn(|c| own[c] * weight + coarse[c] * (1.0 - weight))
}

/// Half the size, smoothed by the binomial of five.
fn halve(level: &Level) -> Level {
    let (width, height) = (level.width.div_ceil(2), level.height.div_ceil(2));
    let rows = Plane::from_fn(width, level.height, |x, y| binomial(level.row(y), x));
    let mut out = Plane::new(width, height, [0.0; 4]);
    let mut column = vec![[0.0; 4]; level.height];
    for x in 0..width {
        for (y, value) in column.iter_mut().enumerate() {
            *value = rows[(x, y)];
        }
        for y in 0..height {
            out[(x, y)] = binomial(&column, y);
        }
    }
    out
}

fn binomial(line: &[[f32; 4]], index: usize) -> [f32; 4] {
    let centre = 2 * index as isize;
    let at = |offset: isize| line[super::blur::reflect101(centre + offset, line.len())];
    let [a, b, c, d, e] = [at(-2), at(-1), at(0), at(1), at(2)];
    std::array::from_fn(|i| (a[i] + e[i] + 4.0 * (b[i] + d[i]) + 6.0 * c[i]) / 16.0)
}

/// Up to twice the size, interpolated by the same binomial.
fn double(coarse: &Color, width: usize, height: usize) -> Color {
    let rows = Plane::from_fn(width, coarse.height, |x, y| {
        between(|i| coarse[(i, y)], coarse.width, x)
    });
    Plane::from_fn(width, height, |x, y| {
        between(|i| rows[(x, i)], coarse.height, y)
    })
}

/// The value at `index / 2` between the samples `at(0..len)`.
fn between(at: impl Fn(usize) -> [f32; 3], len: usize, index: usize) -> [f32; 3] {
    let middle = index / 2;
    let after = at((middle + 1).min(len - 1));
    let here = at(middle);
    if index % 2 == 1 {
        return std::array::from_fn(|c| f32::midpoint(here[c], after[c]));
    }
    // The border is mirrored at the left and repeated at the right.
    let before = if middle == 0 { after } else { at(middle - 1) };
    std::array::from_fn(|c| (before[c] + 6.0 * here[c] + after[c]) / 8.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_pixels_stay_and_the_hole_joins_them() {
        let picture = Color::from_fn(64, 48, |x, _| [x as f32, 100.0, 2.0 * x as f32]);
        let hole = Mask::from_fn(64, 48, |x, y| {
            (20..44).contains(&x) && (12..36).contains(&y)
        });
        let spoiled = picture.zip_with(&hole, |&v, &h| if h { [255.0, 0.0, 255.0] } else { v });
        let filled = fill(&spoiled, &hole);
        for (i, (a, b)) in filled.data.iter().zip(&picture.data).enumerate() {
            let tolerance = if hole.data[i] { 8.0 } else { 1e-3 };
            assert!(
                (a[0] - b[0]).abs() < tolerance && (a[1] - b[1]).abs() < 0.1,
                "{i}: {a:?} {b:?}"
            );
        }
    }

    #[test]
    fn a_picture_that_is_all_hole_is_black() {
        let filled = fill(&Color::new(9, 7, [200.0; 3]), &Mask::new(9, 7, true));
        assert!(filled.data.iter().all(|v| v.iter().all(|c| c.abs() < 1e-6)));
    }
}
