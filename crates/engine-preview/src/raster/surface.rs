//! A smooth colour surface under outliers: the model of a plain backdrop.

use super::order::{median, median_color};
use super::plane::{Color, Mask};

/// Pixels used at most; more are thinned out evenly.
const SAMPLES: usize = 6000;
/// Keeps the normal equations solvable when the samples lie on a line.
const RIDGE: f64 = 1e-6;
/// The least noise assumed of a backdrop, in L.
const LEAST_NOISE: f64 = 0.25;

/// A fitted surface.
#[derive(Debug, Clone)]
pub(crate) struct Surface {
    /// The surface at every pixel.
    pub plane: Color,
    /// Noise of the samples around it: a robust standard deviation, at least 0.25.
    pub sigma: f32,
    /// Share of the samples within three sigma.
    pub inliers: f32,
}

/// The pixels along the border of a plane, `fraction` of its shorter side deep, with or without
/// the bottom.
pub(crate) fn frame_mask(width: usize, height: usize, fraction: f64, bottom: bool) -> Mask {
    let depth = (fraction * width.min(height) as f64)
        .round_ties_even()
        .max(2.0) as usize;
    Mask::from_fn(width, height, |x, y| {
        y < depth || x < depth || x + depth >= width || (bottom && y + depth >= height)
    })
}

/// Fits a polynomial (`order` 1 or 2 in x and y) to each channel of the pixels of `samples` by
/// reweighted least squares: samples far from the surface lose their weight, so that it follows
/// the backdrop and not what stands before it. `samples` must not be empty.
pub(crate) fn fit_surface(
    colors: &Color,
    samples: &Mask,
    order: usize,
    iterations: usize,
) -> Surface {
    let basis = Basis::new(colors, order);
    let positions = thin(samples);
    let rows: Vec<[f64; 6]> = positions.iter().map(|&(x, y)| basis.at(x, y)).collect();
    let values: Vec<[f32; 3]> = positions.iter().map(|&at| colors[at]).collect();
    let middle = median_color(&values);
    let mut weights: Vec<f64> = values
        .iter()
        .map(|&v| falloff(distance(v.map(f64::from), middle.map(f64::from)) / 10.0))
        .collect();
    let mut fit = Fit::default();
    for _ in 0..iterations {
        fit = Fit::solve(&rows, &values, &weights, basis.terms);
        let spread = 2.0 * fit.sigma;
        weights = fit.residuals.iter().map(|r| falloff(r / spread)).collect();
    }
    let inliers = fit
        .residuals
        .iter()
        .filter(|&&r| r < 3.0 * fit.sigma)
        .count();
    Surface {
        plane: basis.evaluate(&fit.coefficients, colors),
        sigma: fit.sigma as f32,
        inliers: inliers as f32 / fit.residuals.len().max(1) as f32,
    }
}

/// Robust weight of a residual in units of its scale.
fn falloff(r: f64) -> f64 {
    (1.0 + r * r).powi(-2)
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b).powi(2));
    squares.sum::<f64>().sqrt()
}

fn thin(samples: &Mask) -> Vec<(usize, usize)> {
    let all: Vec<(usize, usize)> = (0..samples.data.len())
        .filter(|&i| samples.data[i])
        .map(|i| (i % samples.width, i / samples.width))
        .collect();
    if all.len() <= SAMPLES {
        return all;
    }
    let step = (all.len() - 1) as f64 / (SAMPLES - 1) as f64;
    (0..SAMPLES)
        .map(|i| all[(i as f64 * step) as usize])
        .collect()
}

/// The polynomial terms 1, x, y, x², xy, y² on coordinates scaled to `-1..=1`.
struct Basis {
    terms: usize,
    width: f64,
    height: f64,
}

impl Basis {
    fn new(colors: &Color, order: usize) -> Self {
        Self {
            terms: if order >= 2 { 6 } else { 3 },
            width: colors.width as f64,
            height: colors.height as f64,
        }
    }

    fn at(&self, x: usize, y: usize) -> [f64; 6] {
        let (x, y) = (
            x as f64 / self.width * 2.0 - 1.0,
            y as f64 / self.height * 2.0 - 1.0,
        );
        [1.0, x, y, x * x, x * y, y * y]
    }

