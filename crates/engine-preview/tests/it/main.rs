//! The engine as its callers see it: pictures in, pictures out.

#![allow(
    clippy::cast_precision_loss,
    clippy::float_cmp,
    clippy::many_single_char_names,
    clippy::unwrap_used,
    reason = "pictures are small, equal pixels are equal, and tests may fail"
)]

mod metric;
mod parse;
mod progress;
mod quality;
mod refusal;
mod robust;
mod scene;
mod tattoo;
