//! How a device does the maths.
//!
//! The models say *what* is computed, in the terms of [`Backend`]; an implementation says *how*.
//! The operations are coarse, so that a device can fuse what belongs together, and there is one
//! for each thing that the models do, not one for each thing that tensors can do.
//!
//! Activations of a sequence are matrices, one row a token: `[tokens, width]`; heads lie side by
//! side in a row. Activations of a picture are `[height, width, channels]`, so that a picture is a
//! sequence of its pixels, and a convolution of one pixel a linear layer. There is no batch
//! dimension: a job is one picture.

mod cpu;
pub mod cuda;

use std::ops::Range;

pub(crate) use cpu::picture::{Between, to_byte};
pub use cpu::{Cpu, CpuConv, CpuLinear};

use crate::{
    error::{ComputeError, LoadError},
    weights::{Dtype, LinearWeights},
};

/// What stands between a linear layer and its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// Nothing.
    None,
    /// `x · sigmoid(x)`.
    Silu,
    /// GELU by the error function.
    GeluErf,
    /// GELU by its approximation with tanh.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

/// Which numbers of a head are turned together by a rotary embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pairing {
    /// `2i` with `2i + 1`.
    Interleaved,
    /// `i` with `i + width / 2`.
    Halves,
}

/// Angles of a rotary embedding: `[tokens, head_width / 2]` each, of the angle's cosine and sine.
#[derive(Debug, Clone)]
pub struct Rotary<T> {
    /// Cosines.
    pub cos: T,
    /// Sines.
    pub sin: T,
    /// What is turned together.
    pub pairing: Pairing,
}

/// Which keys a query sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visible<'a> {
    /// All of them.
    All,
    /// Those up to its own position.
    Causal,
    /// Those of its own block. Block `i` is tokens `ends[i - 1]..ends[i]`, the first starts at 0,
    /// the last end is the number of tokens.
    Blocks(&'a [usize]),
}

/// The form of an attention.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// Heads of the queries.
    pub heads: usize,
    /// Heads of keys and values; divides `heads`, each serves that many neighbours.
    pub kv_heads: usize,
    /// What scores are multiplied with before the softmax.
    pub scale: f32,
    /// Which keys a query sees.
    pub visible: Visible<'a>,
}

/// Rows that say, per feature, how tokens are modulated: token `t` of the first [`Self::split`]
/// takes row 0 of `rows`, every later one takes the last row.
#[derive(Debug)]
pub struct Modulation<'a, T> {
    /// `[1 or 2, width]`.
    pub rows: &'a T,
    /// How many tokens take the first row.
    pub split: usize,
}

// Not derived: that would ask for `T: Clone`, and only a reference is held.
impl<T> Clone for Modulation<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Modulation<'_, T> {}

/// How a convolution steps over a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvShape {
    /// Step, the same in both directions.
    pub stride: usize,
    /// Zeros around the picture: left, right, top, bottom.
    pub padding: [usize; 4],
    /// 1, or the number of channels for a depthwise convolution.
    pub groups: usize,
}

impl ConvShape {
    /// Step 1 with `n` zeros on each side.
    pub const fn same(n: usize) -> Self {
        Self {
            stride: 1,
            padding: [n; 4],
            groups: 1,
        }
    }
}

type Result<T> = std::result::Result<T, ComputeError>;

