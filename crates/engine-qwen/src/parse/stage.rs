//! A stage of the encoder: transformers 5.23.0, `models/segformer/modeling_segformer.py`.

use super::config::ParserConfig;
use crate::{
    backend::{Activation, Attention, Backend, ConvShape, Visible},
    error::{ComputeError, LoadError},
    weights::{Bias, Scope},
};

/// Hugging Face's `SegFormer` ignores `layer_norm_eps` of its configuration.
pub(super) const EPS: f32 = 1e-5;

/// A layer norm's weight and bias.
pub(super) struct Norm<B: Backend> {
    weight: B::Tensor,
    bias: B::Tensor,
}

impl<B: Backend> Norm<B> {
    fn load(backend: &B, scope: &Scope<'_>, width: usize) -> Result<Self, LoadError> {
        Ok(Self {
            weight: scope.tensor(backend, "weight", &[width])?,
            bias: scope.tensor(backend, "bias", &[width])?,
        })
    }

    fn forward(&self, backend: &B, x: &B::Tensor) -> Result<B::Tensor, ComputeError> {
        backend.layer_norm(x, &self.weight, &self.bias, EPS)
    }
}

/// `SegformerOverlapPatchEmbeddings`, the layers, and the norm after them.
pub(super) struct Stage<B: Backend> {
    embed: B::Conv,
    embed_norm: Norm<B>,
    layers: Vec<Layer<B>>,
    norm: Norm<B>,
}

impl<B: Backend> Stage<B> {
    pub(super) fn load(
        backend: &B,
        encoder: &Scope<'_>,
        config: &ParserConfig,
        stage: usize,
    ) -> Result<Self, LoadError> {
        let width = config.hidden_sizes[stage];
        let channels = if stage == 0 {
            3
        } else {
            config.hidden_sizes[stage - 1]
        };
        let patch = config.patch_sizes[stage];
        let conv = ConvShape {
            stride: config.strides[stage],
            ..ConvShape::same(patch / 2)
        };
        let embed = encoder.at("patch_embeddings").at(stage);
        let shape = [width, channels, patch, patch];
        let block = encoder.at("block").at(stage);
        let layers = 0..config.depths[stage];
        let layers = layers.map(|i| Layer::load(backend, &block.at(i), config, stage));
        Ok(Self {
            embed: embed.at("proj").conv(backend, shape, Bias::Yes, conv)?,
            embed_norm: Norm::load(backend, &embed.at("layer_norm"), width)?,
            layers: layers.collect::<Result<_, _>>()?,
            norm: Norm::load(backend, &encoder.at("layer_norm").at(stage), width)?,
        })
    }

    /// `[h, w, c] → [h / stride, w / stride, width]`.
    pub(super) fn forward(&self, backend: &B, x: &B::Tensor) -> Result<B::Tensor, ComputeError> {
        let embedded = backend.conv(x, &self.embed)?;
        let shape = backend.shape(&embedded);
        let mut tokens = tokens_of(backend, &embedded)?;
        tokens = self.embed_norm.forward(backend, &tokens)?;
        for layer in &self.layers {
            tokens = layer.forward(backend, &tokens, [shape[0], shape[1]])?;
        }
        let tokens = self.norm.forward(backend, &tokens)?;
        backend.reshape(&tokens, &shape)
    }
}

/// `[h, w, c] → [h·w, c]`.
pub(super) fn tokens_of<B: Backend>(
    backend: &B,
    picture: &B::Tensor,
) -> Result<B::Tensor, ComputeError> {
    let shape = backend.shape(picture);
    backend.reshape(picture, &[shape[0] * shape[1], shape[2]])
}

/// `SegformerLayer`.
struct Layer<B: Backend> {
    before: Norm<B>,
    attention: ReducedAttention<B>,
    after: Norm<B>,
    /// `SegformerMixMLP`.
    dense1: B::Linear,
    depthwise: B::Conv,
    dense2: B::Linear,
}

