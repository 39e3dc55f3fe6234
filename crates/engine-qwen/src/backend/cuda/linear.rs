//! Weights as a device keeps them.

use std::{ops::Range, sync::Arc};

use float8::F8E4M3;
use half::bf16;
use rayon::prelude::*;

use super::{
    command::{Element, Scales},
    device::{Device, DeviceError},
    pool::Pool,
    trace::Stored,
};
use crate::weights::{Fp8, LinearWeights, Matrix};

/// The weights of a linear layer: some rows of a matrix that others may share.
pub struct CudaLinear {
    pub(super) pack: Arc<Pack>,
    pub(super) part: Range<usize>,
}

/// The weights of layers that are given the same input, one after the other in memory, so that they
/// can be one product.
pub(super) struct Pack {
    /// `[outputs of all, inputs]`.
    pub(super) matrix: Stored,
    pub(super) bias: Option<Stored>,
    /// Of FP8, one for each output.
    pub(super) outputs: Option<Stored>,
    pub(super) scales: Scales,
    pub(super) inputs: usize,
}

/// The weights of a convolution.
pub struct CudaConv {
    pub(super) matrix: Stored,
    pub(super) bias: Option<Stored>,
    pub(super) shape: super::super::ConvShape,
    pub(super) kernel: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

/// How a matrix is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Form {
    /// Of the matrix in memory.
    element: Element,
    scales: Scales,
    bias: bool,
    inputs: usize,
}

/// Puts numbers of the storage type on a device.
pub(super) struct Store<'a, D: Device> {
    pub(super) device: &'a D,
    pub(super) pool: &'a Arc<Pool<D>>,
    /// The type of activations.
    pub(super) storage: Element,
    /// Whether layers that narrow, an MLP's second, multiply in FP8 too.
    pub(super) narrowing: bool,
}

impl<D: Device> Store<'_, D> {
    /// Layers of one input. Neighbours that are kept in the same form share a matrix.
    pub(super) fn linears(&self, layers: &[LinearWeights]) -> Result<Vec<CudaLinear>, DeviceError> {
        let mut prepared = Vec::with_capacity(layers.len());
        for alike in layers.chunk_by(|one, next| self.form(one) == self.form(next)) {
            prepared.extend(self.pack(alike)?);
        }
        Ok(prepared)
    }

    /// FP8 with quantised activations where the device can; elsewhere FP8 weights are numbers of
    /// the storage type, which holds them exactly, and their scales come after the product.
    fn form(&self, weights: &LinearWeights) -> Form {
        let (element, scales) = match &weights.matrix {
            Matrix::F32(_) | Matrix::Bf16(_) => (self.storage, Scales::None),
            Matrix::F8 { mode, .. } => match mode {
                Fp8::Dynamic if self.multiplies_in_fp8(weights.inputs, weights.outputs) => {
                    (Element::F8, Scales::Both)
                }
                Fp8::Dynamic | Fp8::WeightOnly => (self.storage, Scales::Outputs),
            },
        };
        Form {
            element,
            scales,
            bias: weights.bias.is_some(),
            inputs: weights.inputs,
        }
    }

    /// Whether a layer of this form does, if its weights are in FP8.
    pub(super) fn multiplies_in_fp8(&self, inputs: usize, outputs: usize) -> bool {
        self.device.has_fp8() && (self.narrowing || inputs <= outputs)
    }

    fn pack(&self, layers: &[LinearWeights]) -> Result<Vec<CudaLinear>, DeviceError> {
        let form = self.form(&layers[0]);
        let total: usize = layers.iter().map(|layer| layer.outputs).sum();
        let row = form.inputs * form.element.size();
        let memory = self.pool.take(total * row)?;
        let (mut bias, mut scales) = (Vec::new(), Vec::new());
        let mut parts = Vec::with_capacity(layers.len());
        let mut first = 0;
        for layer in layers {
            let at = memory.at() + (first * row) as u64;
            self.device
                .write(at, &bytes_of(&layer.matrix, form.element))?;
            bias.extend_from_slice(layer.bias.as_deref().unwrap_or_default());
            if let Matrix::F8 { scale, .. } = &layer.matrix {
                scales.extend_from_slice(scale);
            }
            parts.push(first..first + layer.outputs);
            first += layer.outputs;
        }
        let vector = |values: Vec<f32>, element| {
            let there = !values.is_empty();
            there
                .then(|| self.numbers(&values, element, &[values.len()]))
                .transpose()
        };
        let pack = Arc::new(Pack {
            matrix: Stored::new(memory, form.element, &[total, form.inputs]),
            bias: vector(bias, self.storage)?,
            outputs: vector(scales, Element::F32)?,
            scales: form.scales,
            inputs: form.inputs,
        });
        let layer = |part| CudaLinear {
            pack: Arc::clone(&pack),
            part,
        };
        Ok(parts.into_iter().map(layer).collect())
    }

    /// A convolution's weights: channels of the input last, as they lie in a picture.
    pub(super) fn conv(
        &self,
        weight: &[f32],
        [outputs, inputs, kernel, _]: [usize; 4],
        bias: Option<Vec<f32>>,
        shape: super::super::ConvShape,
    ) -> Result<CudaConv, DeviceError> {
        let depthwise = shape.groups > 1;
        let area = kernel * kernel;
        let mut own = vec![0.0; weight.len()];
        for (at, value) in weight.iter().enumerate() {
            let (output, input, place) = (at / area / inputs, at / area % inputs, at % area);
            let to = if depthwise {
                place * outputs + output
            } else {
                (output * area + place) * inputs + input
            };
            own[to] = *value;
        }
        let form = if depthwise {
            [area, outputs]
        } else {
            [outputs, area * inputs]
        };
        let bias = bias.map(|bias| self.numbers(&bias, Element::F32, &[bias.len()]));
        Ok(CudaConv {
            matrix: self.numbers(&own, self.storage, &form)?,
            bias: bias.transpose()?,
            shape,
            kernel,
            inputs: inputs * shape.groups,
            outputs,
        })
    }

    /// Numbers in this type.
    pub(super) fn numbers(
        &self,
        values: &[f32],
        element: Element,
        shape: &[usize],
    ) -> Result<Stored, DeviceError> {
        self.put(&narrow(values, element), element, shape)
    }

    /// Bytes as they are.
    pub(super) fn put(
        &self,
        bytes: &[u8],
        element: Element,
        shape: &[usize],
    ) -> Result<Stored, DeviceError> {
        let memory = self.pool.take(bytes.len())?;
        self.device.write(memory.at(), bytes)?;
        Ok(Stored::new(memory, element, shape))
    }
}

