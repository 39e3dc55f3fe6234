//! Whether a picture is fit to be shown: an image classifier in the layout of
//! `Falconsai/nsfw_image_detection`.

mod classifier;
mod config;

use std::path::Path;

use image::RgbImage;
use tryon_core::task::ModerationLevel;

use self::{classifier::Classifier, config::ClassifierConfig};
use crate::{
    backend::Backend,
    error::{ComputeError, LoadError},
    image::ClassifierInput,
    tap::{Tap, see_planes},
    weights::Weights,
};

/// Tells how likely a picture is to be unfit.
pub struct Moderator<B: Backend> {
    classifier: Classifier<B>,
    input: ClassifierInput,
    unfit: usize,
}

impl<B: Backend> Moderator<B> {
    /// Loads the folder of a checkpoint: `config.json`, `preprocessor_config.json` and its
    /// weights.
    pub fn open(backend: &B, folder: &Path) -> Result<Self, LoadError> {
        let path = folder.join("config.json");
        let config = ClassifierConfig::read(&path)?;
        let input = ClassifierInput::read(&folder.join("preprocessor_config.json"))?;
        let side = config.image_size;
        if input.size() != (side as u32, side as u32) {
            let problem = format!("is {side}, and `size` in `preprocessor_config.json` another");
            return Err(LoadError::config(&path, "image_size", problem));
        }
        let weights = Weights::open(folder)?;
        Ok(Self {
            classifier: Classifier::load(backend, &weights.root(), &config)?,
            input,
            unfit: config.unfit(),
        })
    }

    /// How likely a picture is to be unfit, 0–1.
    pub fn judge(
        &self,
        backend: &B,
        picture: &RgbImage,
        tap: &mut dyn Tap<B>,
    ) -> Result<f32, ComputeError> {
        let input = self.input.prepare(backend, picture)?;
        see_planes(backend, tap, format_args!("vit.pixel_values"), &input)?;
        let scores = self.classifier.forward(backend, &input, tap)?;
        let probabilities = softmax(&backend.download(&scores)?);
        let seen: Vec<f64> = probabilities.iter().map(|p| f64::from(*p)).collect();
        tap.note(format_args!("vit.probabilities"), &seen);
        Ok(probabilities[self.unfit])
    }
}

fn softmax(scores: &[f32]) -> Vec<f32> {
    let largest = scores
        .iter()
        .fold(f32::NEG_INFINITY, |most, score| most.max(*score));
    let weights: Vec<f32> = scores.iter().map(|score| (score - largest).exp()).collect();
    let total: f32 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

/// The likelihood from which a picture is refused at a level; `None` where nothing is.
///
/// The classifier's own decision is at one half: `permissive` refuses what it is sure of, and
/// `conservative` what it has doubts about.
pub const fn threshold(level: ModerationLevel) -> Option<f32> {
    match level {
        ModerationLevel::Conservative => Some(0.3),
        ModerationLevel::Permissive => Some(0.85),
        ModerationLevel::None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_conservative_refuses_earlier() {
        let conservative = threshold(ModerationLevel::Conservative);
        assert!(conservative < threshold(ModerationLevel::Permissive));
        assert_eq!(threshold(ModerationLevel::None), None);
    }

    #[test]
    fn likelihoods_add_up() {
        assert_eq!(softmax(&[1000.0, 1000.0]), [0.5, 0.5]);
        let two = softmax(&[0.0, (3.0_f32).ln()]);
        assert!((two[1] - 0.75).abs() < 1e-6, "{two:?}");
    }
}
