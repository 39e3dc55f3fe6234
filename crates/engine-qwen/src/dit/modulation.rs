//! What a timestep changes in every block, computed once and kept.
//!
//! The layers that compute it are a third of the model's weights, and their results are a few
//! megabytes a timestep. So the weights are read from the mapped file, one layer after the other,
//! when a timestep is new, and are never resident.

use std::collections::VecDeque;

use super::time::{TimeEmbedding, sinusoids};
use crate::{
    backend::{Activation, Backend, Modulation},
    error::{ComputeError, LoadError},
    tap::Tap,
    weights::{Bias, Fp8, LinearWeights, Weights},
};

/// Timesteps that are kept: the forty steps of the undistilled model and some of four or eight.
/// One takes 13 MiB at the published size.
const KEPT: usize = 64;

/// Of the head, in the file.
const OUT: &str = "norm_out.linear";

/// Whether a tensor is of a layer that is never resident.
pub(super) fn is_streamed(name: &str) -> bool {
    let streams = [Stream::Image, Stream::Text];
    let of_block = |stream: Stream| name.contains(&format!(".{}.", stream.name()));
    name.starts_with(OUT) || streams.into_iter().any(of_block)
}

/// Shift, scale and gate of one half of a block, `[rows, width]` each.
#[derive(Debug, Clone)]
pub(super) struct Half<T> {
    shift: T,
    scale: T,
    gate: T,
}

/// The two halves of a block: attention, then MLP.
pub(super) type Halves<T> = [Half<T>; 2];

/// What one timestep changes in a block.
#[derive(Debug, Clone)]
pub(super) struct BlockModulation<T> {
    /// Of the images' tokens: as at the timestep, and with `zero_cond_t` as at 0.
    pub(super) image: Halves<T>,
    /// Of the prompt's tokens.
    pub(super) text: Halves<T>,
}

/// What one timestep changes in the whole transformer. Cloning shares it.
#[derive(Debug, Clone)]
pub struct StepModulation<T> {
    timestep: f32,
    /// The embedding, `[1 or 2, width]`.
    temb: T,
    pub(super) blocks: Vec<BlockModulation<T>>,
    /// Of the head, `[1, width]` each.
    pub(super) out_shift: T,
    pub(super) out_scale: T,
}

/// Computes and keeps [`StepModulation`]s.
pub(super) struct ModulationTables<B: Backend> {
    weights: Weights,
    fp8: Fp8,
    time: TimeEmbedding<B>,
    layers: usize,
    width: usize,
    zero_cond_t: bool,
    /// Those used last are at the back.
    kept: VecDeque<StepModulation<B::Tensor>>,
}

impl<T> Half<T> {
    fn all(&self) -> [&T; 3] {
        [&self.shift, &self.scale, &self.gate]
    }

    pub(super) fn shift(&self, split: usize) -> Modulation<'_, T> {
        Modulation {
            rows: &self.shift,
            split,
        }
    }

    pub(super) fn scale(&self, split: usize) -> Modulation<'_, T> {
        Modulation {
            rows: &self.scale,
            split,
        }
    }

    pub(super) fn gate(&self, split: usize) -> Modulation<'_, T> {
        Modulation {
            rows: &self.gate,
            split,
        }
    }
}

impl<B: Backend> ModulationTables<B> {
    pub(super) fn new(
        weights: Weights,
        fp8: Fp8,
        time: TimeEmbedding<B>,
        config: &super::TransformerConfig,
    ) -> Self {
        Self {
            weights,
            fp8,
            time,
            layers: config.layers,
            width: config.width(),
            zero_cond_t: config.zero_cond_t,
            kept: VecDeque::new(),
        }
    }

