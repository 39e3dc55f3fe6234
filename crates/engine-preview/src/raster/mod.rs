//! Numeric image planes and the primitives that the preview engine is built from.
//!
//! Everything here is pure, single-threaded and deterministic: the same planes give the same bits.
//! Coordinates are pixels, x to the right and y down; colours are RGB in `0..=255` or CIELAB.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::similar_names,
    clippy::many_single_char_names,
    reason = "pixel coordinates and colours are small; the conversions are the arithmetic"
)]

pub mod blur;
pub mod color;
pub mod contour;
pub mod distance;
pub mod gradient;
pub mod hull;
pub mod idw;
pub mod kmeans;
pub mod label;
pub mod membrane;
pub mod morphology;
pub mod order;
pub mod plane;
pub mod polygon;
pub mod run;
pub mod sample;
pub mod signal;
pub mod surface;