impl<B: Backend> Layer<B> {
    fn load(
        backend: &B,
        scope: &Scope<'_>,
        config: &ParserConfig,
        stage: usize,
    ) -> Result<Self, LoadError> {
        let width = config.hidden_sizes[stage];
        let hidden = width * config.mlp_ratios[stage];
        let conv = ConvShape {
            groups: hidden,
            ..ConvShape::same(1)
        };
        let mlp = scope.at("mlp");
        let depthwise = mlp.at("dwconv.dwconv");
        Ok(Self {
            before: Norm::load(backend, &scope.at("layer_norm_1"), width)?,
            attention: ReducedAttention::load(backend, &scope.at("attention"), config, stage)?,
            after: Norm::load(backend, &scope.at("layer_norm_2"), width)?,
            dense1: mlp.at("dense1").linear(backend, width, hidden, Bias::Yes)?,
            depthwise: depthwise.conv(backend, [hidden, 1, 3, 3], Bias::Yes, conv)?,
            dense2: mlp.at("dense2").linear(backend, hidden, width, Bias::Yes)?,
        })
    }

    /// `[h·w, width] → [h·w, width]`; `size` is height and width.
    fn forward(
        &self,
        backend: &B,
        x: &B::Tensor,
        size: [usize; 2],
    ) -> Result<B::Tensor, ComputeError> {
        let normed = self.before.forward(backend, x)?;
        let x = backend.add(x, &self.attention.forward(backend, &normed, size)?)?;
        let normed = self.after.forward(backend, &x)?;
        let hidden = backend.linear(&normed, &self.dense1, Activation::None)?;
        let width = backend.shape(&hidden)[1];
        let picture = backend.reshape(&hidden, &[size[0], size[1], width])?;
        let mixed = tokens_of(backend, &backend.conv(&picture, &self.depthwise)?)?;
        let active = backend.activate(&mixed, Activation::GeluErf)?;
        backend.add(
            &x,
            &backend.linear(&active, &self.dense2, Activation::None)?,
        )
    }
}

/// `SegformerAttention`: keys and values are of a smaller picture.
struct ReducedAttention<B: Backend> {
    query: B::Linear,
    key: B::Linear,
    value: B::Linear,
    out: B::Linear,
    reduce: Option<(B::Conv, Norm<B>)>,
    heads: usize,
    scale: f32,
}

impl<B: Backend> ReducedAttention<B> {
    fn load(
        backend: &B,
        scope: &Scope<'_>,
        config: &ParserConfig,
        stage: usize,
    ) -> Result<Self, LoadError> {
        let width = config.hidden_sizes[stage];
        let heads = config.num_attention_heads[stage];
        let inner = scope.at("self");
        let linear = |scope: Scope<'_>| scope.linear(backend, width, width, Bias::Yes);
        let ratio = config.sr_ratios[stage];
        let reduce = (ratio > 1).then(|| {
            let conv = ConvShape {
                stride: ratio,
                ..ConvShape::same(0)
            };
            let conv =
                inner
                    .at("sr")
                    .conv(backend, [width, width, ratio, ratio], Bias::Yes, conv)?;
            Ok::<_, LoadError>((conv, Norm::load(backend, &inner.at("layer_norm"), width)?))
        });
        Ok(Self {
            query: linear(inner.at("query"))?,
            key: linear(inner.at("key"))?,
            value: linear(inner.at("value"))?,
            out: linear(scope.at("output.dense"))?,
            reduce: reduce.transpose()?,
            heads,
            scale: ((width / heads) as f32).sqrt().recip(),
        })
    }

    fn forward(
        &self,
        backend: &B,
        x: &B::Tensor,
        [height, width]: [usize; 2],
    ) -> Result<B::Tensor, ComputeError> {
        let seen = match &self.reduce {
            None => x.clone(),
            Some((conv, norm)) => {
                let channels = backend.shape(x)[1];
                let picture = backend.reshape(x, &[height, width, channels])?;
                let reduced = tokens_of(backend, &backend.conv(&picture, conv)?)?;
                norm.forward(backend, &reduced)?
            }
        };
        let form = Attention {
            heads: self.heads,
            kv_heads: self.heads,
            scale: self.scale,
            visible: Visible::All,
        };
        let query = backend.linear(x, &self.query, Activation::None)?;
        let key = backend.linear(&seen, &self.key, Activation::None)?;
        let value = backend.linear(&seen, &self.value, Activation::None)?;
        let attended = backend.attend(&query, &key, &value, form)?;
        backend.linear(&attended, &self.out, Activation::None)
    }
}