    /// The mapped file.
    pub(super) fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Those of these timesteps, in order. The file is read once for all that are new.
    pub(super) fn get(
        &mut self,
        backend: &B,
        timesteps: &[f32],
    ) -> Result<Vec<StepModulation<B::Tensor>>, LoadError> {
        let mut new: Vec<f32> = timesteps.to_vec();
        new.sort_by(f32::total_cmp);
        new.dedup();
        new.retain(|timestep| self.position(*timestep).is_none());
        let computed = self.compute(backend, &new)?;
        self.kept.extend(computed);
        let found = timesteps
            .iter()
            .map(|timestep| self.touch(*timestep))
            .collect();
        let surplus = self.kept.len().saturating_sub(KEPT);
        self.kept.drain(..surplus);
        Ok(found)
    }

    fn position(&self, timestep: f32) -> Option<usize> {
        let same = |kept: &StepModulation<_>| kept.timestep.to_bits() == timestep.to_bits();
        self.kept.iter().position(same)
    }

    /// One that is kept, which makes it the one used last.
    fn touch(&mut self, timestep: f32) -> StepModulation<B::Tensor> {
        let found = self
            .position(timestep)
            .and_then(|index| self.kept.remove(index))
            .expect("BUG: what was not kept has just been computed");
        self.kept.push_back(found.clone());
        found
    }

    fn compute(
        &self,
        backend: &B,
        timesteps: &[f32],
    ) -> Result<Vec<StepModulation<B::Tensor>>, LoadError> {
        if timesteps.is_empty() {
            return Ok(Vec::new());
        }
        let tembs: Vec<Temb<B>> = timesteps
            .iter()
            .map(|timestep| self.temb(backend, *timestep))
            .collect::<Result<_, _>>()?;
        let mut blocks: Vec<Vec<BlockModulation<B::Tensor>>> = vec![Vec::new(); tembs.len()];
        for layer in 0..self.layers {
            let images = self.halves(backend, &tembs, layer, Stream::Image)?;
            let texts = self.halves(backend, &tembs, layer, Stream::Text)?;
            for (blocks, (image, text)) in blocks.iter_mut().zip(images.into_iter().zip(texts)) {
                blocks.push(BlockModulation { image, text });
            }
        }
        let out = self.layer(backend, OUT, 2)?;
        let steps = timesteps.iter().zip(tembs).zip(blocks);
        steps
            .map(|((timestep, temb), blocks)| {
                // The head's scale comes before its shift: the other way round than in a block.
                let [out_scale, out_shift] = self.parts(backend, &temb.noise, &out)?;
                backend.settle(&[&out_scale, &out_shift])?;
                Ok(StepModulation {
                    timestep: *timestep,
                    temb: temb.rows,
                    blocks,
                    out_shift,
                    out_scale,
                })
            })
            .collect()
    }

    fn temb(&self, backend: &B, timestep: f32) -> Result<Temb<B>, ComputeError> {
        let timesteps: &[f32] = if self.zero_cond_t {
            &[timestep, 0.0]
        } else {
            &[timestep]
        };
        let rows = self.time.forward(backend, timesteps)?;
        let all = backend.activate(&rows, Activation::Silu)?;
        let noise = backend.rows(&all, 0..1)?;
        Ok(Temb { rows, all, noise })
    }

    /// One stream's modulation in one block at each of the timesteps.
    ///
    /// Each timestep is multiplied on its own: how many are new together must not show in the last
    /// bit of a picture.
    fn halves(
        &self,
        backend: &B,
        tembs: &[Temb<B>],
        layer: usize,
        stream: Stream,
    ) -> Result<Vec<Halves<B::Tensor>>, LoadError> {
        let name = format!("transformer_blocks.{layer}.{}.1", stream.name());
        let linear = self.layer(backend, &name, 6)?;
        let halves = |temb: &Temb<B>| {
            let input = match stream {
                Stream::Image => &temb.all,
                Stream::Text => &temb.noise,
            };
            let parts: [B::Tensor; 6] = self.parts(backend, input, &linear)?;
            let [shift, scale, gate, shift2, scale2, gate2] = parts;
            let attention = Half { shift, scale, gate };
            let mlp = Half {
                shift: shift2,
                scale: scale2,
                gate: gate2,
            };
            Ok([attention, mlp])
        };
        let halves: Vec<Halves<B::Tensor>> =
            tembs.iter().map(halves).collect::<Result<_, LoadError>>()?;
        // Before the layer is freed.
        let settled = halves.iter().flatten().flat_map(Half::all);
        backend.settle(&settled.collect::<Vec<_>>())?;
        Ok(halves)
    }

