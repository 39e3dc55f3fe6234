//! Film grain for filled areas: deterministic noise from a seed and a position.

use image::RgbImage;

use crate::raster::order::median;

/// Stronger grain is texture.
const MOST: f32 = 2.5;

/// Noise that depends on the seed and the pixel alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grain {
    seed: u64,
    sigma: f32,
}

impl Grain {
    pub(crate) const fn new(seed: u64, sigma: f32) -> Self {
        Self { seed, sigma }
    }

    /// Grain as strong as that of `photo`, so that filled areas do not stand out.
    pub(crate) fn like(photo: &RgbImage, seed: u64) -> Self {
        Self::new(seed, level(photo).min(MOST))
    }

    /// Roughly normal noise of the given standard deviation at a pixel of the photo.
    pub(crate) fn at(self, x: usize, y: usize) -> f32 {
        let position = ((y as u64) << 32) | x as u64;
        let bits = mix(mix(self.seed) ^ position);
        // The sum of four uniform 16-bit numbers has variance 4/12.
        let sum: u32 = (0..4).map(|i| (bits >> (16 * i)) as u32 & 0xffff).sum();
        let centered = sum as f32 / 65_535.0 - 2.0;
        centered * 1.732 * self.sigma
    }
}

/// The standard deviation of the noise in smooth areas, from second differences along rows.
fn level(photo: &RgbImage) -> f32 {
    let width = photo.width() as usize;
    let green = |row: &[u8], x: usize| f32::from(row[3 * x + 1]);
    let rows = photo.as_raw().chunks_exact((3 * width).max(1)).step_by(3);
    let differences: Vec<f32> = rows
        .flat_map(|row| {
            let columns = (1..width.saturating_sub(1)).step_by(2);
            columns.map(|x| (green(row, x - 1) - 2.0 * green(row, x) + green(row, x + 1)).abs())
        })
        .collect();
    // The median of the differences of normal noise is 0.6745 of its deviation times the root of
    // 1 + 4 + 1.
    (median(&differences) / 0.6745 / 6.0_f64.sqrt()) as f32
}

/// The output function of splitmix64.
const fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn grain_is_as_strong_as_that_of_the_photo() {
        let grain = Grain::new(3, 2.0);
        let noisy = RgbImage::from_fn(200, 200, |x, y| {
            let value = 128.0 + grain.at(x as usize, y as usize);
            Rgb([value.round() as u8; 3])
        });
        let like = Grain::like(&noisy, 0).sigma;
        assert!((like - 2.0).abs() < 0.3, "{like}");
        assert!(Grain::like(&RgbImage::new(50, 50), 0).sigma < 0.01);
    }

    #[test]
    fn grain_has_the_spread_it_was_asked_for_and_follows_the_seed() {
        let sample = |seed| -> Vec<f32> {
            let grain = Grain::new(seed, 1.5);
            (0..10_000).map(|i| grain.at(i % 100, i / 100)).collect()
        };
        let (first, second) = (sample(7), sample(8));
        assert_eq!(first, sample(7));
        assert_ne!(first, second);
        let mean = first.iter().sum::<f32>() / 10_000.0;
        let variance = first.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 10_000.0;
        assert!(mean.abs() < 0.06, "{mean}");
        assert!((variance.sqrt() - 1.5).abs() < 0.05, "{variance}");
    }
}
