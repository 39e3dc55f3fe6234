//! The stages of a run.

use std::fmt;

use image::RgbImage;
use tryon_engine::Stage;

use super::{
    Backend, ComputeError, Condition, Grid, Inputs, Job, Part, Pipeline, Reference, RunError, Tap,
    Watch, schedule,
};
use crate::{
    cfg,
    dit::{DenoisingStep, StepModulation},
    tap::Untapped,
    text::VisionFeatures,
};

/// What the text encoder made of the prompts.
pub(super) struct Encoded<B: Backend> {
    positive: B::Tensor,
    negative: Option<B::Tensor>,
}

/// What the transformer is given besides noise.
pub(super) struct Denoised<'a, B: Backend> {
    /// The sizes of the result and of each reference.
    pub(super) grids: &'a [Grid],
    /// The prompts.
    pub(super) encoded: &'a Encoded<B>,
    /// The references' latents, packed.
    pub(super) references: &'a B::Tensor,
}

impl<B: Backend> Pipeline<B> {
    /// Begins a stage with the part of the model that does it. Where that is not there it is loaded
    /// first, which is a stage of its own; what a device still computes of the stage before, because
    /// nobody waited for it, is told as a part of that.
    pub(super) fn begin(
        &mut self,
        stage: Stage,
        part: Part,
        watch: &mut dyn Watch,
    ) -> Result<(), RunError> {
        if !self.has(part) {
            watch.stage(Stage::Load);
            self.load(&[part])?;
        }
        watch.stage(stage);
        Ok(())
    }

    pub(super) fn encode_prompts(
        &mut self,
        job: &Job<'_>,
        references: &[Reference],
        (watch, tap): (&mut dyn Watch, &mut dyn Tap<B>),
    ) -> Result<Encoded<B>, RunError> {
        self.begin(Stage::EncodeInputs, Part::Encoder, watch)?;
        let encoder = self.encoder.as_ref().expect("BUG: the encoder was loaded");
        let inputs: Vec<_> = references.iter().map(|it| it.vision.clone()).collect();
        let seen = encoder.look(&self.backend, &inputs, tap)?;
        let positive = self.encode(job, job.prompt, (references, &seen), tap)?;
        let negative = job.negative_prompt.filter(|_| job.is_guided());
        let negative = negative.map(|prompt| {
            self.encode(job, prompt, (references, &seen), &mut Prefixed("neg.", tap))
        });
        let encoded = Encoded {
            positive,
            negative: negative.transpose()?,
        };
        // Before the encoder is freed.
        let prompts = [Some(&encoded.positive), encoded.negative.as_ref()];
        self.backend
            .settle(&prompts.into_iter().flatten().collect::<Vec<_>>())?;
        self.free_unless_whole();
        Ok(encoded)
    }

    fn encode(
        &self,
        job: &Job<'_>,
        prompt: &str,
        (references, seen): (&[Reference], &VisionFeatures<B>),
        tap: &mut dyn Tap<B>,
    ) -> Result<B::Tensor, RunError> {
        let encoder = self.encoder.as_ref().expect("BUG: the encoder was loaded");
        let merge = self.survey.processor.merge_size();
        let grids: Vec<_> = references
            .iter()
            .map(|it| it.vision.grid.merged(merge))
            .collect();
        let mut prompt = self.survey.tokeniser.prompt(prompt, &grids);
        if let Some(drop) = job.drop {
            prompt = prompt.with_drop(drop);
        }
        encoder.encode(&self.backend, &prompt, seen, tap)
    }

    /// The references' latents, packed, one after the other.
    pub(super) fn encode_pictures(
        &mut self,
        pictures: &[RgbImage],
        (watch, tap): (&mut dyn Watch, &mut dyn Tap<B>),
    ) -> Result<B::Tensor, RunError> {
        self.begin(Stage::EncodeInputs, Part::Vae, watch)?;
        let vae = self.vae.as_ref().expect("BUG: the autoencoder was loaded");
        let mut packed = Vec::new();
        for (index, picture) in pictures.iter().enumerate() {
            // The golden files have the first one.
            let mut untapped = Untapped;
            let tap: &mut dyn Tap<B> = if index == 0 { tap } else { &mut untapped };
            let latent = vae.encode(&self.backend, picture, tap)?;
            let size = self.latent_size(picture.width(), picture.height());
            packed.extend(size.pack(&latent));
        }
        let channels = self.survey.transformer.channels;
        let rows = packed.len() / channels;
        let latents = self.backend.upload(packed, &[rows, channels])?;
        self.free_unless_whole();
        Ok(latents)
    }

