//! What a resampled pixel takes of which pixels.

use std::f64::consts::PI;

/// How pixels are weighed by their distance.
///
/// Pillow 13.0, `src/libImaging/Resample.c`: `lanczos_filter`, `bicubic_filter`, `bilinear_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// `sinc(x) · sinc(x / 3)` within 3 pixels.
    Lanczos,
    /// The cubic of Keys with `a = -0.5`, within 2 pixels.
    Bicubic,
    /// `1 - |x|` within 1 pixel.
    Bilinear,
}

impl Filter {
    fn radius(self) -> f64 {
        match self {
            Self::Lanczos => 3.0,
            Self::Bicubic => 2.0,
            Self::Bilinear => 1.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        match self {
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Self::Lanczos => 0.0,
            Self::Bicubic => cubic(x.abs()),
            Self::Bilinear => (1.0 - x.abs()).max(0.0),
        }
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        1.0
    } else {
        (x * PI).sin() / (x * PI)
    }
}

fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// Bits behind the point of a weight: with 8 of a pixel and 2 for what overshoots, 32.
pub(super) const PRECISION: u32 = 32 - 8 - 2;

/// The pixels along an axis that one pixel of the result is made of.
#[derive(Debug)]
pub(super) struct Taps {
    /// The first of them.
    pub(super) start: usize,
    /// Weights that sum up to about 1, times 2 to the power of [`PRECISION`].
    pub(super) weights: Vec<i32>,
}

/// The taps of each pixel of an axis of `to` pixels that was `from` pixels long.
///
/// Pillow 13.0, `src/libImaging/Resample.c`: `precompute_coeffs`, `normalize_coeffs_8bpc`.
pub(super) fn taps(from: usize, to: usize, filter: Filter) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let radius = filter.radius() * stretch;
    // Not divided by below: a product with the inverse is rounded as Pillow rounds it.
    let inverse = 1.0 / stretch;
    let taps_of = |index: usize| {
        let center = (index as f64 + 0.5) * scale;
        let start = (center - radius + 0.5).max(0.0) as usize;
        let end = ((center + radius + 0.5) as usize).min(from);
        let weight = |pixel: usize| filter.weight((pixel as f64 - center + 0.5) * inverse);
        Taps {
            start,
            weights: fixed(&(start..end).map(weight).collect::<Vec<_>>()),
        }
    };
    (0..to).map(taps_of).collect()
}

/// Brought to a sum of 1 and rounded, halves away from zero.
fn fixed(weights: &[f64]) -> Vec<i32> {
    let sum: f64 = weights.iter().sum();
    let sum = if sum == 0.0 { 1.0 } else { sum };
    let one = f64::from(1_u32 << PRECISION);
    let round = |weight: &f64| {
        let weight = weight / sum * one;
        (weight + 0.5_f64.copysign(weight)) as i32
    };
    weights.iter().map(round).collect()
}

#[cfg(test)]
mod tests {
    use super::{Filter, PRECISION, taps};

    #[test]
    fn weights_sum_up_to_one() {
        for filter in [Filter::Lanczos, Filter::Bicubic, Filter::Bilinear] {
            for (from, to) in [(1, 7), (7, 1), (100, 33), (33, 100), (64, 64)] {
                for taps in taps(from, to, filter) {
                    assert!(taps.start + taps.weights.len() <= from);
                    let sum: i32 = taps.weights.iter().sum();
                    let rounding = taps.weights.len() as i32;
                    assert!(
                        (sum - (1 << PRECISION)).abs() <= rounding,
                        "{filter:?} {sum}"
                    );
                }
            }
        }
    }
}