    /// A layer from the file, `width → parts · width`.
    fn layer(&self, backend: &B, name: &str, parts: usize) -> Result<B::Linear, LoadError> {
        let scope = self.weights.root().with_fp8(self.fp8).at(name);
        let weights: LinearWeights =
            scope.linear_weights(self.width, parts * self.width, Bias::Yes)?;
        backend.prepare_linear(weights)
    }

    /// The parts of a layer's result, `[rows, width]` each.
    fn parts<const N: usize>(
        &self,
        backend: &B,
        input: &B::Tensor,
        linear: &B::Linear,
    ) -> Result<[B::Tensor; N], ComputeError> {
        let all = backend.linear(input, linear, Activation::None)?;
        let part = |i: usize| backend.columns(&all, i * self.width..(i + 1) * self.width);
        let parts: Vec<B::Tensor> = (0..N).map(part).collect::<Result<_, _>>()?;
        Ok(parts
            .try_into()
            .ok()
            .expect("BUG: there are as many as were asked for"))
    }
}

/// The embedding of a timestep.
struct Temb<B: Backend> {
    /// As it is, `[1 or 2, width]`: the timestep, and 0 with `zero_cond_t`.
    rows: B::Tensor,
    /// After its activation.
    all: B::Tensor,
    /// The first row of that.
    noise: B::Tensor,
}

#[derive(Clone, Copy)]
enum Stream {
    Image,
    Text,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Image => "img_mod",
            Self::Text => "txt_mod",
        }
    }
}

impl<T> StepModulation<T> {
    /// Shows the embedding and every block's modulation.
    pub(super) fn show<B: Backend<Tensor = T>>(
        &self,
        backend: &B,
        tap: &mut dyn Tap<B>,
    ) -> Result<(), ComputeError> {
        if !tap.is_on() {
            return Ok(());
        }
        let rows = backend.shape(&self.temb)[0];
        let timesteps = [self.timestep, 0.0];
        let sinusoids = timesteps[..rows]
            .iter()
            .flat_map(|timestep| sinusoids(*timestep));
        let sinusoids: Vec<f64> = sinusoids.map(f64::from).collect();
        tap.note(format_args!("dit.time_proj"), &sinusoids);
        tap.see(backend, format_args!("dit.temb"), &self.temb)?;
        for (i, block) in self.blocks.iter().enumerate() {
            let image = whole(backend, &block.image)?;
            tap.note(format_args!("dit.block.{i}.img_mod"), &image);
            let text = whole(backend, &block.text)?;
            tap.note(format_args!("dit.block.{i}.txt_mod"), &text);
        }
        Ok(())
    }
}

/// The parts side by side, as the layer gave them.
fn whole<B: Backend>(backend: &B, halves: &Halves<B::Tensor>) -> Result<Vec<f64>, ComputeError> {
    let parts = halves.iter().flat_map(Half::all);
    let parts: Vec<Vec<f32>> = parts
        .map(|part| backend.download(part))
        .collect::<Result<_, _>>()?;
    let [rows, width] = *backend.shape(&halves[0].shift) else {
        unreachable!("BUG: modulations are matrices");
    };
    let row = |row: usize| {
        parts
            .iter()
            .flat_map(move |part| &part[row * width..][..width])
    };
    Ok((0..rows).flat_map(row).copied().map(f64::from).collect())
}
