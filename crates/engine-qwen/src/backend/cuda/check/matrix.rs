//! Matrices on a device, and what the reference is given instead.

use super::super::{
    command::{Element, Operand},
    device::{Device, DeviceError},
    linear::{narrow, widen},
};
use crate::{
    backend::{Backend as _, Cpu},
    error::ComputeError,
};

/// A tensor of the reference.
pub(super) type Tensor = candle_core::Tensor;

/// Numbers between -2 and 2, the same every time.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / 4_194_304.0 - 2.0
    };
    (0..count).map(next).collect()
}

/// A matrix on a device, with room between rows if asked for, which is not a number.
pub(super) struct Matrix<'a, D: Device> {
    device: &'a D,
    pub(super) operand: Operand,
    /// As the reference is given them: rounded to the type.
    pub(super) values: Vec<f32>,
}

/// How a matrix lies in memory.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// Rows and width.
    pub(super) size: [usize; 2],
    /// Numbers between rows.
    pub(super) gap: usize,
    pub(super) element: Element,
}

impl Form {
    pub(super) fn dense(size: [usize; 2], element: Element) -> Self {
        Self {
            size,
            gap: 0,
            element,
        }
    }

    pub(super) fn with_gap(self, gap: usize) -> Self {
        Self { gap, ..self }
    }
}

impl<'a, D: Device> Matrix<'a, D> {
    pub(super) fn of(device: &'a D, values: &[f32], form: Form) -> Result<Self, DeviceError> {
        let [rows, width] = form.size;
        let stride = width + form.gap;
        let mut wide = vec![f32::NAN; rows * stride];
        let pairs = wide
            .chunks_exact_mut(stride)
            .zip(values.chunks_exact(width));
        for (to, from) in pairs {
            to[..width].copy_from_slice(from);
        }
        let bytes = match form.element {
            Element::F8 | Element::U8 => vec![0; wide.len()],
            element => narrow(&wide, element),
        };
        let values = widen(&bytes, form.element);
        let values = values.chunks_exact(stride).flat_map(|row| &row[..width]);
        let this = Self {
            device,
            operand: Operand {
                at: device.allocate(bytes.len())?,
                element: form.element,
                rows,
                width,
                stride,
            },
            values: values.copied().collect(),
        };
        device.write(this.operand.at, &bytes)?;
        Ok(this)
    }

    pub(super) fn random(device: &'a D, form: Form, seed: u64) -> Result<Self, DeviceError> {
        Self::of(device, &numbers(form.size[0] * form.size[1], seed), form)
    }

    /// To be written.
    pub(super) fn blank(device: &'a D, form: Form) -> Result<Self, DeviceError> {
        let count = form.size[0] * form.size[1];
        Self::of(device, &vec![f32::NAN; count], form)
    }

    /// A row of whole numbers.
    pub(super) fn indices(device: &'a D, values: &[usize]) -> Result<Self, DeviceError> {
        let bits: Vec<f32> = values.iter().map(|i| f32::from_bits(*i as u32)).collect();
        let form = Form::dense([1, values.len()], Element::F32);
        let mut matrix = Self::of(device, &bits, form)?;
        matrix.operand.element = Element::U32;
        Ok(matrix)
    }

    /// Codes of FP8.
    pub(super) fn codes(
        device: &'a D,
        codes: &[u8],
        size: [usize; 2],
    ) -> Result<Self, DeviceError> {
        let mut matrix = Self::blank(device, Form::dense(size, Element::F8))?;
        device.write(matrix.operand.at, codes)?;
        matrix.values = widen(codes, Element::F8);
        Ok(matrix)
    }

    /// The bytes that lie there now.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, DeviceError> {
        let operand = self.operand;
        let mut bytes = vec![0; operand.rows * operand.stride * operand.element.size()];
        self.device.read(operand.at, &mut bytes)?;
        Ok(bytes)
    }

    /// The numbers that lie there now.
    pub(super) fn read(&self) -> Result<Vec<f32>, DeviceError> {
        let all = widen(&self.bytes()?, self.operand.element);
        let rows = all.chunks_exact(self.operand.stride);
        let rows = rows.flat_map(|row| &row[..self.operand.width]);
        Ok(rows.copied().collect())
    }

    pub(super) fn tensor(&self) -> Result<Tensor, ComputeError> {
        self.shaped(&[self.operand.rows, self.operand.width])
    }

    /// A row as a vector.
    pub(super) fn vector(&self) -> Result<Tensor, ComputeError> {
        self.shaped(&[self.values.len()])
    }

    pub(super) fn shaped(&self, shape: &[usize]) -> Result<Tensor, ComputeError> {
        Cpu.upload(self.values.clone(), shape)
    }
}

impl<D: Device> Drop for Matrix<'_, D> {
    fn drop(&mut self) {
        let operand = self.operand;
        let bytes = operand.rows * operand.stride * operand.element.size();
        self.device.free(operand.at, bytes);
    }
}
