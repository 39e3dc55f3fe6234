//! Tensors below a prefix, as a module takes them.

use float8::F8E4M3;
use half::bf16;
use rayon::prelude::*;

use super::{Dtype, View, Weights};
use crate::{
    backend::{Backend, ConvShape},
    error::LoadError,
};

/// The tensors whose names begin with a prefix.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    weights: &'a Weights,
    /// Empty, or ending with a dot.
    prefix: String,
    fp8: Fp8,
}

/// How a matrix in FP8 is multiplied with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fp8 {
    /// Activations are quantised to FP8 too, token by token (W8A8).
    #[default]
    Dynamic,
    /// Activations stay as they are.
    WeightOnly,
}

/// The weights of a linear layer, before a device has them.
#[derive(Debug)]
pub struct LinearWeights {
    /// `[out, in]`.
    pub matrix: Matrix,
    /// How many numbers go in.
    pub inputs: usize,
    /// How many come out.
    pub outputs: usize,
    /// `[out]`.
    pub bias: Option<Vec<f32>>,
}

/// A matrix, row by row, in the type that it is kept in.
#[derive(Debug)]
pub enum Matrix {
    /// 32-bit.
    F32(Vec<f32>),
    /// 16-bit.
    Bf16(Vec<bf16>),
    /// 8-bit: row `o` is `values[o] · scale[o]`.
    F8 {
        /// The numbers.
        values: Vec<F8E4M3>,
        /// One for each row.
        scale: Vec<f32>,
        /// How it is multiplied with.
        mode: Fp8,
    },
}

impl LinearWeights {
    /// The same for more inputs and outputs, with zeros for what there was not.
    ///
    /// # Panics
    ///
    /// If there were more.
    #[must_use]
    pub fn padded(mut self, inputs: usize, outputs: usize) -> Self {
        assert!(
            inputs >= self.inputs && outputs >= self.outputs,
            "BUG: what there is has room"
        );
        let from = self.inputs;
        let to = [inputs, outputs];
        self.matrix = match self.matrix {
            Matrix::F32(values) => Matrix::F32(pad(values, from, to, 0.0)),
            Matrix::Bf16(values) => Matrix::Bf16(pad(values, from, to, bf16::ZERO)),
            Matrix::F8 {
                values,
                mut scale,
                mode,
            } => {
                scale.resize(outputs, 1.0);
                let values = pad(values, from, to, F8E4M3::ZERO);
                Matrix::F8 {
                    values,
                    scale,
                    mode,
                }
            }
        };
        if let Some(bias) = &mut self.bias {
            bias.resize(outputs, 0.0);
        }
        Self {
            inputs,
            outputs,
            ..self
        }
    }
}

/// Rows of `from` numbers as so many of more.
fn pad<T: Copy>(values: Vec<T>, from: usize, [inputs, outputs]: [usize; 2], zero: T) -> Vec<T> {
    let mut padded = values;
    if inputs != from {
        let rows = padded.chunks_exact(from);
        let wide = rows.flat_map(|row| {
            let more = std::iter::repeat_n(zero, inputs - from);
            row.iter().copied().chain(more)
        });
        padded = wide.collect();
    }
    padded.resize(inputs * outputs, zero);
    padded
}

impl<'a> Scope<'a> {
    pub(super) fn new(weights: &'a Weights) -> Self {
        Self {
            weights,
            prefix: String::new(),
            fp8: Fp8::default(),
        }
    }

