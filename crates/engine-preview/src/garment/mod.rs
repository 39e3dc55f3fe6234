//! Garment pictures: what is cloth in them, where its landmarks are, and the parts to dress with.
//!
//! A picture is cut out of its backdrop ([`segment`]), cropped and measured on a small copy whose
//! longest side is [`ANALYSIS_SIDE`] pixels. Landmarks are in pixels of that small copy; the
//! colours and alphas that get warped are at the resolution of the crop, which is `1 / scale` times
//! as large. Left and right are those of the picture.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "pixel coordinates are small and checked against the plane where they index it"
)]

mod bottoms;
mod contrast;
mod cutout;
mod feather;
mod landmark;
mod neckline;
mod opening;
mod segment;
mod shadow;

pub(crate) use bottoms::{LowerGarment, LowerLandmarks};
pub(crate) use cutout::Cutout;
pub(crate) use landmark::{Landmarks, Sleeve};

use image::{GrayImage, RgbImage};

use crate::geometry::Sides;
use crate::raster::plane::{Gray, Mask};

/// The longest side, in pixels, of the copies that are analysed.
pub(crate) const ANALYSIS_SIDE: usize = 512;

/// Why a picture cannot be used as a garment.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub(crate) enum GarmentError {
    /// The picture is smaller than anything that can be measured.
    #[error("the garment picture is too small: {width}x{height} pixels")]
    TooSmall {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// Nothing in the picture differs from its backdrop.
    #[error("the garment picture shows no garment")]
    Blank,
    /// The cut-out has not the shape of a garment of its kind.
    #[error("the garment picture shows no {landmark} of a garment")]
    NoLandmark {
        /// What was looked for.
        landmark: &'static str,
    },
}

/// A picture to analyse.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) picture: &'a RgbImage,
    /// Opacity, of the size of the picture. Only used if some of it is transparent.
    pub(crate) alpha: Option<&'a GrayImage>,
}

/// A top or a one-piece, ready to be fitted.
#[derive(Debug, Clone)]
pub(crate) struct UpperGarment {
    pub(crate) cutout: Cutout,
    pub(crate) landmarks: Landmarks,
    /// The inside of the back that shows in the neck opening, in analysis pixels; it is left out
    /// of the alphas. `None` where it was not told safely from the front.
    pub(crate) opening: Option<Mask>,
    /// Alpha of the body of the garment, at the resolution of the crop.
    pub(crate) torso: Gray,
    /// Alphas of the sleeves, present when the landmarks have sleeves.
    pub(crate) sleeves: Option<Sides<Gray>>,
}

impl UpperGarment {
    /// Analyses the picture of a top, a dress, or another one-piece.
    pub(crate) fn analyse(source: Source<'_>) -> Result<Self, GarmentError> {
        let mut cutout = Cutout::cut(source)?;
        let landmarks = Landmarks::find(&cutout.small_mask)?;
        let opening = opening::find_opening(&cutout.small, &cutout.small_mask, &landmarks);
        let alpha = cutout.soften(opening.as_ref());
        let (torso, sleeves) = feather::part_alphas(&alpha, &landmarks, cutout.scale);
        Ok(Self {
            cutout,
            landmarks,
            opening,
            torso,
            sleeves,
        })
    }
}
