//! A model with random weights makes pictures, by everything that makes those of a checkpoint's.
//!
//! It does what [`Pipeline`](crate::pipeline::Pipeline) does with everything in memory, but for the
//! tokenizer, and waits for the device after each stage to tell how long that took.

use std::{iter, path::Path, sync::Arc};

use image::RgbImage;

use super::{
    Case, Timed,
    table::{STEPS, Stopwatch},
};
use crate::{
    backend::Backend,
    dit::{Condition, DenoisingStep, Grid, Inputs, StepModulation, Transformer, TransformerConfig},
    error::{ComputeError, LoadError, RunError},
    image::{Areas, Processor, Reference},
    latent::LatentSize,
    noise,
    schedule::{self, Rounding, Schedule, SchedulerConfig},
    tap::Untapped,
    text::{EncoderConfig, TextEncoder, TokenisedPrompt, VisionFeatures},
    vae::{Vae, VaeConfig},
    weights::{Fp8, Random, RandomKind, Weights},
};

/// Tokens of the system's prompt, whose states are dropped.
const DROP: usize = 64;
/// Numbers that the largest tensor of a small model has at most.
const LEAST: usize = 1 << 20;

/// The model.
pub(super) struct Model<B: Backend> {
    backend: B,
    processor: Processor,
    scheduler: SchedulerConfig,
    /// How many tokens it knows.
    vocabulary: usize,
    encoder: TextEncoder<B>,
    transformer: Transformer<B>,
    vae: Vae<B>,
}

/// What the processor makes of a case.
struct Prepared {
    references: Vec<Reference>,
    prompt: TokenisedPrompt,
    /// Packed.
    noise: Vec<f32>,
    sigmas: Vec<f32>,
}

/// What every step is given.
struct Steps<B: Backend> {
    modulations: Vec<StepModulation<B::Tensor>>,
    condition: Condition<B>,
}

impl<B: Backend> Model<B> {
    /// A model as the configurations in this folder say, which lie as in a checkpoint. `kind` is
    /// that of the transformer's matrices; all else is in 16 bits.
    pub(super) fn load(backend: B, folder: &Path, kind: RandomKind) -> Result<Self, LoadError> {
        let processor = Processor::open(folder)?;
        let encoder = EncoderConfig::without_tokeniser(folder, &processor)?;
        let transformer = TransformerConfig::read(&folder.join("transformer/config.json"))?;
        let vae = VaeConfig::read(&folder.join("vae/config.json"))?;
        let random = random(&encoder, &transformer);
        let [text, pictures] = [RandomKind::Bf16; 2].map(|kind| Weights::random(&random, kind));
        let blocks = Weights::random(&random, kind);
        Ok(Self {
            scheduler: SchedulerConfig::read(&folder.join("scheduler/scheduler_config.json"))?,
            processor,
            vocabulary: encoder.language.vocab_size,
            encoder: TextEncoder::load_from(&backend, text, encoder)?,
            transformer: Transformer::load(&backend, blocks, Fp8::Dynamic, &transformer, &[])?,
            vae: Vae::load(&backend, &pictures, vae)?,
            backend,
        })
    }

    pub(super) fn backend(&self) -> &B {
        &self.backend
    }

    /// Makes a picture out of photos of its references' sizes.
    ///
    /// # Errors
    ///
    /// Those of the device, and numbers on the way that are none.
    pub(super) fn time(&mut self, case: &Case, photos: &[RgbImage]) -> Result<Timed, RunError> {
        let mut watch = Stopwatch::start();
        let prepared = self.prepare(case, photos)?;
        let prepare = watch.lap();
        let seen = self.look(&prepared)?;
        let vision = watch.lap();
        let prompt = self.read(&prepared, &seen)?;
        let text = watch.lap();
        let references = self.encode(&prepared)?;
        let encode = watch.lap();
        let given = self.given(case, &prepared, [&prompt, &references])?;
        let tables = watch.lap();
        let mut latents = prepared.noise;
        let mut steps = [0.0; STEPS];
        for (index, modulation) in given.modulations.iter().enumerate() {
            let velocity = self.velocity(&latents, &given.condition, modulation)?;
            let [before, after] = [prepared.sigmas[index], prepared.sigmas[index + 1]];
            schedule::step(&mut latents, &velocity, before, after);
            steps[index] = watch.lap();
        }
        let size = self.size(case.result);
        let latent = size.unpack(&latents);
        self.vae.decode_to_image(&self.backend, &latent, size)?;
        let decode = watch.lap();
        self.check(&prompt, &latent, size)?;
        Ok(Timed {
            prepare,
            vision,
            text,
            encode,
            tables,
            steps,
            decode,
            total: watch.total(),
        })
    }

    fn prepare(&self, case: &Case, photos: &[RgbImage]) -> Result<Prepared, RunError> {
        let reference = |(index, photo): (usize, &RgbImage)| {
            let areas = Areas {
                condition: case.condition,
                vae: photo.width() * photo.height(),
            };
            Reference::prepare::<B>(photo, index, areas, &self.processor, &mut Untapped)
        };
        let references: Vec<Reference> = photos
            .iter()
            .enumerate()
            .map(reference)
            .collect::<Result<_, _>>()?;
        let size = self.size(case.result);
        let noise = size.pack(&noise::randn_bf16(
            42,
            size.channels * size.height * size.width,
        ));
        let tokens = noise.len() / self.transformer.config().channels;
        let schedule = Schedule::LightningShift3;
        Ok(Prepared {
            prompt: self.prompt(case, &references),
            references,
            sigmas: self.scheduler.sigmas(schedule, STEPS, tokens),
            noise,
        })
    }

