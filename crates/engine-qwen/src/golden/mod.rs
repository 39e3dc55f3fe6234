//! Tensors that the reference implementation wrote, and how close one must come to them.
//!
//! A golden file is a safetensors file of named intermediate tensors. A [`Recorder`] keeps what a
//! run computes under the same names; [`Golden::compare`] puts both side by side, each pair with
//! the [`Gate`] of its kind.

mod gate;
mod record;
mod replay;

use std::{collections::BTreeMap, fmt, fs, path::Path};

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

pub use self::{
    gate::{Difference, Gate},
    record::Recorder,
    replay::{ReplayError, prefix, replay},
};
use crate::error::LoadError;

/// A golden file.
#[derive(Debug, Clone)]
pub struct Golden {
    tensors: BTreeMap<String, GoldenTensor>,
    metadata: BTreeMap<String, String>,
}

/// A tensor of a golden file.
#[derive(Debug, Clone)]
pub struct GoldenTensor {
    /// Its shape, with the batch dimension that the reference gave it.
    pub shape: Vec<usize>,
    /// Its numbers, row by row. Whole numbers up to 2⁵³ are exact.
    pub values: Vec<f64>,
}

/// A golden tensor beside what was computed.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// Its name in the golden file.
    pub name: String,
    /// How close it has to be.
    pub gate: Gate,
    /// How close it is; nothing if it was not computed, or has another number of values.
    pub difference: Option<Difference>,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            gate,
            difference,
        } = self;
        match difference {
            None => write!(f, "{name}: not computed, or of another size ({gate})"),
            Some(found) => write!(
                f,
                "{name}: rel-L2 {:.2e}, max-abs {:.2e} ({gate})",
                found.relative_l2, found.max_abs
            ),
        }
    }
}

impl Golden {
    /// Reads a golden file.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let bytes = fs::read(path).map_err(LoadError::unreadable(path))?;
        let damaged = |error| LoadError::damaged(path, error);
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            let values = numbers(&view).ok_or_else(|| LoadError::Dtype {
                path: path.to_owned(),
                name: name.clone(),
                found: view.dtype().to_string(),
                expected: "a float, an integer or a boolean",
            })?;
            let shape = view.shape().to_vec();
            tensors.insert(name, GoldenTensor { shape, values });
        }
        let metadata = header.metadata().clone().unwrap_or_default();
        Ok(Self {
            tensors,
            metadata: metadata.into_iter().collect(),
        })
    }

    /// A tensor, if the file has it.
    pub fn find(&self, name: &str) -> Option<&GoldenTensor> {
        self.tensors.get(name)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// What the file says of itself under `key`.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// Puts every golden tensor whose name begins with `prefix`, and satisfies `wanted` without
    /// it, beside what was recorded under the rest of its name.
    pub fn compare(
        &self,
        recorded: &Recorder,
        prefix: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Vec<Comparison> {
        let below = self.tensors.iter().filter_map(|(full, tensor)| {
            let name = full.strip_prefix(prefix)?;
            wanted(name).then_some((full, name, tensor))
        });
        below
            .map(|(full, name, tensor)| Comparison {
                name: full.clone(),
                gate: Gate::of(full),
                difference: recorded
                    .find(name)
                    .and_then(|values| Difference::between(values, &tensor.values)),
            })
            .collect()
    }
}

impl Comparison {
    /// Whether it was computed and is close enough.
    pub fn holds(&self) -> bool {
        self.difference
            .as_ref()
            .is_some_and(|difference| self.gate.admits(difference))
    }
}

/// The numbers of a tensor, if their type is one that is read.
fn numbers(view: &TensorView<'_>) -> Option<Vec<f64>> {
    let each = |size: usize, read: fn(&[u8]) -> f64| {
        Some(view.data().chunks_exact(size).map(read).collect())
    };
    match view.dtype() {
        Dtype::BOOL | Dtype::U8 => each(1, |b| f64::from(b[0])),
        Dtype::I32 => each(4, |b| f64::from(i32::from_le_bytes(sized(b)))),
        Dtype::I64 => each(8, |b| i64::from_le_bytes(sized(b)) as f64),
        Dtype::F16 => each(2, |b| f16::from_le_bytes(sized(b)).to_f64()),
        Dtype::BF16 => each(2, |b| bf16::from_le_bytes(sized(b)).to_f64()),
        Dtype::F32 => each(4, |b| f64::from(f32::from_le_bytes(sized(b)))),
        Dtype::F64 => each(8, |b| f64::from_le_bytes(sized(b))),
        _ => None,
    }
}

fn sized<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("BUG: the chunks are of this size")
}
