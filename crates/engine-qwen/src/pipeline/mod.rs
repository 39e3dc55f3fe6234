//! From a prompt and pictures to a picture.
//!
//! diffusers 0.42.1, `pipelines/qwenimage/pipeline_qwenimage_edit_plus.py`, with positions on three
//! axes as the model was trained with (the published pipeline drops them with transformers 5).
//!
//! The text encoder reads the prompt and looks at the references, the autoencoder turns them into
//! latents, the transformer denoises and the autoencoder shows the result. In a model that is not
//! resident as a whole each part is freed before the next is loaded.

mod files;
mod job;
mod load;
mod memory;
mod stage;

use std::sync::Arc;

use image::RgbImage;
use tryon_engine::Stage;

pub use self::{
    files::{Adapter, ModelFiles},
    job::{Job, Noise},
    memory::{Residency, device_memory},
};
use self::{
    files::{Part, Survey},
    memory::Room,
};
use crate::{
    backend::Backend,
    dit::{Condition, Grid, Inputs, Transformer},
    error::{ComputeError, LoadError, RunError},
    image::Reference,
    latent::LatentSize,
    noise, schedule,
    tap::Tap,
    text::TextEncoder,
    vae::{Vae, to_image},
    weights::{Follow, Unfollowed},
};

/// Follows a run.
pub trait Watch {
    /// Takes note that another of `total` pieces of work is done. An error ends the run.
    fn advance(&mut self, total: usize) -> Result<(), RunError>;

    /// Takes note that a stage begins, as a [`Monitor`](tryon_engine::Monitor) does.
    fn stage(&mut self, _stage: Stage) {}
}

/// A model that makes pictures.
pub struct Pipeline<B: Backend> {
    backend: B,
    files: ModelFiles,
    survey: Survey,
    residency: Residency,
    follower: Arc<dyn Follow>,
    encoder: Option<TextEncoder<B>>,
    transformer: Option<Transformer<B>>,
    vae: Option<Vae<B>>,
}

/// Pieces of work besides the steps: the prompt, the references, the result.
const PIECES: usize = 3;

impl<B: Backend> Pipeline<B> {
    /// Opens a model: its configuration and the header of every file are checked, and it is
    /// refused if it does not fit. What stays resident is loaded.
    pub fn open(backend: B, files: ModelFiles, wanted: Residency) -> Result<Self, LoadError> {
        Self::open_followed(backend, files, wanted, Arc::new(Unfollowed))
    }

    /// The same, with `follower` told how far it is: here, and whenever a part is loaded for a
    /// request.
    pub fn open_followed(
        backend: B,
        files: ModelFiles,
        wanted: Residency,
        follower: Arc<dyn Follow>,
    ) -> Result<Self, LoadError> {
        let survey = files.survey(&backend)?;
        let room = Room::of(backend.free_memory());
        let residency = memory::decide(wanted, survey.sizes, room, files.path())?;
        let mut pipeline = Self {
            backend,
            files,
            survey,
            residency,
            follower,
            encoder: None,
            transformer: None,
            vae: None,
        };
        pipeline.load_resident()?;
        Ok(pipeline)
    }

    /// What stays in memory.
    pub fn residency(&self) -> Residency {
        self.residency
    }

    /// What it computes on.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// What the sides of a result are whole multiples of.
    pub fn multiple(&self) -> u32 {
        (self.survey.vae.scale_factor() * self.survey.transformer.patch) as u32
    }

    /// Makes a picture. After an error no more stays in memory than before.
    pub fn run(
        &mut self,
        job: &Job<'_>,
        watch: &mut dyn Watch,
        tap: &mut dyn Tap<B>,
    ) -> Result<RgbImage, RunError> {
        let made = self.make(job, watch, tap);
        self.free_unless_whole();
        made
    }

    fn make(
        &mut self,
        job: &Job<'_>,
        watch: &mut dyn Watch,
        tap: &mut dyn Tap<B>,
    ) -> Result<RgbImage, RunError> {
        job.check(self.multiple())?;
        let total = job.steps + PIECES;
        watch.stage(Stage::EncodeInputs);
        let references = self.prepare(job, tap)?;
        let encoded = self.encode_prompts(job, &references, (watch, tap))?;
        watch.advance(total)?;
        let pictures: Vec<RgbImage> = references.into_iter().map(|it| it.vae).collect();
        let latents = self.encode_pictures(&pictures, (watch, tap))?;
        watch.advance(total)?;
        let grids = self.grids(job, &pictures);
        let inputs = stage::Denoised {
            grids: &grids,
            encoded: &encoded,
            references: &latents,
        };
        let latents = self.denoise(job, &inputs, (total, watch), tap)?;
        let picture = self.decode(job, &latents, (watch, tap))?;
        watch.advance(total)?;
        Ok(picture)
    }

    fn prepare(&self, job: &Job<'_>, tap: &mut dyn Tap<B>) -> Result<Vec<Reference>, RunError> {
        let processor = &self.survey.processor;
        let prepare = |(index, picture): (usize, &RgbImage)| {
            Reference::prepare::<B>(picture, index, job.areas, processor, tap)
        };
        job.references.iter().enumerate().map(prepare).collect()
    }

    /// The size of the result and of each reference in tokens.
    fn grids(&self, job: &Job<'_>, pictures: &[RgbImage]) -> Vec<Grid> {
        let token = self.multiple() as usize;
        let grid = |width: u32, height: u32| Grid {
            height: height as usize / token,
            width: width as usize / token,
        };
        let references = pictures
            .iter()
            .map(|picture| grid(picture.width(), picture.height()));
        [grid(job.width, job.height)]
            .into_iter()
            .chain(references)
            .collect()
    }

    fn latent_size(&self, width: u32, height: u32) -> LatentSize {
        let factor = self.survey.vae.scale_factor();
        LatentSize {
            channels: self.survey.vae.z_dim,
            height: height as usize / factor,
            width: width as usize / factor,
            patch: self.survey.transformer.patch,
        }
    }

    /// Where the result begins, packed.
    fn noise(&self, job: &Job<'_>, tokens: usize) -> Result<Vec<f32>, RunError> {
        let channels = self.survey.transformer.channels;
        match job.noise {
            Noise::Given(noise) if noise.len() == tokens * channels => Ok(noise.to_vec()),
            Noise::Given(noise) => Err(RunError::input(format!(
                "the noise has {} numbers, and a picture of this size {}",
                noise.len(),
                tokens * channels
            ))),
            Noise::Seed(seed) => {
                // In 16 bits, as the reference draws it with a model in that type.
                let pixels = noise::randn_bf16(seed, tokens * channels);
                Ok(self.latent_size(job.width, job.height).pack(&pixels))
            }
        }
    }

    fn decode(
        &mut self,
        job: &Job<'_>,
        latents: &[f32],
        (watch, tap): (&mut dyn Watch, &mut dyn Tap<B>),
    ) -> Result<RgbImage, RunError> {
        self.begin(Stage::DecodeLatents, Part::Vae, watch)?;
        let size = self.latent_size(job.width, job.height);
        let latents = size.unpack(latents);
        let vae = self.vae.as_ref().expect("BUG: the autoencoder was loaded");
        if !tap.is_on() {
            return Ok(vae.decode_to_image(&self.backend, &latents, size)?);
        }
        let values = vae.decode(&self.backend, &latents, size, tap)?;
        let picture = to_image(&values, job.width, job.height);
        stage::note_picture(&values, &picture, tap);
        Ok(picture)
    }
}
