//! Checkpoints of published sizes with random weights: the tests' tiny ones, enlarged.

use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, SafeTensors, View};

/// The tests' checkpoint.
pub(crate) fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/checkpoint/tiny-2511")
}

/// Writes the tensors of a part of the tests' checkpoint to a file, each of the shape that
/// `enlarge` makes of its own; those that it gives none for are left out.
pub(crate) fn write(part: &str, to: &Path, enlarge: fn(&str, &[usize]) -> Option<Vec<usize>>) {
    let from = tiny().join(part);
    let files = fs::read_dir(&from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    let mut tensors = Vec::new();
    for file in files {
        let path = file.expect("a folder can be listed").path();
        if path
            .extension()
            .is_none_or(|ending| ending != "safetensors")
        {
            continue;
        }
        let bytes = fs::read(&path).expect("a golden can be read");
        let small = SafeTensors::deserialize(&bytes).expect("a golden is a safetensors file");
        for (name, view) in small.iter() {
            if let Some(shape) = enlarge(name, view.shape()) {
                let tensor = Random::new(name, tensors.len(), shape);
                tensors.push((name.to_owned(), tensor));
            }
        }
    }
    safetensors::serialize_to_file(tensors, None, to)
        .unwrap_or_else(|error| panic!("{}: {error}", to.display()));
}

/// A tensor of numbers that are made when they are written.
struct Random {
    shape: Vec<usize>,
    seed: u64,
    /// Numbers are between it and its negative, or all 1 without it.
    bound: Option<f32>,
}

impl Random {
    /// Layers as `PyTorch` initialises them, norms of ones.
    fn new(name: &str, number: usize, shape: Vec<usize>) -> Self {
        let is_norm = name.ends_with("gamma") || (name.ends_with("weight") && shape.len() == 1);
        let inputs: usize = shape[1..].iter().product();
        Self {
            shape,
            seed: (number as u64) << 40,
            bound: (!is_norm).then(|| (inputs as f32).sqrt().recip()),
        }
    }
}

impl View for Random {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let count = self.shape.iter().product::<usize>() as u64;
        let value = |i| {
            self.bound
                .map_or(1.0, |bound| bound * random(self.seed + i))
        };
        let bytes = (0..count).flat_map(|i| value(i).to_le_bytes());
        Cow::Owned(bytes.collect())
    }

    fn data_len(&self) -> usize {
        4 * self.shape.iter().product::<usize>()
    }
}

/// A number of -1 to 1 for each seed: the finaliser of `SplitMix64`.
pub(crate) fn random(seed: u64) -> f32 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    (x >> 40) as f32 / (1 << 23) as f32 - 1.0
}

/// As many numbers of -1 to 1.
pub(crate) fn randoms(count: usize) -> Vec<f32> {
    (0..count as u64).map(random).collect()
}
