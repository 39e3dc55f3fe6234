//! A layer of the language model.

use crate::{
    backend::{Activation, Attention, Backend, Rotary, Visible},
    error::{ComputeError, LoadError},
    text::config::LanguageConfig,
    weights::{Bias, Scope},
};

/// `Qwen2_5_VLDecoderLayer`.
pub(super) struct Layer<B: Backend> {
    input_norm: B::Tensor,
    post_attention_norm: B::Tensor,
    q: B::Linear,
    k: B::Linear,
    v: B::Linear,
    o: B::Linear,
    gate: B::Linear,
    up: B::Linear,
    down: B::Linear,
    heads: usize,
    kv_heads: usize,
    head_width: usize,
    eps: f32,
}

impl<B: Backend> Layer<B> {
    pub(super) fn load(
        backend: &B,
        scope: &Scope<'_>,
        config: &LanguageConfig,
    ) -> Result<Self, LoadError> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let kv = config.num_key_value_heads * config.head_width();
        let linear = |scope: &Scope<'_>, name: &str, inputs| {
            let scope = scope.at(name);
            scope.linear(backend, inputs, hidden, Bias::No)
        };
        let norm = |name: &str| scope.at(name).tensor(backend, "weight", &[hidden]);
        let (attention, mlp) = (scope.at("self_attn"), scope.at("mlp"));
        let together = [("q_proj", hidden), ("k_proj", kv), ("v_proj", kv)];
        let [q, k, v] = attention.linears(backend, hidden, together, Bias::Yes)?;
        let together = [("gate_proj", inner), ("up_proj", inner)];
        let [gate, up] = mlp.linears(backend, hidden, together, Bias::No)?;
        Ok(Self {
            input_norm: norm("input_layernorm")?,
            post_attention_norm: norm("post_attention_layernorm")?,
            q,
            k,
            v,
            o: linear(&attention, "o_proj", hidden)?,
            gate,
            up,
            down: linear(&mlp, "down_proj", inner)?,
            heads: config.num_attention_heads,
            kv_heads: config.num_key_value_heads,
            head_width: config.head_width(),
            eps: config.rms_norm_eps,
        })
    }

    /// `[tokens, hidden_size]`.
    pub(super) fn forward(
        &self,
        backend: &B,
        x: &B::Tensor,
        rotary: &Rotary<B::Tensor>,
    ) -> Result<B::Tensor, ComputeError> {
        let x = backend.add(x, &self.attend(backend, x, rotary)?)?;
        let normed = backend.rms_norm(&x, &self.post_attention_norm, self.eps)?;
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
    ) -> Result<B::Tensor, ComputeError> {
        let normed = backend.rms_norm(x, &self.input_norm, self.eps)?;
        let project = |linear| backend.linear(&normed, linear, Activation::None);
        let q = backend.rotate(&project(&self.q)?, self.heads, rotary)?;
        let k = backend.rotate(&project(&self.k)?, self.kv_heads, rotary)?;
        let attention = Attention {
            heads: self.heads,
            kv_heads: self.kv_heads,
            scale: (self.head_width as f32).powf(-0.5),
            visible: Visible::Causal,
        };
        let seen = backend.attend(&q, &k, &project(&self.v)?, attention)?;
        backend.linear(&seen, &self.o, Activation::None)
    }
}