    pub(super) fn denoise(
        &mut self,
        job: &Job<'_>,
        inputs: &Denoised<'_, B>,
        (total, watch): (usize, &mut dyn Watch),
        tap: &mut dyn Tap<B>,
    ) -> Result<Vec<f32>, RunError> {
        self.begin(Stage::Denoise, Part::Transformer, watch)?;
        let Denoised {
            grids,
            encoded,
            references,
        } = *inputs;
        let tokens = grids[0].tokens();
        let mut latents = self.noise(job, tokens)?;
        note(tap, format_args!("pipe.noise"), &latents);
        let sigmas = self
            .survey
            .scheduler
            .sigmas(job.schedule, job.steps, tokens);
        let timesteps = timesteps(job, &sigmas, tap);
        let transformer = self
            .transformer
            .as_mut()
            .expect("BUG: the transformer was loaded");
        let modulations = transformer.prepare(&self.backend, &timesteps)?;
        let condition = |prompt, tap: &mut dyn Tap<B>| {
            let inputs = Inputs {
                prompt,
                references: Some(references),
                grids,
            };
            transformer.condition(&self.backend, &inputs, tap)
        };
        let conditions = Conditions {
            positive: condition(&encoded.positive, tap)?,
            negative: match &encoded.negative {
                None => None,
                Some(prompt) => Some(condition(prompt, &mut Untapped)?),
            },
        };
        for (i, modulation) in modulations.iter().enumerate() {
            let velocity = self.velocity(job, &latents, (&conditions, modulation), tap)?;
            note(tap, format_args!("pipe.step.{i}.noise_pred"), &velocity);
            schedule::step(&mut latents, &velocity, sigmas[i], sigmas[i + 1]);
            note(tap, format_args!("pipe.step.{i}.latents"), &latents);
            watch.advance(total)?;
        }
        self.free_unless_whole();
        if latents.iter().all(|value| value.is_finite()) {
            Ok(latents)
        } else {
            Err(RunError::NotFinite)
        }
    }

    /// The velocity at one step, guided if that was asked for.
    fn velocity(
        &self,
        job: &Job<'_>,
        latents: &[f32],
        (conditions, modulation): (&Conditions<B>, &StepModulation<B::Tensor>),
        tap: &mut dyn Tap<B>,
    ) -> Result<Vec<f32>, ComputeError> {
        let transformer = self
            .transformer
            .as_ref()
            .expect("BUG: the transformer was loaded");
        let channels = self.survey.transformer.channels;
        let shape = [latents.len() / channels, channels];
        let noise = self.backend.upload(latents.to_vec(), &shape)?;
        let forward = |condition, tap: &mut dyn Tap<B>| {
            let step = DenoisingStep {
                condition,
                modulation,
            };
            let velocity = transformer.forward(&self.backend, &noise, &step, tap)?;
            self.backend.download(&velocity)
        };
        let positive = forward(&conditions.positive, tap)?;
        match &conditions.negative {
            None => Ok(positive),
            Some(condition) => {
                let negative = forward(condition, &mut Untapped)?;
                Ok(cfg::guide(
                    &positive,
                    &negative,
                    job.true_cfg_scale,
                    channels,
                ))
            }
        }
    }
}

/// The prompts as the transformer takes them.
struct Conditions<B: Backend> {
    positive: Condition<B>,
    negative: Option<Condition<B>>,
}

/// The timesteps as the model is given them.
fn timesteps<B: Backend>(job: &Job<'_>, sigmas: &[f32], tap: &mut dyn Tap<B>) -> Vec<f32> {
    let steps = &sigmas[..job.steps];
    let timesteps: Vec<f32> = steps
        .iter()
        .map(|sigma| schedule::model_timestep(*sigma, job.rounding))
        .collect();
    if tap.is_on() {
        let counted: Vec<f32> = steps
            .iter()
            .map(|sigma| schedule::timestep(*sigma))
            .collect();
        note(tap, format_args!("pipe.sigmas"), sigmas);
        note(tap, format_args!("pipe.timesteps"), &counted);
        note(tap, format_args!("dit.in.timestep"), &timesteps[..1]);
    }
    timesteps
}

/// The result as the reference gives it: `[3, h, w]` in 0..1, and its bytes likewise.
pub(super) fn note_picture<B: Backend>(values: &[f32], picture: &RgbImage, tap: &mut dyn Tap<B>) {
    if !tap.is_on() {
        return;
    }
    let unit = crate::tap::planes(values, 3);
    let unit: Vec<f32> = unit
        .iter()
        .map(|value| (value.clamp(-1.0, 1.0) / 2.0 + 0.5).clamp(0.0, 1.0))
        .collect();
    note(tap, format_args!("pipe.image"), &unit);
    let bytes: Vec<f32> = picture
        .as_raw()
        .iter()
        .map(|byte| f32::from(*byte))
        .collect();
    note(
        tap,
        format_args!("pipe.image_u8"),
        &crate::tap::planes(&bytes, 3),
    );
}

fn note<B: Backend>(tap: &mut dyn Tap<B>, name: fmt::Arguments<'_>, values: &[f32]) {
    if tap.is_on() {
        let values: Vec<f64> = values.iter().copied().map(f64::from).collect();
        tap.note(name, &values);
    }
}

/// Shows everything under names that begin otherwise.
struct Prefixed<'a, B: Backend>(&'static str, &'a mut dyn Tap<B>);

impl<B: Backend> Tap<B> for Prefixed<'_, B> {
    fn is_on(&self) -> bool {
        self.1.is_on()
    }

    fn see(
        &mut self,
        backend: &B,
        name: fmt::Arguments<'_>,
        tensor: &B::Tensor,
    ) -> Result<(), ComputeError> {
        self.1
            .see(backend, format_args!("{}{name}", self.0), tensor)
    }

    fn note(&mut self, name: fmt::Arguments<'_>, values: &[f64]) {
        self.1.note(format_args!("{}{name}", self.0), values);
    }
}
