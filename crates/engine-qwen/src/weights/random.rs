//! Tensors of no checkpoint: every one that is asked for is there, of random numbers.
//!
//! How long a model takes does not depend on what its weights are, as long as they are numbers as
//! diverse as those of a trained one. Those of a layer are bytes of one block, from a place that its
//! name says, so that a model of tens of gigabytes takes as much as its largest tensor.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
    sync::Arc,
};

use float8::F8E4M3;
use half::bf16;
use rayon::prelude::*;

use super::{Dtype, View, Weights};

/// Numbers are made up to here, and then again: as many as no width goes into, so that the rows of
/// a matrix differ.
const PERIOD: usize = 4_194_301;
/// Numbers that one thread makes at a time.
const CHUNK: usize = 1 << 16;
/// Weights are between it and its negative: a layer of a few thousand inputs neither silences what
/// it is given nor makes it louder with every layer.
const BOUND: f32 = 1.0 / 32.0;
/// The largest number in FP8.
const LARGEST: f32 = 448.0;
/// Numbers of the largest norm, and scales of the largest matrix in FP8.
const VECTOR: usize = 1 << 17;

/// What tensors are made of.
#[derive(Debug)]
pub struct Random {
    bf16: Vec<u8>,
    fp8: Vec<u8>,
    ones: Vec<u8>,
    scales: Vec<u8>,
}

/// The type of matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// In 16 bits.
    Bf16,
    /// Those of a transformer's blocks in FP8 with a scale for each row, as `LightX2V` has them.
    Fp8,
}

/// Where [`Weights`] have their tensors from, if from no file.
#[derive(Debug)]
pub(super) struct Source {
    random: Arc<Random>,
    kind: Kind,
}

impl Random {
    /// For tensors of up to so many numbers, and matrices in FP8 of up to `fp8`.
    pub fn new(numbers: usize, fp8: usize) -> Self {
        let code = |value| [F8E4M3::from_f32(value * LARGEST).to_bits()];
        let scale = BOUND / LARGEST;
        Self {
            bf16: tile(numbers, |value| bf16::from_f32(value * BOUND).to_le_bytes()),
            fp8: tile(fp8, code),
            ones: bf16::ONE.to_le_bytes().repeat(VECTOR),
            scales: scale.to_le_bytes().repeat(VECTOR),
        }
    }
}

impl Weights {
    /// Those of a model that is loaded out of them, whichever it is.
    pub fn random(random: &Arc<Random>, kind: Kind) -> Self {
        Self {
            random: Some(Source {
                random: Arc::clone(random),
                kind,
            }),
            ..Self::of(PathBuf::from("random"))
        }
    }
}

impl Source {
    /// The tensor of this name and shape.
    pub(super) fn view<'a>(&'a self, path: &'a Path, name: &str, shape: &[usize]) -> View<'a> {
        let random = &*self.random;
        let is_weight = name.ends_with("weight");
        let (dtype, all) = if name.ends_with("gamma") || (is_weight && shape.len() == 1) {
            (Dtype::Bf16, &random.ones)
        } else if name.ends_with("weight_scale") {
            (Dtype::F32, &random.scales)
        } else if self.kind == Kind::Fp8 && is_weight && name.starts_with("transformer_blocks.") {
            (Dtype::F8E4M3, &random.fp8)
        } else {
            (Dtype::Bf16, &random.bf16)
        };
        let bytes = shape.iter().product::<usize>() * dtype.size();
        assert!(bytes <= all.len(), "BUG: `{name}` is larger than was said");
        let places = (all.len() - bytes) / dtype.size() + 1;
        let start = dtype.size() * (hash(name) as usize % places);
        View {
            name: "a random tensor",
            path,
            dtype,
            shape: Cow::Owned(shape.to_vec()),
            bytes: &all[start..][..bytes],
            meter: None,
        }
    }
}

/// So many numbers of -1 to 1 as bytes, made on every core.
fn tile<const N: usize>(count: usize, bytes_of: impl Fn(f32) -> [u8; N] + Sync) -> Vec<u8> {
    let mut period = vec![0; count.min(PERIOD) * N];
    let chunks = period.par_chunks_mut(CHUNK * N).enumerate();
    chunks.for_each(|(chunk, bytes)| {
        let (bytes, _) = bytes.as_chunks_mut::<N>();
        for (number, bytes) in bytes.iter_mut().enumerate() {
            *bytes = bytes_of(number_of((chunk * CHUNK + number) as u64));
        }
    });
    let mut all = vec![0; count * N];
    let parts = all.par_chunks_mut(period.len());
    parts.for_each(|part| part.copy_from_slice(&period[..part.len()]));
    all
}

/// A number of -1 to 1 for each seed: the finaliser of `SplitMix64`.
fn number_of(seed: u64) -> f32 {
    (mixed(seed) >> 40) as f32 / (1 << 23) as f32 - 1.0
}

fn mixed(seed: u64) -> u64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn hash(name: &str) -> u64 {
    let bytes = name.bytes();
    bytes.fold(0, |hash, byte| mixed(hash ^ u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{Bias, Matrix};

    fn weights(kind: Kind) -> Weights {
        Weights::random(&Arc::new(Random::new(PERIOD + 5, 4096)), kind)
    }

    #[test]
    fn numbers_are_diverse_and_within_their_bound() {
        let weights = weights(Kind::Bf16);
        let view = weights.root().view("a.weight", &[64, 128]).unwrap();
        let values = view.to_f32().unwrap();
        assert!(values.iter().all(|value| value.abs() <= BOUND));
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        let square = values.iter().map(|value| value * value).sum::<f32>() / values.len() as f32;
        // Even ones, of which a third of the bound's square is to be expected.
        assert!(mean.abs() < 0.05 * BOUND, "{mean}");
        assert!(
            (square / (BOUND * BOUND) - 1.0 / 3.0).abs() < 0.02,
            "{square}"
        );
        let other = weights.root().view("b.weight", &[64, 128]).unwrap();
        assert_ne!(values, other.to_f32().unwrap());
        // All of it, over the end of the period.
        let all = weights.root().view("c.weight", &[PERIOD + 5, 1]).unwrap();
        let all = all.to_f32().unwrap();
        assert_eq!(all[..5], all[PERIOD..]);
        assert_ne!(all[0], all[1]);
    }

    #[test]
    fn norms_are_ones() {
        let weights = weights(Kind::Fp8);
        let root = weights.root();
        for (name, shape) in [("norm.weight", &[7][..]), ("norm1.gamma", &[7, 1, 1, 1])] {
            assert_eq!(root.view(name, shape).unwrap().to_f32().unwrap(), [1.0; 7]);
        }
    }

    #[test]
    fn blocks_are_in_fp8_and_of_the_same_size_if_that_was_asked_for() {
        let weights = weights(Kind::Fp8);
        let block = weights.root().at("transformer_blocks.0.attn.to_q");
        let layer = block.linear_weights(32, 16, Bias::Yes).unwrap();
        let Matrix::F8 { values, scale, .. } = layer.matrix else {
            panic!("in another type");
        };
        let largest = values.iter().map(|value| value.to_f32().abs());
        let largest = largest.fold(0.0, f32::max) * scale[0];
        assert!((0.9..=1.0).contains(&(largest / BOUND)), "{largest}");
        assert_eq!((values.len(), scale.len()), (512, 16));
        let head = weights.root().at("proj_out");
        let head = head.linear_weights(32, 16, Bias::Yes).unwrap();
        assert!(matches!(head.matrix, Matrix::Bf16(_)));
    }
}