/// A device's way of doing the maths.
///
/// Shapes that do not fit are a mistake of the caller and panic; errors are the device's.
pub trait Backend: Send + Sync + 'static {
    /// Activations on the device. Cloning shares them.
    type Tensor: Clone + Send;
    /// The weights of a linear layer, prepared for the device.
    type Linear: Send;
    /// The weights of a convolution, prepared for the device.
    type Conv: Send;

    /// A name such as `cpu`.
    fn name(&self) -> &'static str;

    /// As how many numbers it would rather have the `width` that are inside an MLP: where there are
    /// more, the weights are padded with zeros.
    fn padded_width(&self, width: usize) -> usize {
        width
    }

    /// Bytes of the device's own memory that are free. Nothing of one that computes in the machine's.
    fn free_memory(&self) -> Option<u64> {
        None
    }

    /// Bytes that a tensor of a checkpoint takes once it is loaded.
    fn bytes_of(&self, dtype: Dtype, shape: &[usize]) -> u64 {
        (shape.iter().product::<usize>() * dtype.size()) as u64
    }

    /// Puts values, row by row, on the device.
    fn upload(&self, values: Vec<f32>, shape: &[usize]) -> Result<Self::Tensor>;
    /// Fetches values, row by row.
    fn download(&self, tensor: &Self::Tensor) -> Result<Vec<f32>>;
    /// Fetches a picture of about -1..1 as bytes, number by number: what is outside is cut off,
    /// halves go to even. For a device that can make them where the picture lies, a quarter of
    /// what would be fetched.
    fn to_bytes(&self, picture: &Self::Tensor) -> Result<Vec<u8>> {
        Ok(self.download(picture)?.into_iter().map(to_byte).collect())
    }
    /// The shape.
    fn shape(&self, tensor: &Self::Tensor) -> Vec<usize>;

    /// Prepares a linear layer.
    fn prepare_linear(
        &self,
        weights: LinearWeights,
    ) -> std::result::Result<Self::Linear, LoadError>;
    /// Prepares linear layers that are given the same input, in this order, so that a device can
    /// make one of them.
    fn prepare_linears(
        &self,
        layers: Vec<LinearWeights>,
    ) -> std::result::Result<Vec<Self::Linear>, LoadError> {
        let layers = layers.into_iter();
        layers.map(|weights| self.prepare_linear(weights)).collect()
    }
    /// Has these computed, so that neither what they are made of is kept for them nor they are
    /// computed with what needs them. Nothing to do for a device that computes at once.
    fn settle(&self, _tensors: &[&Self::Tensor]) -> Result<()> {
        Ok(())
    }
    /// Prepares a convolution from `[out, in / groups, kernel, kernel]` and `[out]`.
    fn prepare_conv(
        &self,
        weight: Vec<f32>,
        shape: [usize; 4],
        bias: Option<Vec<f32>>,
        conv: ConvShape,
    ) -> Result<Self::Conv>;

    /// `activation(x · Wᵀ + b)`: `[n, in] → [n, out]`.
    fn linear(
        &self,
        x: &Self::Tensor,
        linear: &Self::Linear,
        activation: Activation,
    ) -> Result<Self::Tensor>;
    /// `activation(x)`, number by number.
    fn activate(&self, x: &Self::Tensor, activation: Activation) -> Result<Self::Tensor>;
    /// `silu(gate) · up`, number by number.
    fn swiglu(&self, gate: &Self::Tensor, up: &Self::Tensor) -> Result<Self::Tensor>;

    /// `x / rms(x) · weight` over groups of `weight`'s length along each row: `[n, k·d]`, `[d]`.
    fn rms_norm(&self, x: &Self::Tensor, weight: &Self::Tensor, eps: f32) -> Result<Self::Tensor>;
    /// `(x - mean) / std · weight + bias` along each row: `[n, d]`, `[d]`, `[d]`.
    fn layer_norm(
        &self,
        x: &Self::Tensor,
        weight: &Self::Tensor,
        bias: &Self::Tensor,
        eps: f32,
    ) -> Result<Self::Tensor>;
    /// `(x - mean) / std · (1 + scale) + shift` along each row, `[n, d]`.
    fn modulated_norm(
        &self,
        x: &Self::Tensor,
        shift: Modulation<'_, Self::Tensor>,
        scale: Modulation<'_, Self::Tensor>,
        eps: f32,
    ) -> Result<Self::Tensor>;
    /// `x + gate · y`, `[n, d]` each.
    fn add_gated(
        &self,
        x: &Self::Tensor,
        y: &Self::Tensor,
        gate: Modulation<'_, Self::Tensor>,
    ) -> Result<Self::Tensor>;
    /// `x + y`, of the same shape.
    fn add(&self, x: &Self::Tensor, y: &Self::Tensor) -> Result<Self::Tensor>;

    /// Turns each of `heads` heads of each row: `[n, heads · width]`.
    fn rotate(
        &self,
        x: &Self::Tensor,
        heads: usize,
        rotary: &Rotary<Self::Tensor>,
    ) -> Result<Self::Tensor>;
    /// `softmax(q · kᵀ · scale) · v` per head: `[n, heads·w]`, `[m, kv_heads·w]` twice → `[n, heads·w]`.
    /// The scores are never held whole.
    fn attend(
        &self,
        q: &Self::Tensor,
        k: &Self::Tensor,
        v: &Self::Tensor,
        attention: Attention<'_>,
    ) -> Result<Self::Tensor>;

    /// One after the other, along rows (the first dimension).
    fn concat(&self, parts: &[&Self::Tensor]) -> Result<Self::Tensor>;
    /// Some of the rows (of the first dimension).
    fn rows(&self, x: &Self::Tensor, rows: Range<usize>) -> Result<Self::Tensor>;
    /// Some of the columns of a matrix: `[n, d] → [n, columns]`.
    fn columns(&self, x: &Self::Tensor, columns: Range<usize>) -> Result<Self::Tensor>;
    /// The rows `order[0]`, `order[1]`, …
    fn gather(&self, x: &Self::Tensor, order: &[usize]) -> Result<Self::Tensor>;
    /// The same values, row by row, in another shape.
    fn reshape(&self, x: &Self::Tensor, shape: &[usize]) -> Result<Self::Tensor>;

    /// A convolution: `[h, w, c] → [h', w', out]`.
    fn conv(&self, x: &Self::Tensor, conv: &Self::Conv) -> Result<Self::Tensor>;
    /// `activation(x / max(‖x‖₂, 1e-12) · √c · gamma)` with the norm over channels:
    /// `[h, w, c]`, `[c]`.
    fn channel_norm(
        &self,
        x: &Self::Tensor,
        gamma: &Self::Tensor,
        activation: Activation,
    ) -> Result<Self::Tensor>;
    /// Twice as wide and high, each pixel four times.
    fn upsample(&self, x: &Self::Tensor) -> Result<Self::Tensor>;
    /// Bilinear, corners not aligned, to another width and height.
    fn resize(&self, x: &Self::Tensor, width: usize, height: usize) -> Result<Self::Tensor>;
}
