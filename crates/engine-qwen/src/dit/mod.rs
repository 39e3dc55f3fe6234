//! The transformer that predicts how noise becomes a picture.
//!
//! diffusers 0.42.1, `models/transformers/transformer_qwenimage.py`,
//! `QwenImageTransformer2DModel`.
//!
//! A picture is made so:
//!
//! 1. [`Transformer::load`], once. The mapped file stays open: the modulation layers are read from
//!    it when a timestep is new.
//! 2. [`Transformer::prepare`] with the timesteps of the schedule, one [`StepModulation`] each.
//! 3. [`Transformer::condition`], once for each prompt: everything that is the same at every step.
//! 4. [`Transformer::forward`], once for each step and prompt: the velocity of the noise.

mod block;
mod config;
mod modulation;
mod rotary;
mod stream;
mod time;

use self::{
    block::{Block, Places, Step, Streams},
    modulation::ModulationTables,
    rotary::Angles,
    time::TimeEmbedding,
};
pub use self::{config::TransformerConfig, modulation::StepModulation, rotary::Grid};
use crate::{
    backend::{Activation, Backend, Modulation, Rotary},
    error::{ComputeError, LoadError},
    layout,
    tap::Tap,
    weights::{Bias, Fp8, Weights},
};

/// Of every norm. Ten times as much moves the first prediction of the tiny model by 4e-7, which is
/// below every gate.
const EPS: f32 = 1e-6;

/// The transformer.
pub struct Transformer<B: Backend> {
    image_in: B::Linear,
    text_norm: B::Tensor,
    text_in: B::Linear,
    blocks: Vec<Block<B>>,
    out: B::Linear,
    modulations: ModulationTables<B>,
    config: TransformerConfig,
}

/// What is the same at every step: the prompt, the references and where everything is.
pub struct Condition<B: Backend> {
    /// The prompt's tokens, `[t, width]`.
    text: B::Tensor,
    /// The references' tokens as they were given, and as the blocks take them: `[r, channels]`,
    /// `[r, width]`.
    references: Option<(B::Tensor, B::Tensor)>,
    places: Places<B::Tensor>,
}

/// What a [`Condition`] is made of.
#[derive(Debug)]
pub struct Inputs<'a, T> {
    /// The prompt as the text encoder gives it, `[t, text_width]`.
    pub prompt: &'a T,
    /// Packed latents of the references, one after the other, `[r, channels]`.
    pub references: Option<&'a T>,
    /// The sizes of the noise and of each reference, in this order.
    pub grids: &'a [Grid],
}

/// What is the same for every token of the noise at one step.
pub struct DenoisingStep<'a, B: Backend> {
    /// The prompt and the references.
    pub condition: &'a Condition<B>,
    /// The timestep.
    pub modulation: &'a StepModulation<B::Tensor>,
}

impl<B: Backend> Transformer<B> {
    /// Loads everything but the modulation layers, which are read for the timestep 1, where every
    /// schedule begins, and for those of `timesteps`.
    ///
    /// # Errors
    ///
    /// A tensor that is missing, or has another shape or type than `config` says, or holds a value
    /// that is not finite; a file in another layout; an adapter for another model.
    pub fn load(
        backend: &B,
        weights: Weights,
        fp8: Fp8,
        config: &TransformerConfig,
        timesteps: &[f32],
    ) -> Result<Self, LoadError> {
        layout::refuse_transformer(&weights)?;
        let root = weights.root().with_fp8(fp8);
        let width = config.width();
        let linear =
            |name, inputs, outputs| root.at(name).linear(backend, inputs, outputs, Bias::Yes);
        let block = |i| Block::load(backend, &root.at("transformer_blocks").at(i), config);
        let time = root.at("time_text_embed.timestep_embedder");
        let time = TimeEmbedding::load(backend, &time, width)?;
        let loaded = Self {
            image_in: linear("img_in", config.channels, width)?,
            text_norm: root.tensor(backend, "txt_norm.weight", &[config.text_width])?,
            text_in: linear("txt_in", config.text_width, width)?,
            blocks: (0..config.layers).map(block).collect::<Result<_, _>>()?,
            out: linear("proj_out", width, config.channels)?,
            modulations: ModulationTables::new(weights, fp8, time, config),
            config: config.clone(),
        };
        loaded.warm(backend, timesteps)
    }

