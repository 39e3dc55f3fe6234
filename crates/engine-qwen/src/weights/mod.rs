//! The tensors of a checkpoint: one safetensors file or a folder of shards, mapped into memory.
//!
//! Nothing is read before it is asked for, and what is asked for is read once: a model takes its
//! tensors out of a [`Scope`], each checked for shape, type and finite values.

mod dtype;
mod file;
mod follow;
mod random;
mod scope;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub use dtype::Dtype;
pub(crate) use follow::Meter;
pub use follow::{Follow, Loaded, Unfollowed};
pub use random::{Kind as RandomKind, Random};
pub use scope::{Bias, Fp8, LinearWeights, Matrix, Scope};

use self::file::{Entry, MappedFile};
use crate::{backend::Backend, error::LoadError, layout, lora::Lora};

/// The tensors of a checkpoint, by name.
#[derive(Debug)]
pub struct Weights {
    /// The file, or the folder of shards.
    path: PathBuf,
    files: Vec<MappedFile>,
    tensors: BTreeMap<String, Entry>,
    lora: Option<Box<Lora>>,
    meter: Option<Meter>,
    random: Option<random::Source>,
}

/// A tensor where it lies.
#[derive(Debug, Clone)]
pub struct View<'a> {
    name: &'a str,
    path: &'a Path,
    dtype: Dtype,
    shape: Cow<'a, [usize]>,
    bytes: &'a [u8],
    meter: Option<&'a Meter>,
}

impl Weights {
    /// Opens a file, or a folder: every shard that its `*.safetensors.index.json` names, or its
    /// only `*.safetensors` file. The headers are read and checked, the tensors are not.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let files = file::open_all(path)?;
        let mut tensors = BTreeMap::new();
        for (index, file) in files.iter().enumerate() {
            for (name, entry) in file.entries(index)? {
                if tensors.insert(name.clone(), entry).is_some() {
                    let reason = format!("tensor `{name}` is in another shard too");
                    return Err(LoadError::damaged(file.path(), reason));
                }
            }
        }
        file::check_index(path, &tensors)?;
        Ok(Self {
            files,
            tensors,
            ..Self::of(path.to_owned())
        })
    }

    /// None yet, from there.
    const fn of(path: PathBuf) -> Self {
        Self {
            path,
            files: Vec::new(),
            tensors: BTreeMap::new(),
            lora: None,
            meter: None,
            random: None,
        }
    }

    /// Merges `lora` into every linear layer that it names, as they are loaded. Refuses a file that
    /// has one merged already.
    pub fn with_lora(mut self, lora: Lora) -> Result<Self, LoadError> {
        layout::refuse_second_adapter(&self.path)?;
        self.lora = Some(Box::new(lora));
        Ok(self)
    }

    /// Has `meter` count what is read.
    pub(crate) fn with_meter(mut self, meter: &Meter) -> Self {
        self.meter = Some(meter.clone());
        self
    }

    /// Checks, after a model was loaded, that it had every module of the adapter, if there is one.
    pub(crate) fn check_lora_merged(&self) -> Result<(), LoadError> {
        self.lora.as_deref().map_or(Ok(()), Lora::check_all_merged)
    }

    /// Where they are from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The bytes of all tensors.
    pub fn total_bytes(&self) -> u64 {
        self.bytes_of(|_| true)
    }

    /// The bytes of the tensors with such a name.
    pub fn bytes_of(&self, wanted: impl Fn(&str) -> bool) -> u64 {
        let tensors = self.tensors.iter().filter(|(name, _)| wanted(name));
        tensors.map(|(_, entry)| entry.bytes.len() as u64).sum()
    }

    /// The bytes that the tensors with such a name take once `backend` has them.
    pub fn bytes_on<B: Backend>(&self, backend: &B, wanted: impl Fn(&str) -> bool) -> u64 {
        let tensors = self.tensors.iter().filter(|(name, _)| wanted(name));
        let bytes = tensors.map(|(_, entry)| backend.bytes_of(entry.dtype, &entry.shape));
        bytes.sum()
    }

    /// Everything, as it is named.
    pub fn root(&self) -> Scope<'_> {
        Scope::new(self)
    }

    /// A tensor, if it is there.
    pub fn find(&self, name: &str) -> Option<View<'_>> {
        let (name, entry) = self.tensors.get_key_value(name)?;
        let file = &self.files[entry.file];
        Some(View {
            name,
            path: file.path(),
            dtype: entry.dtype,
            shape: Cow::Borrowed(&entry.shape),
            bytes: file.bytes(entry.bytes.clone()),
            meter: self.meter.as_ref(),
        })
    }

    /// A tensor that must be there.
    pub fn get(&self, name: &str) -> Result<View<'_>, LoadError> {
        self.find(name).ok_or_else(|| LoadError::MissingTensor {
            path: self.path.clone(),
            name: name.to_owned(),
        })
    }

    fn has(&self, name: &str) -> bool {
        self.random.is_some() || self.tensors.contains_key(name)
    }

    /// A tensor that must be there and be of this shape.
    fn view(&self, name: &str, shape: &[usize]) -> Result<View<'_>, LoadError> {
        match &self.random {
            Some(random) => Ok(random.view(&self.path, name, shape)),
            None => self.get(name)?.with_shape(shape),
        }
    }
}

