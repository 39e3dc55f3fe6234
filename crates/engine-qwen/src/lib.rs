//! Qwen-Image-Edit inference: the providers `qwen` and `lightxv`.
//!
//! A prompt and one to three pictures become a picture: the text encoder reads the prompt and looks
//! at the pictures, the autoencoder turns them into latents, the transformer denoises beside them,
//! and the autoencoder shows the result. The models say what is computed, in the terms of
//! [`backend::Backend`]; how is the backend's. [`backend::Cpu`] is the exact reference for others.
//!
//! | module | does |
//! |---|---|
//! | [`engine`] | the [`tryon_engine::Engine`]: requests in, pictures out |
//! | [`pipeline`] | prompt and pictures to a picture, whole or one part in memory at a time |
//! | [`text`] | tokens, vision tower, language model |
//! | [`dit`] | the transformer, with its modulations as tables by timestep |
//! | [`vae`], [`latent`] | pictures and latents, latents and tokens |
//! | [`schedule`], [`noise`], [`cfg`](mod@cfg) | sigmas, PyTorch's noise, guidance |
//! | [`image`](mod@image) | resampling as Pillow does it, and the sizes that are needed |
//! | [`prompt`] | what the model is told for each task, in two languages |
//! | [`parse`], [`mask`] | which pixel shows what, and the region to dress |
//! | [`moderation`] | whether a picture is fit to be shown |
//! | [`weights`], [`lora`] | checkpoints, mapped into memory and checked; adapters |
//! | [`tap`], [`golden`] | intermediate tensors, and how close they are to the reference's |
//! | [`backend`] | what a device has to be able to do, the CPU, and NVIDIA GPUs |
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use tryon_core::task::Provider;
//! use tryon_engine::Engine as _;
//! use tryon_engine_qwen::{
//!     backend::Cpu,
//!     engine::{EngineConfig, Mode, QwenEngine},
//!     weights::Unfollowed,
//! };
//!
//! let config = EngineConfig::new(Provider::Qwen, Mode::Lora, "data/models".as_ref());
//! let engine = QwenEngine::load(Cpu, config, Arc::new(Unfollowed))?;
//! assert_eq!(engine.describe().default_steps, 4);
//! # Ok::<(), tryon_engine::EngineError>(())
//! ```
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
