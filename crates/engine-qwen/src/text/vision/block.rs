//! A layer of the vision tower.

use super::EPS;
use crate::{
    backend::{Activation, Attention, Backend, Rotary, Visible},
    error::{ComputeError, LoadError},
    text::config::VisionConfig,
    weights::{Bias, Scope},
};

/// `Qwen2_5_VLVisionBlock`.
pub(super) struct Block<B: Backend> {
    norm1: B::Tensor,
    norm2: B::Tensor,
    qkv: B::Linear,
    proj: B::Linear,
    gate: B::Linear,
    up: B::Linear,
    down: B::Linear,
    heads: usize,
    hidden: usize,
}

impl<B: Backend> Block<B> {
    pub(super) fn load(
        backend: &B,
        scope: &Scope<'_>,
        config: &VisionConfig,
    ) -> Result<Self, LoadError> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let linear = |name: &str, inputs, outputs| {
            let scope = scope.at(name);
            scope.linear(backend, inputs, outputs, Bias::Yes)
        };
        let norm = |name: &str| scope.at(name).tensor(backend, "weight", &[hidden]);
        let together = [("gate_proj", inner), ("up_proj", inner)];
        let [gate, up] = scope
            .at("mlp")
            .linears(backend, hidden, together, Bias::Yes)?;
        Ok(Self {
            norm1: norm("norm1")?,
            norm2: norm("norm2")?,
            qkv: linear("attn.qkv", hidden, 3 * hidden)?,
            proj: linear("attn.proj", hidden, hidden)?,
            gate,
            up,
            down: linear("mlp.down_proj", inner, hidden)?,
            heads: config.num_heads,
            hidden,
        })
    }

    /// `[patches, hidden_size]`, and where the blocks of patches end that see each other.
    pub(super) fn forward(
        &self,
        backend: &B,
        x: &B::Tensor,
        rotary: &Rotary<B::Tensor>,
        ends: &[usize],
    ) -> Result<B::Tensor, ComputeError> {
        let x = backend.add(x, &self.attend(backend, x, rotary, ends)?)?;
        let normed = backend.rms_norm(&x, &self.norm2, EPS)?;
        let gate = backend.linear(&normed, &self.gate, Activation::None)?;
        let up = backend.linear(&normed, &self.up, Activation::None)?;
        let inner = backend.swiglu(&gate, &up)?;
        backend.add(&x, &backend.linear(&inner, &self.down, Activation::None)?)
    }

    fn attend(
        &self,
        backend: &B,
        x: &B::Tensor,
        rotary: &Rotary<B::Tensor>,
        ends: &[usize],
    ) -> Result<B::Tensor, ComputeError> {
        let hidden = self.hidden;
        let normed = backend.rms_norm(x, &self.norm1, EPS)?;
        let qkv = backend.linear(&normed, &self.qkv, Activation::None)?;
        let part = |index| backend.columns(&qkv, index * hidden..(index + 1) * hidden);
        let q = backend.rotate(&part(0)?, self.heads, rotary)?;
        let k = backend.rotate(&part(1)?, self.heads, rotary)?;
        let attention = Attention {
            heads: self.heads,
            kv_heads: self.heads,
            scale: ((hidden / self.heads) as f32).powf(-0.5),
            visible: Visible::Blocks(ends),
        };
        let seen = backend.attend(&q, &k, &part(2)?, attention)?;
        backend.linear(&seen, &self.proj, Activation::None)
    }
}
