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

pub(crate) mod blur;
pub(crate) mod color;
pub(crate) mod contour;
pub(crate) mod distance;
pub(crate) mod gradient;
pub(crate) mod hull;
pub(crate) mod idw;
pub(crate) mod kmeans;
pub(crate) mod label;
pub(crate) mod membrane;
pub(crate) mod morphology;
pub(crate) mod order;
pub(crate) mod plane;
pub(crate) mod polygon;
pub(crate) mod run;
pub(crate) mod sample;
pub(crate) mod signal;
pub(crate) mod surface;
