//! A vision transformer that classifies: transformers 5.23.0, `models/vit/modeling_vit.py`,
//! `ViTForImageClassification`, with the tensor names of published checkpoints.

use super::config::ClassifierConfig;
use crate::{
    backend::{Activation, Attention, Backend, ConvShape, Visible},
    error::{ComputeError, LoadError},
    tap::Tap,
    weights::{Bias, Scope},
};

pub(super) struct Classifier<B: Backend> {
    patches: B::Conv,
    class_token: B::Tensor,
    positions: B::Tensor,
    layers: Vec<Layer<B>>,
    norm: Norm<B>,
    head: B::Linear,
    width: usize,
}

impl<B: Backend> Classifier<B> {
    pub(super) fn load(
        backend: &B,
        root: &Scope<'_>,
        config: &ClassifierConfig,
    ) -> Result<Self, LoadError> {
        let width = config.hidden_size;
        let patch = config.patch_size;
        let vit = root.at("vit");
        let embeddings = vit.at("embeddings");
        let projection = embeddings.at("patch_embeddings.projection");
        let conv = ConvShape {
            stride: patch,
            ..ConvShape::same(0)
        };
        let side = config.image_size / patch;
        let tokens = side * side + 1;
        let row = |name, rows| {
            let values = embeddings.view(name, &[1, rows, width])?.to_f32()?;
            Ok::<_, LoadError>(backend.upload(values, &[rows, width])?)
        };
        let layers = 0..config.num_hidden_layers;
        let layers = layers.map(|i| Layer::load(backend, &vit.at("encoder.layer").at(i), config));
        Ok(Self {
            patches: projection.conv(backend, [width, 3, patch, patch], Bias::Yes, conv)?,
            class_token: row("cls_token", 1)?,
            positions: row("position_embeddings", tokens)?,
            layers: layers.collect::<Result<_, _>>()?,
            norm: Norm::load(backend, &vit.at("layernorm"), config)?,
            head: root
                .at("classifier")
                .linear(backend, width, config.classes(), Bias::Yes)?,
            width,
        })
    }

    /// `[image_size, image_size, 3]` to a score for each class, `[1, classes]`.
    pub(super) fn forward(
        &self,
        backend: &B,
        picture: &B::Tensor,
        tap: &mut dyn Tap<B>,
    ) -> Result<B::Tensor, ComputeError> {
        let patches = backend.conv(picture, &self.patches)?;
        let shape = backend.shape(&patches);
        let patches = backend.reshape(&patches, &[shape[0] * shape[1], self.width])?;
        let tokens = backend.concat(&[&self.class_token, &patches])?;
        let mut x = backend.add(&tokens, &self.positions)?;
        tap.see(backend, format_args!("vit.embeddings"), &x)?;
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(backend, &x)?;
            tap.see(backend, format_args!("vit.layer.{i}"), &x)?;
        }
        let normed = self.norm.forward(backend, &backend.rows(&x, 0..1)?)?;
        let scores = backend.linear(&normed, &self.head, Activation::None)?;
        tap.see(backend, format_args!("vit.logits"), &scores)?;
        Ok(scores)
    }
}

struct Norm<B: Backend> {
    weight: B::Tensor,
    bias: B::Tensor,
    eps: f32,
}

impl<B: Backend> Norm<B> {
    fn load(backend: &B, scope: &Scope<'_>, config: &ClassifierConfig) -> Result<Self, LoadError> {
        Ok(Self {
            weight: scope.tensor(backend, "weight", &[config.hidden_size])?,
            bias: scope.tensor(backend, "bias", &[config.hidden_size])?,
            eps: config.layer_norm_eps,
        })
    }

    fn forward(&self, backend: &B, x: &B::Tensor) -> Result<B::Tensor, ComputeError> {
        backend.layer_norm(x, &self.weight, &self.bias, self.eps)
    }
}

/// `ViTLayer`.
struct Layer<B: Backend> {
    before: Norm<B>,
    query: B::Linear,
    key: B::Linear,
    value: B::Linear,
    out: B::Linear,
    after: Norm<B>,
    up: B::Linear,
    down: B::Linear,
    heads: usize,
    scale: f32,
}

impl<B: Backend> Layer<B> {
    fn load(backend: &B, scope: &Scope<'_>, config: &ClassifierConfig) -> Result<Self, LoadError> {
        let (width, hidden) = (config.hidden_size, config.intermediate_size);
        let square = |name| scope.at(name).linear(backend, width, width, Bias::Yes);
        Ok(Self {
            before: Norm::load(backend, &scope.at("layernorm_before"), config)?,
            query: square("attention.attention.query")?,
            key: square("attention.attention.key")?,
            value: square("attention.attention.value")?,
            out: square("attention.output.dense")?,
            after: Norm::load(backend, &scope.at("layernorm_after"), config)?,
            up: scope
                .at("intermediate.dense")
                .linear(backend, width, hidden, Bias::Yes)?,
            down: scope
                .at("output.dense")
                .linear(backend, hidden, width, Bias::Yes)?,
            heads: config.num_attention_heads,
            scale: ((width / config.num_attention_heads) as f32).sqrt().recip(),
        })
    }

    /// `[tokens, width] → [tokens, width]`.
    fn forward(&self, backend: &B, x: &B::Tensor) -> Result<B::Tensor, ComputeError> {
        let normed = self.before.forward(backend, x)?;
        let part = |linear| backend.linear(&normed, linear, Activation::None);
        let form = Attention {
            heads: self.heads,
            kv_heads: self.heads,
            scale: self.scale,
            visible: Visible::All,
        };
        let (query, key, value) = (part(&self.query)?, part(&self.key)?, part(&self.value)?);
        let attended = backend.attend(&query, &key, &value, form)?;
        let x = backend.add(x, &backend.linear(&attended, &self.out, Activation::None)?)?;
        let normed = self.after.forward(backend, &x)?;
        let hidden = backend.linear(&normed, &self.up, Activation::GeluErf)?;
        backend.add(&x, &backend.linear(&hidden, &self.down, Activation::None)?)
    }
}
