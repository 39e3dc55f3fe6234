//! What encoder and decoder are built of.
//!
//! The published weights are of causal 3-D convolutions over the frames of a video. Before the
//! first frame there is nothing but zeros, so of a single picture only the last tap in time meets
//! data, and each convolution is one over the picture. The layers that resample time never act.

use crate::{
    backend::{Activation, Attention, Backend, ConvShape, Visible},
    error::{ComputeError, LoadError},
    weights::{Bias, LinearWeights, Matrix, Scope},
};

/// A convolution with the weights that lie at `scope`, `[out, in, taps, kernel, kernel]`.
pub(super) fn causal_conv<B: Backend>(
    backend: &B,
    scope: &Scope<'_>,
    [outputs, inputs, kernel]: [usize; 3],
) -> Result<B::Conv, LoadError> {
    let view = scope.view("weight", &[outputs, inputs, kernel, kernel, kernel])?;
    let area = kernel * kernel;
    let volume = view.to_f32()?;
    let taps = volume.chunks_exact(kernel * area);
    let last: Vec<f32> = taps
        .flat_map(|taps| &taps[(kernel - 1) * area..])
        .copied()
        .collect();
    let bias = scope.view("bias", &[outputs])?.to_f32()?;
    let shape = [outputs, inputs, kernel, kernel];
    let conv = ConvShape::same(kernel / 2);
    Ok(backend.prepare_conv(last, shape, Some(bias), conv)?)
}

/// A norm's `gamma`, stored with a dimension of 1 for each but the channels.
pub(super) fn gamma<B: Backend>(
    backend: &B,
    scope: &Scope<'_>,
    shape: &[usize],
) -> Result<B::Tensor, LoadError> {
    let values = scope.view("gamma", shape)?.to_f32()?;
    Ok(backend.upload(values, &shape[..1])?)
}

/// `QwenImageResidualBlock`.
pub(super) struct Residual<B: Backend> {
    norm1: B::Tensor,
    conv1: B::Conv,
    norm2: B::Tensor,
    conv2: B::Conv,
    shortcut: Option<B::Conv>,
}

impl<B: Backend> Residual<B> {
    pub(super) fn load(
        backend: &B,
        scope: &Scope<'_>,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, LoadError> {
        let shortcut = scope.at("conv_shortcut");
        let shortcut =
            (inputs != outputs).then(|| causal_conv(backend, &shortcut, [outputs, inputs, 1]));
        Ok(Self {
            norm1: gamma(backend, &scope.at("norm1"), &[inputs, 1, 1, 1])?,
            conv1: causal_conv(backend, &scope.at("conv1"), [outputs, inputs, 3])?,
            norm2: gamma(backend, &scope.at("norm2"), &[outputs, 1, 1, 1])?,
            conv2: causal_conv(backend, &scope.at("conv2"), [outputs, outputs, 3])?,
            shortcut: shortcut.transpose()?,
        })
    }

    /// `[h, w, in] → [h, w, out]`.
    pub(super) fn forward(&self, backend: &B, x: &B::Tensor) -> Result<B::Tensor, ComputeError> {
        let y = backend.channel_norm(x, &self.norm1, Activation::Silu)?;
        let y = backend.conv(&y, &self.conv1)?;
        let y = backend.channel_norm(&y, &self.norm2, Activation::Silu)?;
        let y = backend.conv(&y, &self.conv2)?;
        match &self.shortcut {
            None => backend.add(&y, x),
            Some(shortcut) => backend.add(&y, &backend.conv(x, shortcut)?),
        }
    }
}

/// `QwenImageAttentionBlock`: one head over all places of the picture.
pub(super) struct SelfAttention<B: Backend> {
    norm: B::Tensor,
    qkv: B::Linear,
    proj: B::Linear,
    width: usize,
}

impl<B: Backend> SelfAttention<B> {
    fn load(backend: &B, scope: &Scope<'_>, width: usize) -> Result<Self, LoadError> {
        Ok(Self {
            norm: gamma(backend, &scope.at("norm"), &[width, 1, 1])?,
            qkv: pointwise(backend, &scope.at("to_qkv"), width, 3 * width)?,
            proj: pointwise(backend, &scope.at("proj"), width, width)?,
            width,
        })
    }

