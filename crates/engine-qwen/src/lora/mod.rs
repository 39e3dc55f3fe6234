//! Low-rank adapters, merged into the weights as these are loaded.
//!
//! `W' = W + strength · alpha / rank · up · down`, in 32 bits, rounded once to the type of `W`.
//! A matrix in FP8 is widened, merged and quantised again, row by row.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Mutex, PoisonError},
};

use candle_core::{Device, Tensor};
use float8::F8E4M3;
use half::bf16;

use crate::{
    error::{ComputeError, LoadError},
    fp8::quantise_rows,
    weights::{Matrix, View, Weights},
};

/// What the published files put before the name of a module.
const PREFIXES: [&str; 3] = ["diffusion_model.", "transformer.", "lora_unet_"];
/// How they name the matrix of a module that is applied first, `[rank, in]`.
const DOWN: [&str; 3] = [
    ".lora_down.weight",
    ".lora_A.weight",
    ".lora_A.default.weight",
];
/// And the one that is applied second, `[out, rank]`.
const UP: [&str; 3] = [
    ".lora_up.weight",
    ".lora_B.weight",
    ".lora_B.default.weight",
];
/// And the number that, divided by the rank, scales their product.
const ALPHA: &str = ".alpha";
/// Rows of a matrix that are added to at a time.
const ROWS: usize = 512;

/// An adapter.
#[derive(Debug)]
pub struct Lora {
    weights: Weights,
    modules: BTreeMap<String, Names>,
    strength: f32,
    /// Modules that were merged. Loading is done from one thread; the lock is for `Sync`.
    merged: Mutex<BTreeSet<String>>,
}

/// What the tensors of a module are called in the file.
#[derive(Debug, Default)]
struct Names {
    down: Option<String>,
    up: Option<String>,
    alpha: Option<String>,
}

impl Lora {
    /// Opens an adapter, to be merged with `strength` (1 is as trained).
    pub fn open(path: &Path, strength: f32) -> Result<Self, LoadError> {
        let weights = Weights::open(path)?;
        let modules = modules(&weights)?;
        Ok(Self {
            weights,
            modules,
            strength,
            merged: Mutex::default(),
        })
    }

    /// Adds what the adapter says of `module` to its matrix of `[out, in]`.
    pub(crate) fn merge(
        &self,
        module: &str,
        matrix: Matrix,
        shape: [usize; 2],
    ) -> Result<Matrix, LoadError> {
        let key = flat(module);
        let Some(names) = self.modules.get(&key) else {
            return Ok(matrix);
        };
        let delta = self.delta(names, shape)?;
        let mut merged = self.merged.lock().unwrap_or_else(PoisonError::into_inner);
        merged.insert(key);
        Ok(delta.add_to(matrix)?)
    }

    /// Checks, after a model was loaded, that it had every module of the adapter.
    pub(crate) fn check_all_merged(&self) -> Result<(), LoadError> {
        let merged = self.merged.lock().unwrap_or_else(PoisonError::into_inner);
        match self.modules.keys().find(|module| !merged.contains(*module)) {
            None => Ok(()),
            Some(module) => {
                let reason = format!(
                    "its module `{module}` is not in the model: it is an adapter for another one"
                );
                Err(LoadError::damaged(self.weights.path(), reason))
            }
        }
    }

    fn delta(&self, names: &Names, [outputs, inputs]: [usize; 2]) -> Result<Delta, LoadError> {
        let part = |name: &Option<String>| {
            let name = name.as_deref();
            let name = name.expect("BUG: `modules` left out what is not whole");
            self.weights.get(name)
        };
        let down = part(&names.down)?;
        // Without any, the shape that is asked for is not what is there.
        let rank = down.shape().first().copied().unwrap_or(0).max(1);
        let down = matrix(&down, [rank, inputs])?;
        let up = matrix(&part(&names.up)?, [outputs, rank])?;
        let alpha = match &names.alpha {
            None => rank as f32,
            Some(name) => self.alpha(name)?,
        };
        Ok(Delta {
            down,
            up,
            scale: self.strength * alpha / rank as f32,
        })
    }

    /// The single number of a tensor, whatever its dimensions.
    fn alpha(&self, name: &str) -> Result<f32, LoadError> {
        let view = self.weights.get(name)?;
        match view.to_f32()?.as_slice() {
            [alpha] => Ok(*alpha),
            _ => Err(view.damaged("is not a single number")),
        }
    }
}

/// What an adapter adds to a matrix: `scale · up · down`.
struct Delta {
    /// `[rank, in]`.
    down: Tensor,
    /// `[out, rank]`.
    up: Tensor,
    scale: f32,
}

