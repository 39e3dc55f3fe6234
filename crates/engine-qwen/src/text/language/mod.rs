//! The language model, without its head.

mod layer;

use self::layer::Layer;
use super::{config::LanguageConfig, position::Positions};
use crate::{
    backend::Backend,
    error::{ComputeError, LoadError},
    tap::Tap,
    weights::Scope,
};

/// The layers and the last norm.
///
/// transformers 5.23.0, `models/qwen2_5_vl/modeling_qwen2_5_vl.py`, `Qwen2_5_VLTextModel`.
pub(super) struct Language<B: Backend> {
    config: LanguageConfig,
    layers: Vec<Layer<B>>,
    norm: B::Tensor,
}

impl<B: Backend> Language<B> {
    pub(super) fn load(
        backend: &B,
        scope: &Scope<'_>,
        config: &LanguageConfig,
    ) -> Result<Self, LoadError> {
        let layers = scope.at("layers");
        let layer = |index| Layer::load(backend, &layers.at(index), config);
        Ok(Self {
            layers: (0..config.num_hidden_layers)
                .map(layer)
                .collect::<Result<_, _>>()?,
            norm: scope
                .at("norm")
                .tensor(backend, "weight", &[config.hidden_size])?,
            config: config.clone(),
        })
    }

    /// The hidden states after the last norm, `[tokens, hidden_size]` like the embeddings.
    pub(super) fn forward(
        &self,
        backend: &B,
        embeddings: B::Tensor,
        positions: &Positions,
        tap: &mut dyn Tap<B>,
    ) -> Result<B::Tensor, ComputeError> {
        let angles = positions.angles(&self.config);
        let pairs = self.config.head_width() / 2;
        let rotary = super::rotary(backend, &angles, pairs, "te", tap)?;
        let mut x = embeddings;
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(backend, &x, &rotary)?;
            tap.see(backend, format_args!("te.layer.{index}"), &x)?;
        }
        let x = backend.rms_norm(&x, &self.norm, self.config.rms_norm_eps)?;
        tap.see(backend, format_args!("te.final_norm"), &x)?;
        Ok(x)
    }
}
