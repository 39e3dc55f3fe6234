//! What is asked of a model, and whether it can be done.

use image::RgbImage;

use crate::{
    error::RunError,
    image::Areas,
    schedule::{Rounding, Schedule},
    text::check_prompt,
};

/// Reference pictures that the model was trained with at the most.
const MOST_REFERENCES: usize = 3;

/// The most denoising steps.
const MOST_STEPS: usize = 100;

/// One picture to make.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    /// What to do with the references, as picture 1, picture 2 and so on.
    pub prompt: &'a str,
    /// What not to do; acts with [`Self::true_cfg_scale`] above 1.
    pub negative_prompt: Option<&'a str>,
    /// The references: the person first, then the garment or the design.
    pub references: &'a [RgbImage],
    /// Width of the result, a multiple of 16.
    pub width: u32,
    /// Height of the result, a multiple of 16.
    pub height: u32,
    /// Denoising steps, 1–100.
    pub steps: usize,
    /// Guidance: 1 is none, and half the work.
    pub true_cfg_scale: f32,
    /// How the steps are spaced.
    pub schedule: Schedule,
    /// Where the picture begins.
    pub noise: Noise<'a>,
    /// How large the references are for whom.
    pub areas: Areas,
    /// What timesteps are rounded to.
    pub rounding: Rounding,
    /// States of the text encoder that are dropped, where it is not those of the system prompt.
    pub drop: Option<usize>,
}

/// Where a picture begins.
#[derive(Debug, Clone, Copy)]
pub enum Noise<'a> {
    /// The noise that `PyTorch` draws on a CPU for this seed.
    Seed(u64),
    /// This, packed: `[tokens, channels]`.
    Given(&'a [f32]),
}

impl Job<'_> {
    /// Whether the model runs twice at each step.
    pub(super) fn is_guided(&self) -> bool {
        self.true_cfg_scale > 1.0 && self.negative_prompt.is_some()
    }

    /// Checks everything that can be told without the model. `multiple` is what sides are whole
    /// multiples of.
    pub(super) fn check(&self, multiple: u32) -> Result<(), RunError> {
        check_prompt(self.prompt)?;
        for (field, side) in [("width", self.width), ("height", self.height)] {
            if side == 0 || !side.is_multiple_of(multiple) {
                return Err(RunError::input(format!(
                    "`{field}` is {side}, not a multiple of {multiple}"
                )));
            }
        }
        if self.references.is_empty() || self.references.len() > MOST_REFERENCES {
            return Err(RunError::input(format!(
                "{} reference pictures were given; the model takes 1 to {MOST_REFERENCES}",
                self.references.len()
            )));
        }
        if self.steps == 0 || self.steps > MOST_STEPS {
            return Err(RunError::input(format!(
                "`steps` is {}, not 1 to {MOST_STEPS}",
                self.steps
            )));
        }
        if !self.true_cfg_scale.is_finite() || self.true_cfg_scale < 0.0 {
            return Err(RunError::input(format!(
                "`cfg` is {}, not a number from 0 up",
                self.true_cfg_scale
            )));
        }
        Ok(())
    }
}
