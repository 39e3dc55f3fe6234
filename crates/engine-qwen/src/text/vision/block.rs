//! A layer of the vision tower.

use super::EPS;
use crate::{
    backend::{Activation, Attention, Backend, Rotary, Visible},
    error::{ComputeError, LoadError},
    text::config::VisionConfig,
    weights::{Bias, LinearWeights, Scope},
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
        let hidden = config.hidden_size;
        let linear = |name: &str, inputs, outputs| {
            let scope = scope.at(name);
            scope.linear(backend, inputs, outputs, Bias::Yes)
        };
        let norm = |name: &str| scope.at(name).tensor(backend, "weight", &[hidden]);
        let [gate, up, down] = mlp(backend, &scope.at("mlp"), config)?;
        Ok(Self {
            norm1: norm("norm1")?,
            norm2: norm("norm2")?,
            qkv: linear("attn.qkv", hidden, 3 * hidden)?,
            proj: linear("attn.proj", hidden, hidden)?,
            gate,
            up,
            down,
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

/// Into the MLP, gate and the rest, and out of it. Where the backend wants more numbers inside than
/// there are, these are zeros: `SwiGLU` makes zeros of them, and they are multiplied with zeros.
fn mlp<B: Backend>(
    backend: &B,
    scope: &Scope<'_>,
    config: &VisionConfig,
) -> Result<[B::Linear; 3], LoadError> {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let padded = backend.padded_width(inner);
    let into = |name| -> Result<LinearWeights, LoadError> {
        let weights = scope.at(name).linear_weights(hidden, inner, Bias::Yes)?;
        Ok(weights.padded(hidden, padded))
    };
    let together = backend.prepare_linears(vec![into("gate_proj")?, into("up_proj")?])?;
    let together: Result<[B::Linear; 2], _> = together.try_into();
    let [gate, up] = together.ok().expect("BUG: a layer for each");
    let down = scope.at("down_proj");
    let down = down.linear_weights(inner, hidden, Bias::Yes)?;
    let down = backend.prepare_linear(down.padded(padded, hidden))?;
    Ok([gate, up, down])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{
        backend::{
            Cpu, Pairing,
            cuda::{Cuda, Element, Host, Precision},
        },
        weights::{Random, RandomKind, Weights},
    };

    const HIDDEN: usize = 32;

    /// With as many numbers inside the MLP as are no multiple of anything but 4, like the published
    /// model's 3420.
    fn config() -> VisionConfig {
        let config = json!({
            "depth": 1,
            "hidden_size": HIDDEN,
            "intermediate_size": 20,
            "num_heads": 2,
            "out_hidden_size": 32,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [0],
        });
        serde_json::from_value(config).unwrap()
    }

    /// What a block of random weights makes of 7 patches, and the numbers inside its MLP.
    fn forward<B: Backend>(backend: &B) -> (Vec<f32>, usize) {
        let weights = Weights::random(&Arc::new(Random::new(1 << 14, 1)), RandomKind::Bf16);
        let block = Block::load(backend, &weights.root(), &config()).unwrap();
        let upload = |width: usize, of: fn(f32) -> f32| {
            let values = (0..7 * width).map(|i| of(i as f32)).collect();
            backend.upload(values, &[7, width]).unwrap()
        };
        let x = upload(HIDDEN, f32::sin);
        let rotary = Rotary {
            cos: upload(HIDDEN / 4, f32::cos),
            sin: upload(HIDDEN / 4, f32::sin),
            pairing: Pairing::Halves,
        };
        let made = block.forward(backend, &x, &rotary, &[7]).unwrap();
        let gate = backend.linear(&x, &block.gate, Activation::None).unwrap();
        let inner = backend.shape(&gate)[1];
        (backend.download(&made).unwrap(), inner)
    }

    #[test]
    fn a_padded_mlp_computes_the_same() {
        let (expected, inner) = forward(&Cpu);
        assert_eq!(inner, 20);
        let precision = Precision {
            storage: Element::F32,
            ..Precision::default()
        };
        let (found, inner) = forward(&Cuda::new(Host::default(), precision));
        assert_eq!(inner, 32);
        let pairs = found.iter().zip(&expected);
        let most = pairs
            .map(|(one, other)| (one - other).abs())
            .fold(0.0, f32::max);
        assert!(most < 1e-6, "{most}");
        assert!(expected.iter().any(|value| value.abs() > 0.1));
    }
}