impl<'a> View<'a> {
    /// Its shape, outermost dimension first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The type of its numbers.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Checks that its shape is `expected`.
    pub fn with_shape(self, expected: &[usize]) -> Result<Self, LoadError> {
        if *self.shape == *expected {
            return Ok(self);
        }
        Err(LoadError::Shape {
            path: self.path.to_owned(),
            name: self.name.to_owned(),
            found: self.shape.to_vec(),
            expected: expected.to_vec(),
        })
    }

    /// Its numbers, row by row, each of them finite. Not for FP8, which means nothing without its
    /// scale.
    pub fn to_f32(&self) -> Result<Vec<f32>, LoadError> {
        let mut values = vec![0.0; self.bytes.len() / self.dtype.size()];
        self.widen(self.bytes, &mut values)?;
        self.count();
        Ok(values)
    }

    /// Some of the rows of a matrix.
    pub fn rows_to_f32(&self, rows: &[usize]) -> Result<Vec<f32>, LoadError> {
        let width: usize = self.shape[1..].iter().product();
        let size = width * self.dtype.size();
        let mut values = vec![0.0; rows.len() * width];
        for (row, values) in rows.iter().zip(values.chunks_exact_mut(width)) {
            self.widen(&self.bytes[row * size..][..size], values)?;
        }
        Ok(values)
    }

    /// The bytes as they lie: little-endian, row by row.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// All of it was read.
    fn count(&self) {
        if let Some(meter) = self.meter {
            meter.add(self.bytes.len());
        }
    }

    fn widen(&self, bytes: &[u8], values: &mut [f32]) -> Result<(), LoadError> {
        if self.dtype == Dtype::F8E4M3 {
            return Err(self.wrong_dtype("F32, F16 or BF16"));
        }
        self.dtype.widen(bytes, values);
        if values.iter().all(|value| value.is_finite()) {
            Ok(())
        } else {
            Err(self.not_finite())
        }
    }

    pub(crate) fn not_finite(&self) -> LoadError {
        LoadError::NotFinite {
            path: self.path.to_owned(),
            name: self.name.to_owned(),
        }
    }

    pub(crate) fn damaged(&self, problem: &str) -> LoadError {
        LoadError::damaged(self.path, format!("`{}` {problem}", self.name))
    }

    pub(crate) fn wrong_dtype(&self, expected: &'static str) -> LoadError {
        LoadError::Dtype {
            path: self.path.to_owned(),
            name: self.name.to_owned(),
            found: self.dtype.to_string(),
            expected,
        }
    }
}
