//! A reference picture in the sizes that are needed of it.

use image::RgbImage;

use super::{filter::Filter, patch::VisionInput, processor::Processor, resize::resize, size::dims};
use crate::{backend::Backend, error::RunError, tap::Tap};

/// About how many pixels a reference picture has for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Areas {
    /// For the text encoder.
    pub condition: u32,
    /// For the VAE.
    pub vae: u32,
}

impl Default for Areas {
    /// diffusers 0.42.1, `pipelines/qwenimage/pipeline_qwenimage_edit_plus.py`,
    /// `CONDITION_IMAGE_SIZE` and `VAE_IMAGE_SIZE`.
    fn default() -> Self {
        Self {
            condition: 384 * 384,
            vae: 1024 * 1024,
        }
    }
}

/// A reference picture, ready for both.
#[derive(Debug, Clone)]
pub struct Reference {
    /// For the text encoder.
    pub vision: VisionInput,
    /// For the VAE: its sides are multiples of 32.
    pub vae: RgbImage,
}

impl Reference {
    /// Resamples a picture, always, to both areas. `index` is its place among the references.
    ///
    /// A picture that is too long to have patches is refused.
    pub fn prepare<B: Backend>(
        picture: &RgbImage,
        index: usize,
        areas: Areas,
        processor: &Processor,
        tap: &mut dyn Tap<B>,
    ) -> Result<Self, RunError> {
        let sized = |area| {
            let (width, height) = dims(area, picture.dimensions())?;
            Ok::<_, RunError>(resize(picture, width, height, Filter::Lanczos))
        };
        let (condition, vae) = (sized(areas.condition)?, sized(areas.vae)?);
        if tap.is_on() {
            tap.note(format_args!("img.{index}.raw_u8"), &bytes(picture));
            tap.note(format_args!("img.{index}.cond_u8"), &bytes(&condition));
            tap.note(format_args!("img.{index}.vae_u8"), &bytes(&vae));
        }
        Ok(Self {
            vision: processor.process(&condition)?,
            vae,
        })
    }
}

fn bytes(picture: &RgbImage) -> Vec<f64> {
    picture.as_raw().iter().copied().map(f64::from).collect()
}
