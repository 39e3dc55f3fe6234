//! Gaussian smoothing of planes; the border is mirrored without repeating the edge pixel.

use super::plane::{Color, Gray, Mask};
pub(crate) use super::signal::{gaussian1d, gaussian1d_nearest, median1d, median1d_nearest};

/// Exact Gaussian, the kernel cut at four sigma. Costs `O(sigma)` per pixel.
pub(crate) fn gaussian(plane: &Gray, sigma: f64) -> Gray {
    let flat = Flat::new(plane.width, plane.height, 1);
    let data = flat.convolve(&plane.data, &kernel(sigma));
    Gray::from_vec(plane.width, plane.height, data)
}

/// [`gaussian`] on each channel.
pub(crate) fn gaussian_color(plane: &Color, sigma: f64) -> Color {
    let flat = Flat::new(plane.width, plane.height, 3);
    let data = flat.convolve(plane.data.as_flattened(), &kernel(sigma));
    Color::from_vec(plane.width, plane.height, unflatten(&data))
}

/// Gaussian by three fractional box filters: constant cost per pixel, within 2 % of the range of
/// the exact result. Meant for sigma of 2 and more.
pub(crate) fn gaussian_fast(plane: &Gray, sigma: f64) -> Gray {
    let flat = Flat::new(plane.width, plane.height, 1);
    let data = flat.box_thrice(&plane.data, FractionalBox::for_sigma(sigma));
    Gray::from_vec(plane.width, plane.height, data)
}

/// [`gaussian_fast`] on each channel.
pub(crate) fn gaussian_color_fast(plane: &Color, sigma: f64) -> Color {
    let flat = Flat::new(plane.width, plane.height, 3);
    let data = flat.box_thrice(plane.data.as_flattened(), FractionalBox::for_sigma(sigma));
    Color::from_vec(plane.width, plane.height, unflatten(&data))
}

/// The exact Gaussian of the mask's indicator.
pub(crate) fn gaussian_mask(mask: &Mask, sigma: f64) -> Gray {
    gaussian(&mask.to_gray(), sigma)
}

/// Gaussian mean over the pixels of `mask` alone, everywhere, and the weight of those pixels
/// (1 deep inside, 0 far away). Far from the mask the mean fades to 0.
pub(crate) fn gaussian_within(plane: &Gray, mask: &Mask, sigma: f64) -> (Gray, Gray) {
    let weight = gaussian_mask(mask, sigma);
    let masked = plane.zip_with(mask, |v, inside| if *inside { *v } else { 0.0 });
    let sum = gaussian(&masked, sigma);
    (sum.zip_with(&weight, |s, w| s / w.max(1e-3)), weight)
}

/// The index in `0..len` that mirrors `index` about the centres of the edge pixels.
pub(crate) fn reflect101(index: isize, len: usize) -> usize {
    if len == 1 {
        return 0;
    }
    let period = 2 * (len as isize - 1);
    let folded = index.rem_euclid(period);
    folded.min(period - folded) as usize
}

/// Half of a normalised Gaussian kernel: centre first.
fn kernel(sigma: f64) -> Vec<f32> {
    let size = ((sigma * 8.0 + 1.0).round_ties_even() as usize) | 1;
    let weight = |d: usize| (-0.5 * (d as f64 / sigma).powi(2)).exp();
    let half: Vec<f64> = (0..=size / 2).map(weight).collect();
    let norm = 2.0 * half.iter().sum::<f64>() - half[0];
    half.iter().map(|w| (w / norm) as f32).collect()
}

fn unflatten(data: &[f32]) -> Vec<[f32; 3]> {
    data.as_chunks::<3>().0.to_vec()
}

/// The shape of interleaved rows.
#[derive(Clone, Copy)]
struct Flat {
    width: usize,
    height: usize,
    channels: usize,
}

impl Flat {
    fn new(width: usize, height: usize, channels: usize) -> Self {
        Self {
            width,
            height,
            channels,
        }
    }

    fn stride(self) -> usize {
        self.width * self.channels
    }

