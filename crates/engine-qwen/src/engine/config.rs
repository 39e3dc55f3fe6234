//! What an engine is set up with.

use std::{fs, path::PathBuf};

use serde::{Deserialize, Serialize};
use tryon_core::task::Provider;
use tryon_engine::EngineError;

use super::device::Device;
use crate::{
    error::LoadError,
    image::Areas,
    pipeline::{Adapter, ModelFiles, Residency, device_memory},
    prompt::{Language, Prompts},
    schedule::Schedule,
    weights::Fp8,
};

/// How the weights of the transformer are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// `LightX2V`'s FP8 checkpoint with the Lightning adapter merged into it: four steps.
    Fp8,
    /// The base model with the Lightning adapter: four or eight steps.
    Lora,
    /// The base model: forty steps with guidance.
    Base,
}

/// What an engine is set up with. It travels to the worker process as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineConfig {
    /// Whom it answers for: `qwen` or `lightxv`.
    pub provider: Provider,
    /// How the weights are used; `lightxv` is [`Mode::Fp8`] alone.
    pub mode: Mode,
    /// The folder of a checkpoint in the layout of diffusers.
    pub checkpoint: PathBuf,
    /// `LightX2V`'s FP8 file or its folder, for [`Mode::Fp8`].
    pub fp8: PathBuf,
    /// Whether activations are quantised too (W8A8), as the FP8 file expects.
    pub fp8_activations: bool,
    /// The Lightning adapter or its folder, for [`Mode::Lora`].
    pub adapter: PathBuf,
    /// How strongly it acts; 1 is as trained.
    pub adapter_strength: f32,
    /// The person parser's folder; not used where there is none.
    pub parser: PathBuf,
    /// The moderator's folder; not used where there is none.
    pub moderator: PathBuf,
    /// What to compute on.
    #[serde(default)]
    pub device: Device,
    /// Where a GPU's compiled kernels and timed products are kept; nowhere where absent.
    #[serde(default)]
    pub cache: Option<PathBuf>,
    /// The schedule's name, where it is not the mode's own.
    pub schedule: Option<String>,
    /// Whether one part of the model is in memory at a time: found out where absent.
    pub low_memory: Option<bool>,
    /// `en` or `zh`.
    pub language: String,
    /// A file whose prompts replace the built-in ones.
    pub prompts: Option<PathBuf>,
    /// Pixels of a reference for the text encoder and the autoencoder, where they are not those
    /// that the model was trained with.
    pub areas: Option<(u32, u32)>,
}

impl EngineConfig {
    /// A model of these files with everything else as published.
    pub fn new(provider: Provider, mode: Mode, models: &std::path::Path) -> Self {
        Self {
            provider,
            mode,
            checkpoint: models.join("qwen-image-edit-2511"),
            fp8: models.join("lightxv-2511-fp8"),
            fp8_activations: true,
            adapter: models.join("lightning-2511"),
            adapter_strength: 1.0,
            parser: models.join("person-parser"),
            moderator: models.join("moderator"),
            device: Device::default(),
            cache: Some(models.join(".gpu")),
            schedule: None,
            low_memory: None,
            language: Language::default().as_str().to_owned(),
            prompts: None,
            areas: None,
        }
    }

    /// Steps of a request that names none.
    pub(super) const fn default_steps(&self) -> u32 {
        match self.mode {
            Mode::Fp8 | Mode::Lora => 4,
            Mode::Base => 40,
        }
    }

    /// Bytes of a GPU's memory without which it does not load this model.
    ///
    /// # Errors
    ///
    /// A model that is not there, or cannot be used.
    pub fn gpu_memory(&self) -> Result<u64, LoadError> {
        device_memory(&self.files(), self.residency())
    }

    pub(super) fn files(&self) -> ModelFiles {
        let mut files = ModelFiles::of(&self.checkpoint);
        match self.mode {
            Mode::Fp8 => {
                files.fp8 = Some(self.fp8.clone());
                files.fp8_mode = if self.fp8_activations {
                    Fp8::Dynamic
                } else {
                    Fp8::WeightOnly
                };
            }
            Mode::Lora => {
                files.adapter = Some(Adapter {
                    path: self.adapter.clone(),
                    strength: self.adapter_strength,
                });
            }
            Mode::Base => {}
        }
        files
    }

    pub(super) fn residency(&self) -> Residency {
        match self.low_memory {
            None => Residency::Auto,
            Some(true) => Residency::Parts,
            Some(false) => Residency::Whole,
        }
    }

    pub(super) fn areas(&self) -> Areas {
        self.areas
            .map_or_else(Areas::default, |(condition, vae)| Areas { condition, vae })
    }

    pub(super) fn schedule(&self) -> Result<Schedule, EngineError> {
        match (&self.schedule, self.mode) {
            (Some(name), _) => name.parse().map_err(fault),
            (None, Mode::Base) => Ok(Schedule::Base),
            // See docs/adr/0007: what the adapter was distilled with.
            (None, Mode::Fp8 | Mode::Lora) => Ok(Schedule::LightningShift3),
        }
    }

    pub(super) fn language(&self) -> Result<Language, EngineError> {
        let found = Language::ALL
            .into_iter()
            .find(|it| it.as_str() == self.language);
        found.ok_or_else(|| {
            fault(format!(
                "`{}` is no language: it is `en` or `zh`",
                self.language
            ))
        })
    }

    pub(super) fn prompts(&self) -> Result<Prompts, EngineError> {
        let Some(path) = &self.prompts else {
            return Ok(Prompts::built_in());
        };
        let text = fs::read_to_string(path)
            .map_err(|error| fault(format!("`{}` cannot be read: {error}", path.display())))?;
        Prompts::from_text(&text).map_err(|error| fault(format!("`{}`: {error}", path.display())))
    }

    /// Refuses a combination that no model is.
    pub(super) fn check(&self) -> Result<(), EngineError> {
        match (self.provider, self.mode) {
            (Provider::Qwen, _) | (Provider::Lightxv, Mode::Fp8) => Ok(()),
            (Provider::Lightxv, mode) => Err(fault(format!(
                "`lightxv` is the FP8 model, and `model.default_mode` is {mode:?}: set it to `fp8`"
            ))),
            (Provider::Preview, _) => Err(fault("`preview` is another engine")),
        }
    }
}

pub(super) fn fault(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> EngineError {
    EngineError::Fault(error.into())
}
