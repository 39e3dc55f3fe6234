//! Which files make a model, and how large it is.

use std::path::{Path, PathBuf};

use crate::{
    backend::Backend,
    dit::{Transformer, TransformerConfig},
    error::LoadError,
    image::Processor,
    lora::Lora,
    schedule::SchedulerConfig,
    text::{EncoderConfig, TextEncoder, Tokeniser},
    vae::VaeConfig,
    weights::{Fp8, Weights},
};

/// An adapter and how strongly it acts.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapter {
    /// Its file.
    pub path: PathBuf,
    /// 1 is as trained.
    pub strength: f32,
}

/// The files of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFiles {
    /// The folder of a checkpoint in the layout of diffusers.
    pub checkpoint: PathBuf,
    /// A transformer in `LightX2V`'s form of FP8, instead of the checkpoint's own.
    pub fp8: Option<PathBuf>,
    /// How FP8 is computed with.
    pub fp8_mode: Fp8,
    /// An adapter that is merged into the transformer.
    pub adapter: Option<Adapter>,
    /// The transformer's configuration, where it is not the checkpoint's own.
    pub transformer_config: Option<PathBuf>,
}

impl ModelFiles {
    /// The checkpoint alone.
    pub fn of(checkpoint: impl Into<PathBuf>) -> Self {
        Self {
            checkpoint: checkpoint.into(),
            fp8: None,
            fp8_mode: Fp8::default(),
            adapter: None,
            transformer_config: None,
        }
    }

    pub(super) fn encoder(&self) -> Result<Weights, LoadError> {
        Weights::open(&self.checkpoint.join("text_encoder"))
    }

    /// Opens the transformer's tensors, the adapter among them.
    pub(super) fn transformer(&self) -> Result<Weights, LoadError> {
        let own = || self.checkpoint.join("transformer");
        let weights = Weights::open(&self.fp8.clone().unwrap_or_else(own))?;
        match &self.adapter {
            None => Ok(weights),
            Some(Adapter { path, strength }) => weights.with_lora(Lora::open(path, *strength)?),
        }
    }

    pub(super) fn vae(&self) -> Result<Weights, LoadError> {
        Weights::open(&self.checkpoint.join("vae"))
    }

    /// Opens everything, reads every header, and computes nothing.
    pub(super) fn survey<B: Backend>(&self, backend: &B) -> Result<Survey, LoadError> {
        let at = |name: &str| self.checkpoint.join(name);
        let tokeniser = Tokeniser::open(&self.checkpoint)?;
        let processor = Processor::open(&self.checkpoint)?;
        let encoder = EncoderConfig::open(&self.checkpoint, &tokeniser, &processor)?;
        let own = at("transformer/config.json");
        let config = self.transformer_config.as_deref().unwrap_or(&own);
        let transformer = TransformerConfig::read(config)?;
        let vae = VaeConfig::read(&at("vae/config.json"))?;
        let scheduler = SchedulerConfig::read(&at("scheduler/scheduler_config.json"))?;
        let [sizes, read] = self.sizes(backend)?;
        Ok(Survey {
            tokeniser,
            processor,
            encoder,
            transformer,
            vae,
            scheduler,
            sizes,
            read,
        })
    }

    /// What the parts take in memory, and what is read of their files.
    fn sizes<B: Backend>(&self, backend: &B) -> Result<[Sizes; 2], LoadError> {
        let (encoder, transformer, vae) = (self.encoder()?, self.transformer()?, self.vae()?);
        let taken = Sizes {
            encoder: encoder.bytes_on(backend, |_| true),
            transformer: Transformer::resident_bytes(backend, &transformer),
            vae: vae.bytes_on(backend, |_| true),
        };
        let read = Sizes {
            encoder: TextEncoder::<B>::bytes_read(&encoder),
            transformer: transformer.total_bytes(),
            vae: vae.total_bytes(),
        };
        Ok([taken, read])
    }

    /// The file that a fault of the whole model is told of.
    pub(super) fn path(&self) -> &Path {
        &self.checkpoint
    }
}

/// What is known of a model before it is loaded.
pub(super) struct Survey {
    pub(super) tokeniser: Tokeniser,
    pub(super) processor: Processor,
    pub(super) encoder: EncoderConfig,
    pub(super) transformer: TransformerConfig,
    pub(super) vae: VaeConfig,
    pub(super) scheduler: SchedulerConfig,
    /// What its parts take in memory.
    pub(super) sizes: Sizes,
    /// What is read of their files to load them.
    pub(super) read: Sizes,
}

/// A part of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Encoder,
    Transformer,
    Vae,
}

/// Bytes of the parts of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) encoder: u64,
    pub(super) transformer: u64,
    pub(super) vae: u64,
}

impl Sizes {
    pub(super) const fn of(self, part: Part) -> u64 {
        match part {
            Part::Encoder => self.encoder,
            Part::Transformer => self.transformer,
            Part::Vae => self.vae,
        }
    }
}