    /// Writes `row` with `radius` mirrored pixels at each end into `padded`.
    fn pad_row(self, row: &[f32], radius: usize, padded: &mut Vec<f32>) {
        padded.clear();
        let mut push = |x: isize| {
            let from = reflect101(x, self.width) * self.channels;
            padded.extend_from_slice(&row[from..from + self.channels]);
        };
        (-(radius as isize)..0).for_each(&mut push);
        padded.extend_from_slice(row);
        let mut push = |x: usize| {
            let from = reflect101(x as isize, self.width) * self.channels;
            padded.extend_from_slice(&row[from..from + self.channels]);
        };
        (self.width..self.width + radius).for_each(&mut push);
    }

    /// Separable convolution with a symmetric kernel given by its half.
    fn convolve(self, data: &[f32], half: &[f32]) -> Vec<f32> {
        if data.is_empty() {
            return Vec::new();
        }
        let (stride, radius) = (self.stride(), half.len() - 1);
        let mut rows = vec![0.0; data.len()];
        let mut padded = Vec::new();
        for (row, out) in data.chunks_exact(stride).zip(rows.chunks_exact_mut(stride)) {
            self.pad_row(row, radius, &mut padded);
            for (d, &weight) in half.iter().enumerate() {
                let left = &padded[(radius - d) * self.channels..][..stride];
                let right = &padded[(radius + d) * self.channels..][..stride];
                accumulate(out, weight, left, right, d == 0);
            }
        }
        let mut result = vec![0.0; data.len()];
        for (y, out) in result.chunks_exact_mut(stride).enumerate() {
            for (d, &weight) in half.iter().enumerate() {
                let above = reflect101(y as isize - d as isize, self.height);
                let below = reflect101((y + d) as isize, self.height);
                let (above, below) = (&rows[above * stride..], &rows[below * stride..]);
                accumulate(out, weight, &above[..stride], &below[..stride], d == 0);
            }
        }
        result
    }

    fn box_thrice(self, data: &[f32], filter: FractionalBox) -> Vec<f32> {
        if data.is_empty() {
            return Vec::new();
        }
        let mut rows = data.to_vec();
        let mut padded = Vec::new();
        for row in rows.chunks_exact_mut(self.stride()) {
            for _ in 0..3 {
                self.pad_row(row, filter.radius + 1, &mut padded);
                filter.apply_row(&padded, row, self.channels);
            }
        }
        let mut other = vec![0.0; rows.len()];
        for _ in 0..3 {
            filter.apply_columns(&rows, &mut other, self.stride(), self.height);
            std::mem::swap(&mut rows, &mut other);
        }
        rows
    }
}

/// `out += weight * (a + b)`, or `out = weight * a` for the centre of the kernel.
fn accumulate(out: &mut [f32], weight: f32, a: &[f32], b: &[f32], centre: bool) {
    if centre {
        for (o, &a) in out.iter_mut().zip(a) {
            *o = weight * a;
        }
    } else {
        for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
            *o += weight * (a + b);
        }
    }
}

/// A box filter of real width: `2 * radius + 1` full samples and one of weight `rim` at each end,
/// so that the variance of three of them meets any sigma.
#[derive(Clone, Copy)]
struct FractionalBox {
    radius: usize,
    rim: f64,
}

impl FractionalBox {
    fn for_sigma(sigma: f64) -> Self {
        let variance = sigma * sigma / 3.0;
        let radius = (((12.0 * variance + 1.0).sqrt() - 1.0) / 2.0).floor();
        let rim = (2.0 * radius + 1.0) * (radius * (radius + 1.0) - 3.0 * variance)
            / (6.0 * (variance - (radius + 1.0).powi(2)));
        Self {
            radius: radius as usize,
            rim,
        }
    }

    fn norm(self) -> f64 {
        1.0 / ((2 * self.radius + 1) as f64 + 2.0 * self.rim)
    }

    /// Filters a row that carries `radius + 1` extra pixels at each end.
    fn apply_row(self, padded: &[f32], out: &mut [f32], channels: usize) {
        let (window, norm) = (2 * self.radius + 1, self.norm());
        for c in 0..channels {
            let at = |x: usize| f64::from(padded[x * channels + c]);
            let mut sum: f64 = (1..=window).map(at).sum();
            for x in 0..out.len() / channels {
                let ends = at(x) + at(x + window + 1);
                out[x * channels + c] = ((sum + self.rim * ends) * norm) as f32;
                sum += at(x + window + 1) - at(x + 1);
            }
        }
    }