    /// What lies below `name`, a part of a name such as `attn` or `transformer_blocks.7`.
    #[must_use]
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        Self {
            weights: self.weights,
            prefix: format!("{}{name}.", self.prefix),
            fp8: self.fp8,
        }
    }

    /// The same with FP8 matrices multiplied in this way.
    #[must_use]
    pub fn with_fp8(mut self, fp8: Fp8) -> Self {
        self.fp8 = fp8;
        self
    }

    /// Whether there is such a tensor.
    pub fn has(&self, name: &str) -> bool {
        self.weights.has(&self.full(name))
    }

    /// A tensor of this shape.
    pub fn view(&self, name: &str, shape: &[usize]) -> Result<View<'a>, LoadError> {
        self.weights.view(&self.full(name), shape)
    }

    /// A tensor of this shape on the device.
    pub fn tensor<B: Backend>(
        &self,
        backend: &B,
        name: &str,
        shape: &[usize],
    ) -> Result<B::Tensor, LoadError> {
        let values = self.view(name, shape)?.to_f32()?;
        Ok(backend.upload(values, shape)?)
    }

    /// The linear layer whose `weight` and `bias` lie here, with its `LoRA` merged.
    pub fn linear<B: Backend>(
        &self,
        backend: &B,
        inputs: usize,
        outputs: usize,
        bias: Bias,
    ) -> Result<B::Linear, LoadError> {
        backend.prepare_linear(self.linear_weights(inputs, outputs, bias)?)
    }

    /// The same before a device has it.
    pub fn linear_weights(
        &self,
        inputs: usize,
        outputs: usize,
        bias: Bias,
    ) -> Result<LinearWeights, LoadError> {
        let view = self.view("weight", &[outputs, inputs])?;
        let bias = match bias {
            Bias::No => None,
            Bias::Yes => Some(self.view("bias", &[outputs])?.to_f32()?),
        };
        let mut matrix = match view.dtype() {
            // No model of this family is published in F16; its numbers are exact in 32 bits.
            Dtype::F32 | Dtype::F16 => Matrix::F32(view.to_f32()?),
            Dtype::Bf16 => Matrix::Bf16(to_bf16(&view)?),
            Dtype::F8E4M3 => self.scaled(&view, outputs)?,
        };
        if let Some(lora) = &self.weights.lora {
            let module = self.prefix.trim_end_matches('.');
            matrix = lora.merge(module, matrix, [outputs, inputs])?;
        }
        Ok(LinearWeights {
            matrix,
            inputs,
            outputs,
            bias,
        })
    }

    /// The layers below these names that are given the same input, each with the number of its
    /// outputs.
    pub fn linears<B: Backend, const N: usize>(
        &self,
        backend: &B,
        inputs: usize,
        layers: [(&str, usize); N],
        bias: Bias,
    ) -> Result<[B::Linear; N], LoadError> {
        let weights = layers.into_iter().map(|(name, outputs)| {
            let scope = self.at(name);
            scope.linear_weights(inputs, outputs, bias)
        });
        let prepared = backend.prepare_linears(weights.collect::<Result<_, _>>()?)?;
        let prepared = prepared.try_into().ok();
        Ok(prepared.expect("BUG: a layer for each"))
    }

    fn scaled(&self, view: &View<'_>, outputs: usize) -> Result<Matrix, LoadError> {
        let scales = self.view("weight_scale", &[outputs, 1])?;
        let scale = scales.to_f32()?;
        if scale.iter().any(|scale| *scale <= 0.0) {
            return Err(scales.damaged("holds a scale that is not above 0"));
        }
        // The two codes that are not numbers.
        if view.bytes().par_iter().any(|b| b & 0x7f == 0x7f) {
            return Err(view.not_finite());
        }
        let values = view.bytes().par_iter().map(|b| F8E4M3::from_bits(*b));
        let values = values.collect();
        view.count();
        Ok(Matrix::F8 {
            values,
            scale,
            mode: self.fp8,
        })
    }

    /// The convolution whose `weight` and `bias` lie here, `[out, in, kernel, kernel]`.
    pub fn conv<B: Backend>(
        &self,
        backend: &B,
        shape: [usize; 4],
        bias: Bias,
        conv: ConvShape,
    ) -> Result<B::Conv, LoadError> {
        let weight = self.view("weight", &shape)?.to_f32()?;
        let bias = match bias {
            Bias::No => None,
            Bias::Yes => Some(self.view("bias", &shape[..1])?.to_f32()?),
        };
        Ok(backend.prepare_conv(weight, shape, bias, conv)?)
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// Whether a layer adds a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bias {
    /// It does.
    Yes,
    /// It does not.
    No,
}

fn to_bf16(view: &View<'_>) -> Result<Vec<bf16>, LoadError> {
    // On every core: of a mapped file, this is what reads it from the disk.
    let (pairs, _) = view.bytes().as_chunks::<2>();
    let values: Vec<bf16> = pairs.par_iter().map(|b| bf16::from_le_bytes(*b)).collect();
    if values.par_iter().all(|value| value.is_finite()) {
        view.count();
        Ok(values)
    } else {
        Err(view.not_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_padded_is_zero() {
        let layer = LinearWeights {
            matrix: Matrix::F32(vec![1.0, 2.0, 3.0, 4.0]),
            inputs: 2,
            outputs: 2,
            bias: Some(vec![5.0, 6.0]),
        };
        let padded = layer.padded(3, 4);
        assert_eq!((padded.inputs, padded.outputs), (3, 4));
        let Matrix::F32(values) = padded.matrix else {
            panic!("it is of another type");
        };
        let expected = [1.0, 2.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(values, expected);
        assert_eq!(padded.bias, Some(vec![5.0, 6.0, 0.0, 0.0]));
    }

    #[test]
    fn rows_of_zeros_in_fp8_have_a_scale() {
        let one = F8E4M3::from_f32(1.0);
        let layer = LinearWeights {
            matrix: Matrix::F8 {
                values: vec![one; 4],
                scale: vec![0.5, 0.25],
                mode: Fp8::Dynamic,
            },
            inputs: 2,
            outputs: 2,
            bias: None,
        };
        let padded = layer.padded(2, 3);
        let Matrix::F8 { values, scale, .. } = padded.matrix else {
            panic!("it is of another type");
        };
        assert_eq!(values, [one, one, one, one, F8E4M3::ZERO, F8E4M3::ZERO]);
        assert_eq!(scale, [0.5, 0.25, 1.0]);
        assert_eq!(padded.bias, None);
    }
}