impl Delta {
    /// Adds it to `[out, in]`, some rows at a time: whole, it would be as large as the matrix.
    fn add_to(&self, matrix: Matrix) -> Result<Matrix, ComputeError> {
        match matrix {
            Matrix::F32(mut values) => {
                self.each(&mut values, |value, delta| *value += delta)?;
                Ok(Matrix::F32(values))
            }
            Matrix::Bf16(mut values) => {
                let add = |value: &mut bf16, delta| *value = bf16::from_f32(value.to_f32() + delta);
                self.each(&mut values, add)?;
                Ok(Matrix::Bf16(values))
            }
            Matrix::F8 {
                mut values,
                mut scale,
                mode,
            } => {
                self.requantise(&mut values, &mut scale)?;
                Ok(Matrix::F8 {
                    values,
                    scale,
                    mode,
                })
            }
        }
    }

    fn each<T>(&self, values: &mut [T], add: impl Fn(&mut T, f32)) -> Result<(), ComputeError> {
        for (i, block) in values.chunks_mut(ROWS * self.inputs()).enumerate() {
            let delta = self.rows(i)?;
            for (value, delta) in block.iter_mut().zip(delta) {
                add(value, delta);
            }
        }
        Ok(())
    }

    fn requantise(&self, values: &mut [F8E4M3], scale: &mut [f32]) -> Result<(), ComputeError> {
        let inputs = self.inputs();
        let blocks = values.chunks_mut(ROWS * inputs).zip(scale.chunks_mut(ROWS));
        for (i, (values, scale)) in blocks.enumerate() {
            let mut sum = self.rows(i)?;
            let rows = values.chunks_exact(inputs).zip(&*scale);
            let wide = rows.flat_map(|(row, scale)| row.iter().map(move |v| v.to_f32() * scale));
            for (sum, value) in sum.iter_mut().zip(wide) {
                *sum += value;
            }
            let (quantised, scales) = quantise_rows(&sum, inputs);
            values.copy_from_slice(&quantised);
            scale.copy_from_slice(&scales);
        }
        Ok(())
    }

    /// The `i`th block of [`ROWS`] rows, or what is left of it.
    fn rows(&self, i: usize) -> Result<Vec<f32>, ComputeError> {
        let first = i * ROWS;
        let count = ROWS.min(self.up.dims()[0] - first);
        let rows = self.up.narrow(0, first, count)?.matmul(&self.down)?;
        let scaled = rows.affine(f64::from(self.scale), 0.0)?;
        Ok(scaled.flatten_all()?.to_vec1()?)
    }

    fn inputs(&self) -> usize {
        self.down.dims()[1]
    }
}

/// A module's name as every prefix and separator leaves it.
fn flat(name: &str) -> String {
    let bare = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
    bare.unwrap_or(name).replace('.', "_")
}

/// One of a module's names.
type Part = fn(&mut Names) -> &mut Option<String>;

/// The module that a tensor is of, and where its name belongs.
fn part_of(name: &str) -> Option<(&str, Part)> {
    let module = |ends: &[&str]| ends.iter().find_map(|end| name.strip_suffix(end));
    if let Some(module) = module(&DOWN) {
        return Some((module, |names| &mut names.down));
    }
    if let Some(module) = module(&UP) {
        return Some((module, |names| &mut names.up));
    }
    let module = module(&[ALPHA])?;
    Some((module, |names| &mut names.alpha))
}

/// The modules of a file, each with both of its matrices.
fn modules(weights: &Weights) -> Result<BTreeMap<String, Names>, LoadError> {
    let mut modules: BTreeMap<String, Names> = BTreeMap::new();
    for name in weights.names() {
        let Some((module, part)) = part_of(name) else {
            let reason = format!("`{name}` is not a tensor of an adapter");
            return Err(LoadError::damaged(weights.path(), reason));
        };
        let names = modules.entry(flat(module)).or_default();
        let before = part(names).replace(name.to_owned());
        if let Some(before) = before {
            let reason = format!("`{before}` and `{name}` are of the same module");
            return Err(LoadError::damaged(weights.path(), reason));
        }
    }
    let half = |(_, names): &(&String, &Names)| names.down.is_none() || names.up.is_none();
    if let Some((module, _)) = modules.iter().find(half) {
        let reason = format!("module `{module}` has only one of its two matrices");
        return Err(LoadError::damaged(weights.path(), reason));
    }
    Ok(modules)
}

fn matrix(view: &View<'_>, shape: [usize; 2]) -> Result<Tensor, LoadError> {
    let values = view.clone().with_shape(&shape)?.to_f32()?;
    Ok(Tensor::from_vec(values, &shape, &Device::Cpu).map_err(ComputeError::from)?)
}

#[cfg(test)]
mod tests;
