//! The text encoder: Qwen2.5-VL, of which only the last hidden states are wanted.
//!
//! A prompt and its reference pictures become one sequence of tokens ([`Tokeniser`]); the pictures
//! go through the vision tower, the sequence through the language model with what the tower made
//! of the pictures in it ([`TextEncoder`]). What comes out, without the system prompt's part, is
//! what the transformer is conditioned on.

mod config;
mod encoder;
#[cfg(test)]
mod fixture;
mod language;
mod layout;
mod position;
mod template;
mod tokeniser;
mod vision;
mod vocabulary;

pub use self::{
    config::{EncoderConfig, LanguageConfig, VisionConfig},
    encoder::{TextEncoder, VisionFeatures},
    template::{MAX_PROMPT, TokenisedPrompt, check_prompt},
    tokeniser::Tokeniser,
};

use crate::{
    backend::{Backend, Pairing, Rotary},
    error::ComputeError,
    tap::Tap,
};

/// The rotary embedding of these angles, `[tokens, pairs]`.
fn rotary<B: Backend>(
    backend: &B,
    angles: &[f32],
    pairs: usize,
    model: &str,
    tap: &mut dyn Tap<B>,
) -> Result<Rotary<B::Tensor>, ComputeError> {
    let shape = [angles.len() / pairs, pairs];
    let mut table = |name: &str, of: fn(f32) -> f32| {
        let values: Vec<f32> = angles.iter().copied().map(of).collect();
        if tap.is_on() {
            // The reference keeps every angle twice, once for each half of a head.
            let row = |row: &[f32]| [row, row].concat();
            let twice = values.chunks_exact(pairs).flat_map(row).map(f64::from);
            let twice: Vec<f64> = twice.collect();
            tap.note(format_args!("{model}.rope_{name}"), &twice);
        }
        backend.upload(values, &shape)
    };
    Ok(Rotary {
        cos: table("cos", f32::cos)?,
        sin: table("sin", f32::sin)?,
        pairing: Pairing::Halves,
    })
}
