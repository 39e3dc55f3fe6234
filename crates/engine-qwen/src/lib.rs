//! Qwen-Image-Edit inference: the providers `qwen` and `lightxv`.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::similar_names,
    clippy::many_single_char_names,
    reason = "the names and conversions are those of the formulas"
)]
#![cfg_attr(
    test,
    allow(clippy::float_cmp, reason = "what is to be exact is compared so")
)]

pub mod backend;
pub mod cfg;
mod config;
pub mod dit;
pub mod engine;
mod error;
mod fp8;
pub mod golden;
pub mod image;
pub mod latent;
mod layout;
pub mod lora;
pub mod mask;
pub mod moderation;
pub mod noise;
pub mod parse;
pub mod pipeline;
pub mod prompt;
pub mod schedule;
pub mod tap;
pub mod text;
pub mod vae;
pub mod weights;

pub use error::{ComputeError, LoadError, RunError};
