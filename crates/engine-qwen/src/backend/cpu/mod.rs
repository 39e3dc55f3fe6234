//! The reference: 32-bit arithmetic on any CPU, spread over its cores.
//!
//! Products are those of the `gemm` crate; what the tensor library would do on one core, or with a
//! copy for every step, is done here in one pass over rows.

mod attention;
mod conv;
mod elementwise;
mod linear;
mod math;
mod matmul;
mod norm;
mod order;
pub(super) mod picture;
mod tensor;

use std::ops::Range;

use candle_core::Tensor;

use self::tensor::values;
pub use self::{conv::CpuConv, linear::CpuLinear};
use super::{Activation, Attention, Backend, ConvShape, Modulation, Result, Rotary};
use crate::{error::LoadError, weights::LinearWeights};

/// The CPU, every core of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu;

impl Backend for Cpu {
    type Tensor = Tensor;
    type Linear = CpuLinear;
    type Conv = CpuConv;

    fn name(&self) -> &'static str {
        "cpu"
    }

    fn upload(&self, values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
        tensor::tensor(values, shape)
    }

    fn download(&self, tensor: &Tensor) -> Result<Vec<f32>> {
        Ok(values(tensor).to_vec())
    }

    fn shape(&self, tensor: &Tensor) -> Vec<usize> {
        tensor.dims().to_vec()
    }

    fn prepare_linear(&self, weights: LinearWeights) -> std::result::Result<CpuLinear, LoadError> {
        CpuLinear::new(weights)
    }

    fn prepare_conv(
        &self,
        weight: Vec<f32>,
        shape: [usize; 4],
        bias: Option<Vec<f32>>,
        conv: ConvShape,
    ) -> Result<CpuConv> {
        Ok(CpuConv::new(&weight, shape, bias, conv))
    }

    fn linear(&self, x: &Tensor, linear: &CpuLinear, activation: Activation) -> Result<Tensor> {
        linear.forward(x, activation)
    }

    fn activate(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        elementwise::activated(x, activation)
    }

    fn swiglu(&self, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
        elementwise::combine(gate, up, |gate, up| math::silu(gate) * up)
    }

    fn rms_norm(&self, x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
        norm::rms_norm(x, weight, eps)
    }

    fn layer_norm(&self, x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f32) -> Result<Tensor> {
        norm::layer_norm(x, weight, bias, eps)
    }

    fn modulated_norm(
        &self,
        x: &Tensor,
        shift: Modulation<'_, Tensor>,
        scale: Modulation<'_, Tensor>,
        eps: f32,
    ) -> Result<Tensor> {
        norm::modulated_norm(x, shift, scale, eps)
    }

    fn add_gated(&self, x: &Tensor, y: &Tensor, gate: Modulation<'_, Tensor>) -> Result<Tensor> {
        norm::add_gated(x, y, gate)
    }

    fn add(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        elementwise::combine(x, y, |x, y| x + y)
    }

    fn rotate(&self, x: &Tensor, heads: usize, rotary: &Rotary<Tensor>) -> Result<Tensor> {
        order::rotate(x, heads, rotary)
    }

    fn attend(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        attention: Attention<'_>,
    ) -> Result<Tensor> {
        attention::attend(q, k, v, attention)
    }

    fn concat(&self, parts: &[&Tensor]) -> Result<Tensor> {
        Ok(Tensor::cat(parts, 0)?)
    }

    fn rows(&self, x: &Tensor, rows: Range<usize>) -> Result<Tensor> {
        Ok(x.narrow(0, rows.start, rows.len())?)
    }

    fn columns(&self, x: &Tensor, columns: Range<usize>) -> Result<Tensor> {
        order::columns(x, columns)
    }

    fn gather(&self, x: &Tensor, order: &[usize]) -> Result<Tensor> {
        order::gather(x, order)
    }

    fn reshape(&self, x: &Tensor, shape: &[usize]) -> Result<Tensor> {
        Ok(x.reshape(shape)?)
    }

    fn conv(&self, x: &Tensor, conv: &CpuConv) -> Result<Tensor> {
        conv.forward(x)
    }

    fn channel_norm(&self, x: &Tensor, gamma: &Tensor, activation: Activation) -> Result<Tensor> {
        norm::channel_norm(x, gamma, activation)
    }

    fn upsample(&self, x: &Tensor) -> Result<Tensor> {
        picture::upsample(x)
    }

    fn resize(&self, x: &Tensor, width: usize, height: usize) -> Result<Tensor> {
        picture::resize(x, width, height)
    }
}
