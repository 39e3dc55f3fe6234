//! Running a model on what a golden file was made from.

use std::str::FromStr;

use image::RgbImage;

use super::{Comparison, Golden, GoldenTensor, Recorder};
use crate::{
    backend::Backend,
    error::{LoadError, RunError},
    image::Areas,
    pipeline::{Job, Noise, Pipeline, Watch},
    schedule::{Rounding, Schedule},
    weights::Fp8,
};

/// Why a golden file cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Its metadata lacks a key, or the key has a value that cannot be used.
    #[error("the golden file's metadata `{key}` {problem}")]
    Metadata {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// It lacks an input.
    #[error("the golden file has no `{name}`, which the model starts from")]
    MissingInput {
        /// The tensor.
        name: String,
    },
    /// An input of a shape that it cannot have.
    #[error("`{name}` in the golden file is {shape:?}, not a picture of [height, width, 3]")]
    NoPicture {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// There is nothing in it to compare.
    #[error("the golden file has no tensor for this form of the model (`{prefix}…`)")]
    Nothing {
        /// What their names begin with.
        prefix: String,
    },
    /// The model.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The model.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Which tensors of a file a model is to be held to: those of its own form.
pub const fn prefix(fp8: Option<Fp8>) -> &'static str {
    match fp8 {
        None => "",
        Some(Fp8::Dynamic) => "w8a8.",
        Some(Fp8::WeightOnly) => "w8.",
    }
}

/// Runs `pipeline` on the inputs of `golden` and compares every tensor whose name begins with
/// `prefix`.
pub fn replay<B: Backend>(
    golden: &Golden,
    pipeline: &mut Pipeline<B>,
    prefix: &str,
) -> Result<Vec<Comparison>, ReplayError> {
    let references = references(golden)?;
    let noise: Vec<f32> = input(golden, "pipe.noise")?
        .values
        .iter()
        .map(|value| *value as f32)
        .collect();
    let job = job(golden, &references, &noise)?;
    let wanted = |name: &str| prefix.is_empty() != is_of_fp8(name) || !prefix.is_empty();
    let named = golden.names().filter_map(|name| name.strip_prefix(prefix));
    let named: Vec<&str> = named.filter(|name| wanted(name)).collect();
    let mut recorder = Recorder::of(named.iter().copied());
    pipeline.run(&job, &mut Unwatched, &mut recorder)?;
    let mut comparisons = golden.compare(&recorder, prefix, wanted);
    for comparison in &mut comparisons {
        comparison.gate = comparison.gate.guided(&comparison.name, job.true_cfg_scale);
    }
    if comparisons.is_empty() {
        return Err(ReplayError::Nothing {
            prefix: prefix.to_owned(),
        });
    }
    Ok(comparisons)
}

fn is_of_fp8(name: &str) -> bool {
    name.starts_with("w8.") || name.starts_with("w8a8.")
}

struct Unwatched;

impl Watch for Unwatched {
    fn advance(&mut self, _: usize) -> Result<(), RunError> {
        Ok(())
    }
}

fn job<'a>(
    golden: &'a Golden,
    references: &'a [RgbImage],
    noise: &'a [f32],
) -> Result<Job<'a>, ReplayError> {
    let negative = golden.metadata("negative_prompt");
    let schedule = match golden.metadata("schedule") {
        None => Schedule::Base,
        Some(_) => number(golden, "schedule")?,
    };
    Ok(Job {
        prompt: text(golden, "prompt")?,
        negative_prompt: negative.filter(|prompt| !prompt.is_empty()),
        references,
        width: number(golden, "width")?,
        height: number(golden, "height")?,
        steps: number(golden, "steps")?,
        true_cfg_scale: number(golden, "true_cfg_scale")?,
        schedule,
        noise: Noise::Given(noise),
        areas: Areas {
            condition: number(golden, "condition_area")?,
            vae: number(golden, "vae_area")?,
        },
        rounding: match golden.metadata("timestep") {
            Some("bf16") => Rounding::Bf16,
            _ => Rounding::F32,
        },
        drop: Some(number(golden, "drop_idx")?),
    })
}

fn text<'a>(golden: &'a Golden, key: &'static str) -> Result<&'a str, ReplayError> {
    golden.metadata(key).ok_or_else(|| ReplayError::Metadata {
        key,
        problem: "is missing".to_owned(),
    })
}

fn number<T: FromStr>(golden: &Golden, key: &'static str) -> Result<T, ReplayError> {
    let text = text(golden, key)?;
    text.trim().parse().map_err(|_| ReplayError::Metadata {
        key,
        problem: format!("is `{text}`, which cannot be used"),
    })
}

fn input<'a>(golden: &'a Golden, name: &str) -> Result<&'a GoldenTensor, ReplayError> {
    golden.find(name).ok_or_else(|| ReplayError::MissingInput {
        name: name.to_owned(),
    })
}

/// `img.0.raw_u8`, `img.1.raw_u8`, …
fn references(golden: &Golden) -> Result<Vec<RgbImage>, ReplayError> {
    let names = (0..).map(|index| format!("img.{index}.raw_u8"));
    let found = names.map_while(|name| Some((golden.find(&name)?, name)));
    let pictures: Vec<RgbImage> = found
        .map(|(tensor, name)| picture(tensor, name))
        .collect::<Result<_, _>>()?;
    if pictures.is_empty() {
        input(golden, "img.0.raw_u8")?;
    }
    Ok(pictures)
}

fn picture(tensor: &GoldenTensor, name: String) -> Result<RgbImage, ReplayError> {
    let bytes = tensor.values.iter().map(|value| *value as u8).collect();
    let found = match tensor.shape.as_slice() {
        [height, width, 3] => RgbImage::from_raw(*width as u32, *height as u32, bytes),
        _ => None,
    };
    found.ok_or_else(|| ReplayError::NoPicture {
        name,
        shape: tensor.shape.clone(),
    })
}
