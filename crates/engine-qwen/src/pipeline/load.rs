//! Loading the parts of a model, and freeing them.

use super::{Backend, LoadError, Pipeline, Residency, files::Part};
use crate::{
    dit::Transformer,
    text::TextEncoder,
    vae::Vae,
    weights::{Meter, Weights},
};

impl<B: Backend> Pipeline<B> {
    /// Loads what stays in memory.
    pub(super) fn load_resident(&mut self) -> Result<(), LoadError> {
        match self.residency {
            Residency::Auto => unreachable!("BUG: it was decided"),
            Residency::Whole => self.load(&[Part::Encoder, Part::Transformer, Part::Vae]),
            Residency::Swapped => self.load(&[Part::Transformer, Part::Vae]),
            Residency::Parts => Ok(()),
        }
    }

    /// Loads those of these parts that are not there, as one load to whoever follows it.
    pub(super) fn load(&mut self, parts: &[Part]) -> Result<(), LoadError> {
        let missing = parts.iter().copied().filter(|part| !self.has(*part));
        let missing: Vec<Part> = missing.collect();
        if missing.is_empty() {
            return Ok(());
        }
        let total = missing.iter().map(|part| self.survey.read.of(*part));
        let meter = Meter::new(&self.follower, total.sum());
        for part in missing {
            self.load_part(part, &meter)?;
        }
        meter.finish();
        Ok(())
    }

    pub(super) fn has(&self, part: Part) -> bool {
        match part {
            Part::Encoder => self.encoder.is_some(),
            Part::Transformer => self.transformer.is_some(),
            Part::Vae => self.vae.is_some(),
        }
    }

    fn load_part(&mut self, part: Part, meter: &Meter) -> Result<(), LoadError> {
        let counted = |weights: Weights| weights.with_meter(meter);
        let (backend, files, survey) = (&self.backend, &self.files, &self.survey);
        match part {
            Part::Encoder => {
                let (weights, config) = (counted(files.encoder()?), survey.encoder.clone());
                self.encoder = Some(TextEncoder::load_from(backend, weights, config)?);
            }
            Part::Transformer => {
                let (weights, config) = (counted(files.transformer()?), &survey.transformer);
                let mode = files.fp8_mode;
                let loaded = Transformer::load(backend, weights, mode, config, &[])?;
                self.transformer = Some(loaded);
            }
            Part::Vae => {
                let (weights, config) = (counted(files.vae()?), survey.vae.clone());
                self.vae = Some(Vae::load(backend, &weights, config)?);
            }
        }
        Ok(())
    }

    /// Frees what the next stage has no use for.
    pub(super) fn free_unless_whole(&mut self) {
        if self.residency != Residency::Whole {
            self.encoder = None;
        }
        if self.residency == Residency::Parts {
            self.transformer = None;
            self.vae = None;
        }
    }
}
