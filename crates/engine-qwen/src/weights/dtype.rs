//! How numbers are stored.

use std::fmt;

use float8::F8E4M3;
use half::{bf16, f16};
use rayon::prelude::*;

/// The types that weights are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// 32-bit.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of an [`Self::F32`].
    Bf16,
    /// 8-bit with 4 bits of exponent; finite but for two codes.
    F8E4M3,
}

/// Numbers that one thread widens at a time.
const CHUNK: usize = 1 << 16;

impl Dtype {
    /// The type that safetensors calls `dtype`, if weights can be stored in it.
    pub(super) fn of(dtype: safetensors::Dtype) -> Option<Self> {
        match dtype {
            safetensors::Dtype::F32 => Some(Self::F32),
            safetensors::Dtype::F16 => Some(Self::F16),
            safetensors::Dtype::BF16 => Some(Self::Bf16),
            safetensors::Dtype::F8_E4M3 => Some(Self::F8E4M3),
            _ => None,
        }
    }

    /// Bytes of one number.
    pub const fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::F8E4M3 => 1,
        }
    }

    /// Reads as many little-endian numbers as `values` holds. Every stored value is exact in 32
    /// bits.
    pub(super) fn widen(self, bytes: &[u8], values: &mut [f32]) {
        match self {
            Self::F32 => each(bytes, values, |b: [u8; 4]| f32::from_le_bytes(b)),
            Self::F16 => each(bytes, values, |b: [u8; 2]| f16::from_le_bytes(b).to_f32()),
            Self::Bf16 => each(bytes, values, |b: [u8; 2]| bf16::from_le_bytes(b).to_f32()),
            Self::F8E4M3 => each(bytes, values, |[b]: [u8; 1]| F8E4M3::from_bits(b).to_f32()),
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::F8E4M3 => "F8_E4M3",
        })
    }
}

fn each<const N: usize>(bytes: &[u8], values: &mut [f32], read: fn([u8; N]) -> f32) {
    let (bytes, _) = bytes.as_chunks::<N>();
    let chunks = values.par_chunks_mut(CHUNK).zip(bytes.par_chunks(CHUNK));
    chunks.for_each(|(values, bytes)| {
        for (value, bytes) in values.iter_mut().zip(bytes) {
            *value = read(*bytes);
        }
    });
}
