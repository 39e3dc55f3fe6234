//! Linear layers with weights in the type that they are stored in.

use candle_core::Tensor;
use rayon::prelude::*;

use super::{
    Activation, Result,
    elementwise::activate,
    matmul::{Mat, Spread, Target, multiply},
    tensor::{blank, tensor, values, width},
};
use crate::{
    error::LoadError,
    fp8,
    weights::{Fp8, LinearWeights, Matrix},
};

/// Numbers of a matrix that are widened at a time: 16 MiB of them.
const TILE: usize = 4 << 20;

/// A linear layer.
#[derive(Debug)]
pub struct CpuLinear {
    matrix: Matrix,
    inputs: usize,
    outputs: usize,
    bias: Option<Vec<f32>>,
}

impl CpuLinear {
    #[expect(clippy::unnecessary_wraps, reason = "of a kind with other backends")]
    pub(super) fn new(weights: LinearWeights) -> std::result::Result<Self, LoadError> {
        let LinearWeights {
            matrix,
            inputs,
            outputs,
            bias,
        } = weights;
        Ok(Self {
            matrix,
            inputs,
            outputs,
            bias,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        assert_eq!(width(x), self.inputs, "BUG: a row has another width");
        let input = values(x);
        let rows = input.len() / self.inputs;
        let mut y = blank(rows * self.outputs);
        match &self.matrix {
            Matrix::F32(weights) => {
                let into = Target {
                    values: &mut y,
                    stride: self.outputs,
                    add: false,
                };
                let left = Mat::new(&input, rows, self.inputs, self.inputs);
                let right = Mat::new(weights, self.outputs, self.inputs, self.inputs);
                multiply(into, left, right.transposed(), Spread::Cores);
                self.finish(&mut y, Scales::None, activation);
            }
            Matrix::Bf16(weights) => {
                self.tiled(&input, &mut y, weights, half::bf16::to_f32);
                self.finish(&mut y, Scales::None, activation);
            }
            Matrix::F8 {
                values: weights,
                scale,
                mode: Fp8::WeightOnly,
            } => {
                self.tiled(&input, &mut y, weights, |value| value.to_f32());
                self.finish(&mut y, Scales::Outputs(scale), activation);
            }
            Matrix::F8 {
                values: weights,
                scale,
                mode: Fp8::Dynamic,
            } => {
                let (quantised, row_scales) = quantise(&input, self.inputs);
                self.tiled(&quantised, &mut y, weights, |value| value.to_f32());
                self.finish(&mut y, Scales::Both(&row_scales, scale), activation);
            }
        }
        let mut shape = x.dims().to_vec();
        *shape.last_mut().expect("BUG: a tensor has a dimension") = self.outputs;
        tensor(y, &shape)
    }

    /// `x · Wᵀ` with `W` widened a few rows at a time, so that it is never whole in 32 bits.
    fn tiled<T: Copy + Sync>(&self, x: &[f32], y: &mut [f32], matrix: &[T], widen: fn(T) -> f32) {
        let rows = x.len() / self.inputs;
        let tile_rows = (TILE / self.inputs).clamp(1, self.outputs);
        let mut wide = blank(tile_rows * self.inputs);
        for (tile, narrow) in matrix.chunks(tile_rows * self.inputs).enumerate() {
            let wide = &mut wide[..narrow.len()];
            let pairs = wide.par_chunks_mut(1 << 16).zip(narrow.par_chunks(1 << 16));
            pairs.for_each(|(wide, narrow)| {
                for (wide, narrow) in wide.iter_mut().zip(narrow) {
                    *wide = widen(*narrow);
                }
            });
            let count = narrow.len() / self.inputs;
            let into = Target {
                values: &mut y[tile * tile_rows..],
                stride: self.outputs,
                add: false,
            };
            let left = Mat::new(x, rows, self.inputs, self.inputs);
            let right = Mat::new(wide, count, self.inputs, self.inputs);
            multiply(into, left, right.transposed(), Spread::Cores);
        }
    }

    /// Scales, bias and activation, in one pass.
    fn finish(&self, y: &mut [f32], scales: Scales<'_>, activation: Activation) {
        if self.bias.is_none() && matches!(scales, Scales::None) && activation == Activation::None {
            return;
        }
        y.par_chunks_mut(self.outputs)
            .enumerate()
            .for_each(|(row, y)| {
                match scales {
                    Scales::None => {}
                    Scales::Outputs(outputs) => scale(y, outputs, 1.0),
                    Scales::Both(rows, outputs) => scale(y, outputs, rows[row]),
                }
                if let Some(bias) = &self.bias {
                    y.iter_mut().zip(bias).for_each(|(y, bias)| *y += bias);
                }
                activate(y, activation);
            });
    }
}

/// What a product is to be multiplied with.
#[derive(Clone, Copy)]
enum Scales<'a> {
    None,
    /// A number for each output.
    Outputs(&'a [f32]),
    /// One for each row, and one for each output.
    Both(&'a [f32], &'a [f32]),
}

fn scale(y: &mut [f32], outputs: &[f32], row: f32) {
    for (y, output) in y.iter_mut().zip(outputs) {
        *y = *y * row * output;
    }
}

/// Rows as FP8 has them, in 32 bits and not scaled back, and the scale of each.
fn quantise(x: &[f32], width: usize) -> (Vec<f32>, Vec<f32>) {
    let mut quantised = blank(x.len());
    let rows = quantised.par_chunks_mut(width).zip(x.par_chunks(width));
    let scales = rows.map(|(quantised, x)| {
        let scale = fp8::activation_scale(x);
        for (quantised, x) in quantised.iter_mut().zip(x) {
            *quantised = fp8::quantise(x / scale).to_f32();
        }
        scale
    });
    let scales = scales.collect();
    (quantised, scales)
}