    fn warm(mut self, backend: &B, timesteps: &[f32]) -> Result<Self, LoadError> {
        let first = [1.0].into_iter().chain(timesteps.iter().copied());
        let first: Vec<f32> = first.collect();
        self.prepare(backend, &first)?;
        self.modulations.weights().check_lora_merged()?;
        Ok(self)
    }

    /// The bytes of what stays in memory once it is loaded: all but the modulation layers.
    pub fn resident_bytes(backend: &B, weights: &Weights) -> u64 {
        weights.bytes_on(backend, |name| !modulation::is_streamed(name))
    }

    /// Its dimensions.
    pub fn config(&self) -> &TransformerConfig {
        &self.config
    }

    /// What each of these timesteps changes, in order. A timestep is σ as the model is given it,
    /// rounded already. Those that were not used lately are computed from the file, all in one
    /// pass over its modulation layers: give all steps of a schedule at once.
    ///
    /// # Errors
    ///
    /// As [`Self::load`], of the modulation layers.
    pub fn prepare(
        &mut self,
        backend: &B,
        timesteps: &[f32],
    ) -> Result<Vec<StepModulation<B::Tensor>>, LoadError> {
        self.modulations.get(backend, timesteps)
    }

    /// Computes what is the same at every step. Shows `dit.in.encoder_hidden_states`,
    /// `dit.txt_norm`, `dit.txt_in`, `dit.rope_img` and `dit.rope_txt`.
    ///
    /// # Panics
    ///
    /// If the references have another number of tokens than their grids say.
    pub fn condition(
        &self,
        backend: &B,
        inputs: &Inputs<'_, B::Tensor>,
        tap: &mut dyn Tap<B>,
    ) -> Result<Condition<B>, ComputeError> {
        let prompt = inputs.prompt;
        tap.see(
            backend,
            format_args!("dit.in.encoder_hidden_states"),
            prompt,
        )?;
        let normed = backend.rms_norm(prompt, &self.text_norm, EPS)?;
        tap.see(backend, format_args!("dit.txt_norm"), &normed)?;
        let text = backend.linear(&normed, &self.text_in, Activation::None)?;
        tap.see(backend, format_args!("dit.txt_in"), &text)?;
        let references = inputs.references.map(|references| {
            let embedded = backend.linear(references, &self.image_in, Activation::None)?;
            Ok::<_, ComputeError>((references.clone(), embedded))
        });
        let references = references.transpose()?;
        let given = references
            .as_ref()
            .map_or(0, |(given, _)| backend.shape(given)[0]);
        let expected: usize = inputs.grids[1..].iter().map(|grid| grid.tokens()).sum();
        assert_eq!(
            given, expected,
            "BUG: the references are not of their grids' sizes"
        );
        let places = self.places(backend, inputs.grids, backend.shape(&text)[0], tap)?;
        let embedded = references.as_ref().map(|(_, embedded)| embedded);
        backend.settle(
            &[Some(&text), embedded]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>(),
        )?;
        Ok(Condition {
            text,
            references,
            places,
        })
    }

