//! Film grain for filled areas: deterministic noise from a seed and a position.

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
