//! The vision tower.

mod block;
mod window;

use self::{block::Block, window::Windows};
use super::{config::VisionConfig, position::frequencies};
use crate::{
    backend::{Activation, Backend, Pairing, Rotary},
    error::{ComputeError, LoadError},
    image::{Grid, VisionInput, patches},
    tap::Tap,
    weights::{Bias, LinearWeights, Matrix, Scope},
};

/// `variance_epsilon` of every norm of the tower; not a key of its configuration.
const EPS: f32 = 1e-6;
/// The base of the rotary embedding's wavelengths; likewise.
const THETA: f32 = 10_000.0;

/// Makes of each square of merged patches a token for the language model.
///
/// transformers 5.23.0, `models/qwen2_5_vl/modeling_qwen2_5_vl.py`,
/// `Qwen2_5_VisionTransformerPretrainedModel`. Pictures never see each other.
pub(super) struct Tower<B: Backend> {
    config: VisionConfig,
    patch_embed: B::Linear,
    blocks: Vec<Block<B>>,
    merger: Merger<B>,
}

impl<B: Backend> Tower<B> {
    pub(super) fn load(
        backend: &B,
        scope: &Scope<'_>,
        config: &VisionConfig,
    ) -> Result<Self, LoadError> {
        let blocks = scope.at("blocks");
        let block = |index| Block::load(backend, &blocks.at(index), config);
        Ok(Self {
            patch_embed: patch_embed(backend, &scope.at("patch_embed.proj"), config)?,
            blocks: (0..config.depth).map(block).collect::<Result<_, _>>()?,
            merger: Merger::load(backend, &scope.at("merger"), config)?,
            config: config.clone(),
        })
    }

    /// The tokens of all pictures, one after the other, of each row by row: `[tokens,
    /// out_hidden_size]`.
    pub(super) fn forward(
        &self,
        backend: &B,
        pictures: &[VisionInput],
        tap: &mut dyn Tap<B>,
    ) -> Result<B::Tensor, ComputeError> {
        let grids: Vec<Grid> = pictures.iter().map(|picture| picture.grid).collect();
        let windows = Windows::of(&grids, &self.config);
        let patches = self.embed(backend, pictures, tap)?;
        let mut x = backend.gather(&patches, &windows.patches)?;
        let rotary = self.rotary(backend, &grids, &windows, tap)?;
        if tap.is_on() {
            windows.note(tap);
        }
        for (index, block) in self.blocks.iter().enumerate() {
            let whole = self.config.fullatt_block_indexes.contains(&index);
            let ends = if whole {
                &windows.pictures
            } else {
                &windows.ends
            };
            x = block.forward(backend, &x, &rotary, ends)?;
            tap.see(backend, format_args!("vis.block.{index}"), &x)?;
        }
        let merged = self.merger.forward(backend, &x)?;
        tap.see(backend, format_args!("vis.merger_window_order"), &merged)?;
        backend.gather(&merged, &windows.back)
    }

    fn embed(
        &self,
        backend: &B,
        pictures: &[VisionInput],
        tap: &mut dyn Tap<B>,
    ) -> Result<B::Tensor, ComputeError> {
        let pixels: Vec<f32> = pictures
            .iter()
            .flat_map(|picture| picture.pixel_values.iter().copied())
            .collect();
        let width = self.config.patch_width();
        let patches = pixels.len() / width;
        let pixels = backend.upload(pixels, &[patches, width])?;
        tap.see(backend, format_args!("te.in.pixel_values"), &pixels)?;
        let x = backend.linear(&pixels, &self.patch_embed, Activation::None)?;
        tap.see(backend, format_args!("vis.patch_embed"), &x)?;
        Ok(x)
    }

    /// The first half of a head's pairs turns with the row of the patch, the second with its
    /// column.
    fn rotary(
        &self,
        backend: &B,
        grids: &[Grid],
        windows: &Windows,
        tap: &mut dyn Tap<B>,
    ) -> Result<Rotary<B::Tensor>, ComputeError> {
        let pairs = self.config.head_width() / 2;
        let frequencies = frequencies(THETA, pairs);
        let places = grids
            .iter()
            .flat_map(|grid| patches(*grid, self.config.spatial_merge_size));
        let angles: Vec<f32> = places
            .flat_map(|(row, column)| [row as f32, column as f32])
            .flat_map(|place| frequencies.iter().map(move |f| place * f))
            .collect();
        let rotary = super::rotary(backend, &angles, pairs, "vis", tap)?;
        Ok(Rotary {
            cos: backend.gather(&rotary.cos, &windows.patches)?,
            sin: backend.gather(&rotary.sin, &windows.patches)?,
            pairing: Pairing::Halves,
        })
    }
}

/// A convolution whose step is its size is a linear layer over the numbers of a patch.
fn patch_embed<B: Backend>(
    backend: &B,
    scope: &Scope<'_>,
    config: &VisionConfig,
) -> Result<B::Linear, LoadError> {
    let side = config.patch_size;
    let shape = [
        config.hidden_size,
        3,
        config.temporal_patch_size,
        side,
        side,
    ];
    let weight = scope.view("weight", &shape)?.to_f32()?;
    backend.prepare_linear(LinearWeights {
        matrix: Matrix::F32(weight),
        inputs: config.patch_width(),
        outputs: config.hidden_size,
        bias: None,
    })
}

/// `Qwen2_5_VLPatchMerger`.
struct Merger<B: Backend> {
    norm: B::Tensor,
    first: B::Linear,
    second: B::Linear,
    /// Numbers of a square of patches.
    width: usize,
}

impl<B: Backend> Merger<B> {
    fn load(backend: &B, scope: &Scope<'_>, config: &VisionConfig) -> Result<Self, LoadError> {
        let hidden = config.hidden_size;
        let width = hidden * config.spatial_merge_size * config.spatial_merge_size;
        let mlp = scope.at("mlp");
        Ok(Self {
            norm: scope.at("ln_q").tensor(backend, "weight", &[hidden])?,
            first: mlp.at(0).linear(backend, width, width, Bias::Yes)?,
            second: mlp
                .at(2)
                .linear(backend, width, config.out_hidden_size, Bias::Yes)?,
            width,
        })
    }

    /// `[patches, hidden_size] → [squares, out_hidden_size]`.
    fn forward(&self, backend: &B, x: &B::Tensor) -> Result<B::Tensor, ComputeError> {
        let x = backend.rms_norm(x, &self.norm, EPS)?;
        let numbers: usize = backend.shape(&x).iter().product();
        let x = backend.reshape(&x, &[numbers / self.width, self.width])?;
        let x = backend.linear(&x, &self.first, Activation::GeluErf)?;
        backend.linear(&x, &self.second, Activation::None)
    }
}
