//! Filling of holes from the nearest known pixels in four directions.

use super::blur::{gaussian_color, gaussian_color_fast, gaussian_mask};
use super::distance;
use super::membrane;
use super::plane::{Color, Mask, Plane};

/// Smoothing before the known pixels are copied, against streaks.
const PRESMOOTH: f64 = 1.2;
/// How strongly the smoothing deep inside replaces the fill.
const SOFTNESS: f32 = 0.7;
/// Blur (sigma) that sets in at a depth, both in pixels.
const SMOOTHING: [(f64, f32); 3] = [(2.0, 3.0), (5.0, 8.0), (11.0, 18.0)];

/// The picture with the pixels of `hole` blended from the nearest known pixels to the left, right,
/// top and bottom, weighted by the inverse square of their distance, and smoothed the more the
/// deeper inside. Busy surroundings join better than with a membrane.
pub(crate) fn fill(picture: &Color, hole: &Mask) -> Color {
    if !hole.any() {
        return picture.clone();
    }
    let known = hole.map(|&h| !h);
    let source = presmooth(picture, &known);
    let mut blend = Blend::new(&source);
    for direction in Direction::ALL {
        blend.add_direction(hole, direction);
    }
    let fallback = membrane::fill(picture, hole);
    let filled = Color::from_fn(hole.width, hole.height, |x, y| {
        if !hole[(x, y)] {
            return picture[(x, y)];
        }
        blend.get(x, y).unwrap_or(fallback[(x, y)])
    });
    smooth_inside(filled, hole, &known)
}

/// The smoothed mean of the known pixels.
fn presmooth(picture: &Color, known: &Mask) -> Color {
    let masked = picture.zip_with(known, |&v, &k| if k { v } else { [0.0; 3] });
    let weight = gaussian_mask(known, PRESMOOTH);
    gaussian_color(&masked, PRESMOOTH)
        .zip_with(&weight, |&v, &w| v.map(|channel| channel / w.max(1e-3)))
}

fn smooth_inside(mut filled: Color, hole: &Mask, known: &Mask) -> Color {
    let depth = distance::to_nearest(known);
    for (sigma, from) in SMOOTHING {
        let reached = depth
            .data
            .iter()
            .zip(&hole.data)
            .any(|(&d, &h)| h && d > from);
        if !reached {
            break;
        }
        let smooth = if sigma < 4.0 {
            gaussian_color(&filled, sigma)
        } else {
            gaussian_color_fast(&filled, sigma)
        };
        for (index, value) in filled.data.iter_mut().enumerate() {
            if hole.data[index] {
                let share = SOFTNESS * ((depth.data[index] - from) / (from * 1.5)).clamp(0.0, 1.0);
                let smooth = smooth.data[index];
                *value = std::array::from_fn(|c| value[c] * (1.0 - share) + smooth[c] * share);
            }
        }
    }
    filled
}

/// Where a known pixel is looked for.
#[derive(Debug, Clone, Copy)]
enum Direction {
    Left,
    Right,
    Up,
    Down,
}

impl Direction {
    const ALL: [Self; 4] = [Self::Left, Self::Right, Self::Up, Self::Down];

    /// The neighbour of a pixel in this direction, if it is inside.
    fn step(
        self,
        (x, y): (usize, usize),
        (width, height): (usize, usize),
    ) -> Option<(usize, usize)> {
        match self {
            Self::Left => Some((x.checked_sub(1)?, y)),
            Self::Right => (x + 1 < width).then_some((x + 1, y)),
            Self::Up => Some((x, y.checked_sub(1)?)),
            Self::Down => (y + 1 < height).then_some((x, y + 1)),
        }
    }

    /// The row and column order in which every pixel comes after its neighbour.
    fn mirrored(self) -> bool {
        matches!(self, Self::Right | Self::Down)
    }
}

struct Blend<'a> {
    source: &'a Color,
    sum: Plane<[f32; 3]>,
    weight: Plane<f32>,
}

impl<'a> Blend<'a> {
    fn new(source: &'a Color) -> Self {
        Self {
            source,
            sum: Plane::new(source.width, source.height, [0.0; 3]),
            weight: Plane::new(source.width, source.height, 0.0),
        }
    }

    /// Adds to every hole pixel the nearest known one in a direction. The distance and the colour
    /// are carried from neighbour to neighbour.
    fn add_direction(&mut self, hole: &Mask, direction: Direction) {
        let size = hole.size();
        let mut carried: Plane<Option<(f32, [f32; 3])>> = Plane::new(size.0, size.1, None);
        for index in 0..hole.data.len() {
            let index = if direction.mirrored() {
                hole.data.len() - 1 - index
            } else {
                index
            };
            let at = (index % size.0, index / size.0);
            if !hole[at] {
                carried[at] = Some((0.0, self.source[at]));
                continue;
            }
            let before = direction
                .step(at, size)
                .and_then(|neighbour| carried[neighbour]);
            let Some((distance, color)) = before.map(|(d, color)| (d + 1.0, color)) else {
                continue;
            };
            carried[at] = Some((distance, color));
            let weight = 1.0 / (distance * distance);
            let sum = &mut self.sum[at];
            (0..3).for_each(|c| sum[c] += weight * color[c]);
            self.weight[at] += weight;
        }
    }

    fn get(&self, x: usize, y: usize) -> Option<[f32; 3]> {
        let weight = self.weight[(x, y)];
        (weight > 0.0).then(|| self.sum[(x, y)].map(|v| v / weight))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_is_continued_through_a_hole() {
        let picture = Color::from_fn(60, 60, |x, y| [2.0 * x as f32, 3.0 * y as f32, 50.0]);
        let hole = Mask::from_fn(60, 60, |x, y| {
            (20..40).contains(&x) && (22..38).contains(&y)
        });
        let spoiled = picture.zip_with(&hole, |&v, &h| if h { [0.0, 255.0, 0.0] } else { v });
        let filled = fill(&spoiled, &hole);
        let center = filled[(30, 30)];
        assert!(
            (center[0] - 60.0).abs() < 6.0 && (center[1] - 90.0).abs() < 9.0,
            "{center:?}"
        );
        assert!((filled[(20, 30)][0] - 40.0).abs() < 4.0);
        assert_eq!(filled.row(0), picture.row(0));
    }

    #[test]
    fn nothing_to_fill_changes_nothing() {
        let picture = Color::from_fn(9, 9, |x, y| [x as f32, y as f32, 0.0]);
        assert_eq!(fill(&picture, &Mask::new(9, 9, false)), picture);
    }

    #[test]
    fn corners_out_of_reach_fall_back_to_the_membrane() {
        let hole = Mask::from_fn(12, 12, |x, y| (x, y) != (0, 0));
        let filled = fill(&Color::new(12, 12, [90.0; 3]), &hole);
        assert!(filled.data.iter().all(|v| (v[0] - 90.0).abs() < 0.5));
    }
}