    fn places(
        &self,
        backend: &B,
        grids: &[Grid],
        text_tokens: usize,
        tap: &mut dyn Tap<B>,
    ) -> Result<Places<B::Tensor>, ComputeError> {
        let angles = Angles::new(self.config.axes, grids, text_tokens);
        if tap.is_on() {
            tap.note(format_args!("dit.rope_img"), &angles.image_table());
            tap.note(format_args!("dit.rope_txt"), &angles.text_table());
        }
        let noise_tokens = grids[0].tokens();
        let all = angles.joint(backend, self.config.head_width / 2)?;
        let own = text_tokens..text_tokens + noise_tokens;
        let noise = Rotary {
            cos: backend.rows(&all.cos, own.clone())?,
            sin: backend.rows(&all.sin, own)?,
            pairing: all.pairing,
        };
        Ok(Places {
            all,
            noise,
            text_tokens,
            noise_tokens,
        })
    }

    /// The velocity at one step of packed noise, `[n, channels]` like `latents`.
    ///
    /// Shows `dit.in.hidden_states` and every `dit.*` tensor but those of [`Self::condition`].
    /// Untapped, what nothing looks at is left out of the last block; the result is the same.
    pub fn forward(
        &self,
        backend: &B,
        latents: &B::Tensor,
        step: &DenoisingStep<'_, B>,
        tap: &mut dyn Tap<B>,
    ) -> Result<B::Tensor, ComputeError> {
        let DenoisingStep {
            condition,
            modulation,
        } = *step;
        condition.show(backend, latents, tap)?;
        modulation.show(backend, tap)?;
        let mut x = Streams {
            image: self.embed(backend, latents, condition)?,
            text: condition.text.clone(),
        };
        tap.see(backend, format_args!("dit.img_in"), &x.image)?;
        let last = self.blocks.len() - 1;
        let block_step = |i: usize| Step {
            backend,
            modulation: &modulation.blocks[i],
            places: &condition.places,
        };
        for (i, block) in self.blocks[..last].iter().enumerate() {
            x = block.forward(&block_step(i), &x, i, tap)?;
        }
        let block = &self.blocks[last];
        if !tap.is_on() {
            let noise = block.forward_last(&block_step(last), &x)?;
            return self.head(backend, &noise, modulation, tap);
        }
        let image = block.forward(&block_step(last), &x, last, tap)?.image;
        let all = self.head(backend, &image, modulation, tap)?;
        backend.rows(&all, 0..condition.places.noise_tokens)
    }

    /// Tokens of the noise and the references, `[n + r, width]`.
    fn embed(
        &self,
        backend: &B,
        latents: &B::Tensor,
        condition: &Condition<B>,
    ) -> Result<B::Tensor, ComputeError> {
        let noise = backend.linear(latents, &self.image_in, Activation::None)?;
        match &condition.references {
            None => Ok(noise),
            Some((_, references)) => backend.concat(&[&noise, references]),
        }
    }

    fn head(
        &self,
        backend: &B,
        x: &B::Tensor,
        modulation: &StepModulation<B::Tensor>,
        tap: &mut dyn Tap<B>,
    ) -> Result<B::Tensor, ComputeError> {
        // One row for all.
        let split = backend.shape(x)[0];
        let row = |rows| Modulation { rows, split };
        let (shift, scale) = (row(&modulation.out_shift), row(&modulation.out_scale));
        let x = backend.modulated_norm(x, shift, scale, EPS)?;
        tap.see(backend, format_args!("dit.norm_out"), &x)?;
        backend.linear(&x, &self.out, Activation::None)
    }
}

impl<B: Backend> Condition<B> {
    /// Shows what goes in.
    fn show(
        &self,
        backend: &B,
        latents: &B::Tensor,
        tap: &mut dyn Tap<B>,
    ) -> Result<(), ComputeError> {
        match &self.references {
            Some((given, _)) if tap.is_on() => {
                let all = backend.concat(&[latents, given])?;
                tap.see(backend, format_args!("dit.in.hidden_states"), &all)
            }
            _ => tap.see(backend, format_args!("dit.in.hidden_states"), latents),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn norms_have_the_references_epsilon() {
        // `eps=1e-6` throughout `transformer_qwenimage.py`.
        assert_eq!(super::EPS.to_bits(), 1e-6_f32.to_bits());
    }
}
