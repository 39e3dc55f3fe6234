//! The noise that `PyTorch` draws for a seed, on a CPU.
//!
//! `PyTorch` 2.15: `torch.randn(n, generator=torch.Generator().manual_seed(seed))` draws `n` uniform
//! numbers from a Mersenne Twister and turns them, sixteen at a time, into normal ones (`ATen/
//! native/cpu/DistributionTemplates.h`, `normal_fill`).

use std::f32::consts::TAU;

use half::bf16;

/// Numbers that are made of each other.
const BLOCK: usize = 16;

/// `n` normal numbers for a seed. Those in 32 bits differ from `PyTorch`'s in the last bits, since
/// its logarithm and cosine do.
///
/// # Panics
///
/// If `n` is not a multiple of 16. Latents always are.
pub fn randn(seed: u64, n: usize) -> Vec<f32> {
    assert_eq!(n % BLOCK, 0, "BUG: noise is drawn in blocks of {BLOCK}");
    let mut twister = Twister::new(seed);
    // All uniform numbers are drawn before the first is used.
    let mut values: Vec<f32> = (0..n).map(|_| twister.uniform()).collect();
    let (blocks, _) = values.as_chunks_mut::<BLOCK>();
    blocks.iter_mut().for_each(normal);
    values
}

/// The same with `dtype=torch.bfloat16`.
///
/// # Panics
///
/// As [`randn`].
pub fn randn_bf16(seed: u64, n: usize) -> Vec<f32> {
    let rounded = |value| bf16::from_f32(value).to_f32();
    randn(seed, n).into_iter().map(rounded).collect()
}

/// Box and Muller's transform of numbers `j` and `j + 8`.
fn normal(block: &mut [f32; BLOCK]) {
    for j in 0..BLOCK / 2 {
        let radius = (-2.0 * (1.0 - block[j]).ln()).sqrt();
        let angle = TAU * block[j + BLOCK / 2];
        block[j] = radius * angle.cos();
        block[j + BLOCK / 2] = radius * angle.sin();
    }
}

/// MT19937, as `ATen/core/MT19937RNGEngine.h` seeds and reads it.
struct Twister {
    state: [u32; Self::N],
    next: usize,
}

impl Twister {
    const N: usize = 624;
    const M: usize = 397;

    fn new(seed: u64) -> Self {
        let mut state = [0; Self::N];
        // The lower half of the seed alone, as there.
        state[0] = seed as u32;
        for i in 1..Self::N {
            let before: u32 = state[i - 1];
            let mixed = (before ^ (before >> 30)).wrapping_mul(1_812_433_253);
            state[i] = mixed.wrapping_add(i as u32);
        }
        Self {
            state,
            next: Self::N,
        }
    }

    fn next(&mut self) -> u32 {
        if self.next == Self::N {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn twist(&mut self) {
        for i in 0..Self::N {
            let pair =
                (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % Self::N] & 0x7fff_ffff);
            let odd = if pair & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + Self::M) % Self::N] ^ (pair >> 1) ^ odd;
        }
        self.next = 0;
    }

    /// From 0 to below 1, in steps of 2⁻²⁴.
    fn uniform(&mut self) -> f32 {
        (self.next() & 0x00ff_ffff) as f32 / 16_777_216.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Twister, randn, randn_bf16};

    #[test]
    fn the_twister_is_the_published_one() {
        // The first and the ten thousandth of the C++ standard's `mt19937`, whose seed is 5489.
        let mut twister = Twister::new(5489);
        assert_eq!(twister.next(), 3_499_211_612);
        let last = (1..10_000).map(|_| twister.next()).last();
        assert_eq!(last, Some(4_123_659_995));
    }

    /// The first of `torch.randn(32, generator=torch.Generator().manual_seed(42))`.
    const FIRST: [f32; 32] = [
        1.926_915_3,
        1.487_284_1,
        0.900_717_2,
        -2.105_521,
        0.678_418_46,
        -1.234_544_9,
        -0.043_067_478,
        -1.604_667,
        -0.752_135_3,
        1.648_723,
        -0.392_478_65,
        -1.403_607_1,
        -0.727_881_3,
        -0.559_430_2,
        -0.768_838_9,
        0.762_445_4,
        1.642_316_9,
        -0.159_597_47,
        -0.497_397_54,
        0.439_589_26,
        -0.758_131_15,
        1.078_317_6,
        0.800_800_56,
        1.680_620_6,
        1.279_124_4,
        1.296_422_8,
        0.610_466_5,
        1.334_737_8,
        -0.231_624_32,
        0.041_759_49,
        -0.251_575_3,
        0.859_858_5,
    ];
    /// The same with `dtype=torch.bfloat16`.
    const FIRST_BF16: [f32; 32] = [
        1.929_687_5,
        1.484_375,
        0.902_343_75,
        -2.109_375,
        0.679_687_5,
        -1.234_375,
        -0.042_968_75,
        -1.601_562_5,
        -0.753_906_25,
        1.648_437_5,
        -0.392_578_12,
        -1.406_25,
        -0.726_562_5,
        -0.558_593_75,
        -0.769_531_25,
        0.761_718_75,
        1.640_625,
        -0.159_179_69,
        -0.498_046_88,
        0.439_453_12,
        -0.757_812_5,
        1.078_125,
        0.800_781_25,
        1.679_687_5,
        1.281_25,
        1.296_875,
        0.609_375,
        1.335_937_5,
        -0.231_445_31,
        0.041_748_047,
        -0.251_953_12,
        0.859_375,
    ];

    #[test]
    fn noise_is_pytorchs() {
        for (found, expected) in randn(42, 32).iter().zip(FIRST) {
            assert!((found - expected).abs() < 5e-7, "{found} {expected}");
        }
        assert_eq!(randn_bf16(42, 32), FIRST_BF16);
    }

    #[test]
    fn much_of_it_is_pytorchs_too() {
        // `torch.randn(1, 16, 128, 96, …)` with the same seed: a picture of 768 by 1024.
        let noise = randn(42, 16 * 128 * 96);
        let last = [-1.295_588_9, -0.161_681_7, -0.768_751_56, 0.064_835_79];
        for (found, expected) in noise[noise.len() - 4..].iter().zip(last) {
            assert!((found - expected).abs() < 5e-7, "{found} {expected}");
        }
        let squares: f64 = noise.iter().map(|value| f64::from(*value).powi(2)).sum();
        assert!((squares - 198_155.197_870).abs() < 1e-2, "{squares}");
    }

    #[test]
    fn the_upper_half_of_a_seed_does_not_matter() {
        assert_eq!(randn(7 + (1 << 32), 16), randn(7, 16));
        assert_ne!(randn(8, 16), randn(7, 16));
    }
}