    /// Some tokens, with a picture's between two of them each.
    fn prompt(&self, case: &Case, references: &[Reference]) -> TokenisedPrompt {
        let merge = self.processor.merge_size();
        let grids = references.iter().map(|it| it.vision.grid.merged(merge));
        let grids: Vec<_> = grids.collect();
        let whole = DROP + case.text;
        let mut end = DROP;
        let pictures = grids.iter().map(|grid| {
            let start = end + 1;
            end = start + grid.area();
            start..end
        });
        let pictures: Vec<_> = pictures.collect();
        assert!(end < whole, "BUG: a prompt has room for its pictures");
        let id = |place: usize| (place * 7919 % self.vocabulary) as u32;
        TokenisedPrompt {
            ids: (0..whole).map(id).collect(),
            pictures,
            grids,
            drop: DROP,
        }
    }

    fn look(&self, prepared: &Prepared) -> Result<VisionFeatures<B>, RunError> {
        let pictures = prepared.references.iter().map(|it| it.vision.clone());
        let pictures: Vec<_> = pictures.collect();
        let seen = self.encoder.look(&self.backend, &pictures, &mut Untapped)?;
        self.finish(seen.tokens())?;
        Ok(seen)
    }

    fn read(&self, prepared: &Prepared, seen: &VisionFeatures<B>) -> Result<B::Tensor, RunError> {
        let (backend, prompt) = (&self.backend, &prepared.prompt);
        let states = self.encoder.encode(backend, prompt, seen, &mut Untapped)?;
        self.finish(&states)?;
        Ok(states)
    }

    /// The references' latents, packed, one after the other.
    fn encode(&self, prepared: &Prepared) -> Result<B::Tensor, ComputeError> {
        let mut packed = Vec::new();
        for reference in &prepared.references {
            let picture = &reference.vae;
            let latent = self.vae.encode(&self.backend, picture, &mut Untapped)?;
            packed.extend(self.size(picture.dimensions().into()).pack(&latent));
        }
        let channels = self.transformer.config().channels;
        let rows = packed.len() / channels;
        self.backend.upload(packed, &[rows, channels])
    }

    fn given(
        &mut self,
        case: &Case,
        prepared: &Prepared,
        [prompt, references]: [&B::Tensor; 2],
    ) -> Result<Steps<B>, RunError> {
        let sigmas = &prepared.sigmas[..STEPS];
        let timesteps = sigmas
            .iter()
            .map(|sigma| schedule::model_timestep(*sigma, Rounding::Bf16));
        let timesteps: Vec<f32> = timesteps.collect();
        let modulations = self.transformer.prepare(&self.backend, &timesteps)?;
        let references_of = prepared.references.iter();
        let references_of = references_of.map(|it| it.vae.dimensions().into());
        let sides: Vec<[u32; 2]> = iter::once(case.result).chain(references_of).collect();
        let grids: Vec<Grid> = sides.into_iter().map(|sides| self.grid(sides)).collect();
        let inputs = Inputs {
            prompt,
            references: Some(references),
            grids: &grids,
        };
        let condition = self
            .transformer
            .condition(&self.backend, &inputs, &mut Untapped)?;
        // Everything before has happened too.
        self.finish(prompt)?;
        Ok(Steps {
            modulations,
            condition,
        })
    }

    fn velocity(
        &self,
        latents: &[f32],
        condition: &Condition<B>,
        modulation: &StepModulation<B::Tensor>,
    ) -> Result<Vec<f32>, ComputeError> {
        let channels = self.transformer.config().channels;
        let shape = [latents.len() / channels, channels];
        let noise = self.backend.upload(latents.to_vec(), &shape)?;
        let step = DenoisingStep {
            condition,
            modulation,
        };
        let velocity = self
            .transformer
            .forward(&self.backend, &noise, &step, &mut Untapped)?;
        self.backend.download(&velocity)
    }

    /// Waits until this is computed.
    fn finish(&self, tensor: &B::Tensor) -> Result<(), ComputeError> {
        self.backend.settle(&[tensor])?;
        let row = self.backend.rows(tensor, 0..1)?;
        self.backend.download(&row)?;
        Ok(())
    }

    /// Whether everything that came out is a number.
    fn check(&self, prompt: &B::Tensor, latent: &[f32], size: LatentSize) -> Result<(), RunError> {
        let states = self.backend.download(prompt)?;
        let picture = self
            .vae
            .decode(&self.backend, latent, size, &mut Untapped)?;
        let all = states.iter().chain(latent).chain(&picture);
        if all.copied().all(f32::is_finite) {
            Ok(())
        } else {
            Err(RunError::NotFinite)
        }
    }

    fn size(&self, [width, height]: [u32; 2]) -> LatentSize {
        let patch = self.transformer.config().patch;
        self.vae.latent_size(width as usize, height as usize, patch)
    }

    /// In tokens.
    fn grid(&self, sides: [u32; 2]) -> Grid {
        let LatentSize {
            height,
            width,
            patch,
            ..
        } = self.size(sides);
        Grid {
            height: height / patch,
            width: width / patch,
        }
    }
}

/// Enough for the largest tensors.
fn random(encoder: &EncoderConfig, transformer: &TransformerConfig) -> Arc<Random> {
    let text = &encoder.language;
    let embeddings = text.vocab_size * text.hidden_size;
    let mlp = text.intermediate_size * text.hidden_size;
    let modulation = 6 * transformer.width() * transformer.width();
    let most = embeddings.max(mlp).max(modulation).max(LEAST);
    Arc::new(Random::new(most, modulation))
}