    fn apply_columns(self, data: &[f32], out: &mut [f32], stride: usize, height: usize) {
        let (radius, norm) = (self.radius as isize, self.norm());
        let row = |y: isize| &data[reflect101(y, height) * stride..][..stride];
        let mut sum = vec![0.0f64; stride];
        for y in -radius..=radius {
            sum.iter_mut()
                .zip(row(y))
                .for_each(|(s, &v)| *s += f64::from(v));
        }
        for (y, out) in out.chunks_exact_mut(stride).enumerate() {
            let y = y as isize;
            let (before, after) = (row(y - radius - 1), row(y + radius + 1));
            let leaving = row(y - radius);
            for x in 0..stride {
                let ends = f64::from(before[x]) + f64::from(after[x]);
                out[x] = ((sum[x] + self.rim * ends) * norm) as f32;
                sum[x] += f64::from(after[x]) - f64::from(leaving[x]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raster::plane::Rect;

    fn impulse(size: usize) -> Gray {
        let mut plane = Gray::new(size, size, 0.0);
        plane[(size / 2, size / 2)] = 1.0;
        plane
    }

    #[test]
    fn keeps_constants_up_to_the_border() {
        let flat = Gray::new(23, 17, 42.0);
        for blurred in [gaussian(&flat, 3.0), gaussian_fast(&flat, 6.5)] {
            assert!(blurred.data.iter().all(|v| (v - 42.0).abs() < 1e-3));
        }
    }

    #[test]
    fn spreads_an_impulse_to_the_given_width() {
        for (blurred, tolerance) in [
            (gaussian(&impulse(81), 4.0), 0.01),
            (gaussian_fast(&impulse(81), 4.0), 0.02),
        ] {
            let sum: f32 = blurred.data.iter().sum();
            let variance: f32 = (0..81)
                .map(|x| (0..81).map(|y| blurred[(x, y)]).sum::<f32>() * (x as f32 - 40.0).powi(2))
                .sum();
            assert!((sum - 1.0).abs() < 1e-3);
            assert!(
                (variance.sqrt() - 4.0).abs() < 4.0 * tolerance,
                "{}",
                variance.sqrt()
            );
        }
    }

    #[test]
    fn the_fast_blur_is_close_to_the_exact_one() {
        let mut plane = Gray::new(120, 90, 10.0);
        plane.fill_rect(
            Rect {
                x0: 30,
                y0: 20,
                x1: 80,
                y1: 70,
            },
            200.0,
        );
        let (exact, fast) = (gaussian(&plane, 5.0), gaussian_fast(&plane, 5.0));
        let worst = exact
            .zip_with(&fast, |a, b| (a - b).abs())
            .data
            .into_iter()
            .fold(0.0, f32::max);
        assert!(worst < 0.02 * 190.0, "{worst}");
    }

    #[test]
    fn colours_blur_like_their_channels() {
        let picture = Color::from_fn(31, 20, |x, y| {
            [(x * 7 % 13) as f32, (y * 5 % 11) as f32, (x + y) as f32]
        });
        let (exact, fast) = (
            gaussian_color(&picture, 1.3),
            gaussian_color_fast(&picture, 2.6),
        );
        for c in 0..3 {
            assert_eq!(exact.channel(c), gaussian(&picture.channel(c), 1.3));
            assert_eq!(fast.channel(c), gaussian_fast(&picture.channel(c), 2.6));
        }
    }

    #[test]
    fn means_within_a_mask_ignore_the_rest() {
        let plane = Gray::from_fn(40, 40, |x, _| if x < 20 { 50.0 } else { 250.0 });
        let mask = Mask::from_fn(40, 40, |x, _| x < 20);
        let (mean, weight) = gaussian_within(&plane, &mask, 4.0);
        assert!((mean[(19, 20)] - 50.0).abs() < 1e-2);
        assert!(weight[(2, 20)] > 0.99 && weight[(38, 20)] < 0.01);
    }

    #[test]
    fn mirrors_about_the_centre_of_the_edge() {
        let indices: Vec<usize> = (-4..8).map(|i| reflect101(i, 4)).collect();
        assert_eq!(indices, [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]);
        assert_eq!(reflect101(-7, 1), 0);
    }
}
