//! The layers of one of a block's two streams, the images' or the prompt's.

use super::{
    EPS, TransformerConfig,
    modulation::{Half, Halves},
};
use crate::{
    backend::{Activation, Backend},
    error::{ComputeError, LoadError},
    weights::{Bias, Scope},
};

/// The MLP is this many times as wide as a token.
const EXPANSION: usize = 4;

/// The layers.
pub(super) struct Stream<B: Backend> {
    q: B::Linear,
    k: B::Linear,
    v: B::Linear,
    /// Per head, `[head_width]`, and so is the next.
    norm_q: B::Tensor,
    norm_k: B::Tensor,
    out: B::Linear,
    up: B::Linear,
    down: B::Linear,
}

/// What they are called.
pub(super) struct Names {
    q: &'static str,
    k: &'static str,
    v: &'static str,
    norm_q: &'static str,
    norm_k: &'static str,
    out: &'static str,
    mlp: &'static str,
}

/// Of the noise and the references.
pub(super) const IMAGE: Names = Names {
    q: "attn.to_q",
    k: "attn.to_k",
    v: "attn.to_v",
    norm_q: "attn.norm_q.weight",
    norm_k: "attn.norm_k.weight",
    out: "attn.to_out.0",
    mlp: "img_mlp.net",
};

/// Of the prompt.
pub(super) const TEXT: Names = Names {
    q: "attn.add_q_proj",
    k: "attn.add_k_proj",
    v: "attn.add_v_proj",
    norm_q: "attn.norm_added_q.weight",
    norm_k: "attn.norm_added_k.weight",
    out: "attn.to_add_out",
    mlp: "txt_mlp.net",
};

/// What queries look at, `[tokens, width]` each, not yet turned.
pub(super) struct Seen<T> {
    pub(super) keys: T,
    pub(super) values: T,
}

impl<B: Backend> Stream<B> {
    pub(super) fn load(
        backend: &B,
        scope: &Scope<'_>,
        config: &TransformerConfig,
        names: &Names,
    ) -> Result<Self, LoadError> {
        let width = config.width();
        let inner = EXPANSION * width;
        let linear = |name: &str, inputs, outputs| {
            scope.at(name).linear(backend, inputs, outputs, Bias::Yes)
        };
        let norm = |name| scope.tensor(backend, name, &[config.head_width]);
        let together = [names.q, names.k, names.v].map(|name| (name, width));
        let [q, k, v] = scope.linears(backend, width, together, Bias::Yes)?;
        Ok(Self {
            q,
            k,
            v,
            norm_q: norm(names.norm_q)?,
            norm_k: norm(names.norm_k)?,
            out: linear(names.out, width, width)?,
            up: linear(&format!("{}.0.proj", names.mlp), width, inner)?,
            down: linear(&format!("{}.2", names.mlp), inner, width)?,
        })
    }

    /// Queries, `[tokens, width]`, not yet turned.
    pub(super) fn queries(&self, backend: &B, x: &B::Tensor) -> Result<B::Tensor, ComputeError> {
        let q = backend.linear(x, &self.q, Activation::None)?;
        backend.rms_norm(&q, &self.norm_q, EPS)
    }

    /// Keys and values.
    pub(super) fn seen(&self, backend: &B, x: &B::Tensor) -> Result<Seen<B::Tensor>, ComputeError> {
        let k = backend.linear(x, &self.k, Activation::None)?;
        Ok(Seen {
            keys: backend.rms_norm(&k, &self.norm_k, EPS)?,
            values: backend.linear(x, &self.v, Activation::None)?,
        })
    }

    /// What the attention's result adds, before its gate.
    pub(super) fn out(&self, backend: &B, attended: &B::Tensor) -> Result<B::Tensor, ComputeError> {
        backend.linear(attended, &self.out, Activation::None)
    }

    /// The tokens after both halves of the block.
    pub(super) fn finish(
        &self,
        backend: &B,
        x: &B::Tensor,
        attention: &B::Tensor,
        halves: Split<'_, B::Tensor>,
    ) -> Result<B::Tensor, ComputeError> {
        let [first, second] = halves.halves;
        let x = backend.add_gated(x, attention, first.gate(halves.split))?;
        let mlp = halves.modulate(backend, &x, second)?;
        let mlp = backend.linear(&mlp, &self.up, Activation::GeluTanh)?;
        let mlp = backend.linear(&mlp, &self.down, Activation::None)?;
        backend.add_gated(&x, &mlp, second.gate(halves.split))
    }
}

/// A stream's modulation and how many of its tokens take the first row of it.
#[derive(Debug)]
pub(super) struct Split<'a, T> {
    pub(super) halves: &'a Halves<T>,
    pub(super) split: usize,
}

// Not derived: that would ask for `T: Copy`, and only a reference is held.
impl<T> Clone for Split<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Split<'_, T> {}

impl<T> Split<'_, T> {
    /// The tokens as the attention takes them.
    pub(super) fn for_attention<B: Backend<Tensor = T>>(
        self,
        backend: &B,
        x: &T,
    ) -> Result<T, ComputeError> {
        self.modulate(backend, x, &self.halves[0])
    }

    fn modulate<B: Backend<Tensor = T>>(
        self,
        backend: &B,
        x: &T,
        half: &Half<T>,
    ) -> Result<T, ComputeError> {
        backend.modulated_norm(x, half.shift(self.split), half.scale(self.split), EPS)
    }
}