    /// `[h, w, c] → [h, w, c]`.
    pub(super) fn forward(&self, backend: &B, x: &B::Tensor) -> Result<B::Tensor, ComputeError> {
        let shape = backend.shape(x);
        let normed = backend.channel_norm(x, &self.norm, Activation::None)?;
        let tokens = backend.reshape(&normed, &[shape[0] * shape[1], shape[2]])?;
        let qkv = backend.linear(&tokens, &self.qkv, Activation::None)?;
        let part = |i| backend.columns(&qkv, i * self.width..(i + 1) * self.width);
        let form = Attention {
            heads: 1,
            kv_heads: 1,
            scale: (self.width as f32).sqrt().recip(),
            visible: Visible::All,
        };
        let attended = backend.attend(&part(0)?, &part(1)?, &part(2)?, form)?;
        let projected = backend.linear(&attended, &self.proj, Activation::None)?;
        backend.add(x, &backend.reshape(&projected, &shape)?)
    }
}

/// A convolution of one pixel is a linear layer over pixels.
fn pointwise<B: Backend>(
    backend: &B,
    scope: &Scope<'_>,
    inputs: usize,
    outputs: usize,
) -> Result<B::Linear, LoadError> {
    let matrix = scope.view("weight", &[outputs, inputs, 1, 1])?.to_f32()?;
    let bias = scope.view("bias", &[outputs])?.to_f32()?;
    backend.prepare_linear(LinearWeights {
        matrix: Matrix::F32(matrix),
        inputs,
        outputs,
        bias: Some(bias),
    })
}

/// `QwenImageMidBlock`.
pub(super) struct Middle<B: Backend> {
    before: Residual<B>,
    pub(super) attention: SelfAttention<B>,
    after: Residual<B>,
}

impl<B: Backend> Middle<B> {
    pub(super) fn load(backend: &B, scope: &Scope<'_>, width: usize) -> Result<Self, LoadError> {
        let residual = |name| Residual::load(backend, &scope.at(name), width, width);
        Ok(Self {
            before: residual("resnets.0")?,
            attention: SelfAttention::load(backend, &scope.at("attentions.0"), width)?,
            after: residual("resnets.1")?,
        })
    }

    /// What the attention gives, and what comes out.
    pub(super) fn forward(
        &self,
        backend: &B,
        x: &B::Tensor,
    ) -> Result<(B::Tensor, B::Tensor), ComputeError> {
        let x = self.before.forward(backend, x)?;
        let attended = self.attention.forward(backend, &x)?;
        let out = self.after.forward(backend, &attended)?;
        Ok((attended, out))
    }
}

/// `norm_out`, `SiLU`, `conv_out`: the end of encoder and decoder.
pub(super) struct Head<B: Backend> {
    pub(super) norm: B::Tensor,
    pub(super) conv: B::Conv,
}

impl<B: Backend> Head<B> {
    pub(super) fn load(
        backend: &B,
        scope: &Scope<'_>,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            norm: gamma(backend, &scope.at("norm_out"), &[inputs, 1, 1, 1])?,
            conv: causal_conv(backend, &scope.at("conv_out"), [outputs, inputs, 3])?,
        })
    }

    pub(super) fn forward(&self, backend: &B, x: &B::Tensor) -> Result<B::Tensor, ComputeError> {
        let x = backend.channel_norm(x, &self.norm, Activation::Silu)?;
        backend.conv(&x, &self.conv)
    }
}

/// The convolution that follows a change of size, at `resample.1`.
pub(super) fn resample<B: Backend>(
    backend: &B,
    scope: &Scope<'_>,
    [outputs, inputs]: [usize; 2],
    conv: ConvShape,
) -> Result<B::Conv, LoadError> {
    let scope = scope.at("resample.1");
    scope.conv(backend, [outputs, inputs, 3, 3], Bias::Yes, conv)
}