    fn evaluate(&self, coefficients: &[[f64; 3]; 6], shape: &Color) -> Color {
        Color::from_fn(shape.width, shape.height, |x, y| {
            let terms = self.at(x, y);
            std::array::from_fn(|c| {
                let sum: f64 = (0..6).map(|i| terms[i] * coefficients[i][c]).sum();
                sum as f32
            })
        })
    }
}

/// One weighted least squares solution. Unused terms have zero coefficients.
#[derive(Default)]
struct Fit {
    coefficients: [[f64; 3]; 6],
    residuals: Vec<f64>,
    sigma: f64,
}

impl Fit {
    fn solve(rows: &[[f64; 6]], values: &[[f32; 3]], weights: &[f64], terms: usize) -> Self {
        // Each row holds a row of the normal matrix and the three right-hand sides.
        let mut system = [[0.0; 9]; 6];
        for ((row, value), weight) in rows.iter().zip(values).zip(weights) {
            for i in 0..terms {
                let factor = row[i] * weight;
                (0..terms).for_each(|j| system[i][j] += factor * row[j]);
                (0..3).for_each(|c| system[i][6 + c] += factor * f64::from(value[c]));
            }
        }
        (0..6).for_each(|i| system[i][i] += if i < terms { RIDGE } else { 1.0 });
        let coefficients = eliminate(system);
        let residuals: Vec<f64> = rows
            .iter()
            .zip(values)
            .map(|(row, value)| {
                let model =
                    std::array::from_fn(|c| (0..6).map(|i| row[i] * coefficients[i][c]).sum());
                distance(model, value.map(f64::from))
            })
            .collect();
        let sigma = (1.4826 * median(&residuals)).max(LEAST_NOISE);
        Self {
            coefficients,
            residuals,
            sigma,
        }
    }
}

/// Solves the symmetric positive definite system by elimination without exchanges.
fn eliminate(mut system: [[f64; 9]; 6]) -> [[f64; 3]; 6] {
    for pivot in 0..6 {
        let pivot_row = system[pivot].map(|v| v / system[pivot][pivot]);
        system[pivot] = pivot_row;
        for (i, row) in system.iter_mut().enumerate() {
            if i != pivot {
                let factor = row[pivot];
                row.iter_mut()
                    .zip(pivot_row)
                    .for_each(|(v, p)| *v -= factor * p);
            }
        }
    }
    system.map(|row| [row[6], row[7], row[8]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_a_curved_backdrop_under_outliers() {
        let truth = |x: usize, y: usize| {
            let (x, y) = (x as f32 / 40.0 - 1.0, y as f32 / 30.0 - 1.0);
            [80.0 + 6.0 * x - 3.0 * y * y, 2.0 * x * y, -4.0 + y]
        };
        let clean = Color::from_fn(80, 60, truth);
        let mut dirty = clean.clone();
        for y in 0..60 {
            // A third of the frame is something else.
            dirty.row_mut(y)[60..].fill([20.0, 40.0, 30.0]);
        }
        let fitted = fit_surface(&dirty, &frame_mask(80, 60, 0.05, true), 2, 10);
        let worst = fitted.plane.zip_with(&clean, |a, b| {
            a.iter()
                .zip(b)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max)
        });
        let worst = worst.data.into_iter().fold(0.0, f32::max);
        assert!(worst < 0.5, "{worst}");
        assert!(
            fitted.inliers > 0.5 && fitted.inliers < 0.8,
            "{}",
            fitted.inliers
        );
        assert!((fitted.sigma - 0.25).abs() < 1e-6);
    }

    #[test]
    fn the_frame_may_leave_the_bottom_out() {
        let (all, open) = (
            frame_mask(100, 200, 0.03, true),
            frame_mask(100, 200, 0.03, false),
        );
        assert!(all[(50, 199)] && !open[(50, 199)]);
        assert!(open[(0, 199)] && open[(99, 100)] && open[(50, 2)] && !open[(50, 3)]);
    }
}
