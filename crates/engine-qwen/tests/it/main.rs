//! The model against golden tensors of its reference implementation.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    clippy::unwrap_used,
    reason = "golden tensors are kept in 64 bits and computed in 32, and tests may fail"
)]

mod changed;
mod checkpoint;
mod cuda;
mod dit;
mod encoder;
mod encoder_fault;
mod engine;
mod golden;
mod image;
mod loading;
mod memory;
mod parse;
mod pipeline;
mod prompt;
mod table;
mod tokeniser;
mod vae;