/// Numbers that one thread converts at a time.
const CHUNK: usize = 1 << 16;

/// Each number as bytes, one after the other.
fn each<T: Sync, const N: usize>(values: &[T], bytes_of: fn(&T) -> [u8; N]) -> Vec<u8> {
    let mut bytes = vec![0; values.len() * N];
    let chunks = bytes
        .par_chunks_mut(CHUNK * N)
        .zip(values.par_chunks(CHUNK));
    chunks.for_each(|(bytes, values)| {
        let (bytes, _) = bytes.as_chunks_mut::<N>();
        for (bytes, value) in bytes.iter_mut().zip(values) {
            *bytes = bytes_of(value);
        }
    });
    bytes
}

/// Numbers as bytes.
pub(super) fn narrow(values: &[f32], element: Element) -> Vec<u8> {
    match element {
        Element::F32 => each(values, |value| value.to_le_bytes()),
        Element::Bf16 => each(values, |value| bf16::from_f32(*value).to_le_bytes()),
        Element::F8 | Element::U32 | Element::U8 => {
            unreachable!("BUG: these are made of something else")
        }
    }
}

/// Bytes as numbers.
pub(super) fn widen(bytes: &[u8], element: Element) -> Vec<f32> {
    match element {
        Element::F32 => {
            let (numbers, _) = bytes.as_chunks::<4>();
            numbers.iter().map(|b| f32::from_le_bytes(*b)).collect()
        }
        Element::Bf16 => {
            let (numbers, _) = bytes.as_chunks::<2>();
            let numbers = numbers.iter().map(|b| bf16::from_le_bytes(*b));
            numbers.map(bf16::to_f32).collect()
        }
        Element::F8 => {
            let numbers = bytes.iter().map(|b| F8E4M3::from_bits(*b));
            numbers.map(|number| number.to_f32()).collect()
        }
        Element::U8 => bytes.iter().copied().map(f32::from).collect(),
        Element::U32 => unreachable!("BUG: orders are no numbers"),
    }
}

/// A matrix in this type.
fn bytes_of(matrix: &Matrix, element: Element) -> Vec<u8> {
    match (matrix, element) {
        (Matrix::F32(values), _) => narrow(values, element),
        (Matrix::Bf16(values), Element::Bf16) => each(values, |value| value.to_le_bytes()),
        (Matrix::Bf16(values), _) => each(values, |value| value.to_f32().to_le_bytes()),
        (Matrix::F8 { values, .. }, Element::F8) => each(values, |value| [value.to_bits()]),
        // Exact in 16 bits too.
        (Matrix::F8 { values, .. }, Element::Bf16) => {
            each(values, |value| bf16::from_f32(value.to_f32()).to_le_bytes())
        }
        (Matrix::F8 { values, .. }, _) => each(values, |value| value.to_f32().to_le_bytes()),
    }
}
