//! Why a preview cannot be made.

use tryon_core::category::Category;
use tryon_engine::{EngineError, Refusal};

use crate::garment::GarmentError;
use crate::tattoo::TattooError;

/// Why a request is refused. Another attempt would end the same way.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum PreviewError {
    /// The photo of the person is too small for anything to be measured in it.
    #[error(
        "the photo of the person is {width}x{height} pixels: send one with at least {least} \
         pixels on its shorter side"
    )]
    PersonTooSmall {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// What would do.
        least: u32,
    },
    /// The photo of the person is a strip.
    #[error(
        "the photo of the person is {width}x{height} pixels: send one that is at most {most} \
         times as long as it is wide, or the other way round"
    )]
    PersonTooLong {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// What would do.
        most: u32,
    },
    /// Nothing in the photo has the outline of a person.
    #[error(
        "no person was found in the photo: send a frontal photo on a plain backdrop, or paint \
         the clothing region pure green"
    )]
    NoPerson,
    /// The person cannot be told from the backdrop well enough.
    #[error(
        "the person could not be separated from the backdrop ({}): send a mask, or a photo on a \
         plain backdrop",
        reasons.join(", ")
    )]
    NotSeparated {
        /// What was doubtful.
        reasons: Vec<String>,
    },
    /// The painted region does not fit a body.
    #[error(
        "the painted region does not cover the clothing of a person: paint the upper body from \
         the neck to the hem"
    )]
    MaskMisplaced,
    /// Bottoms are fitted to the legs, which a painted region hides.
    #[error("the preview puts bottoms on unpainted photos only: send the photo without a mask")]
    PaintedBottoms,
    /// The garment picture cannot be used.
    #[error("{source}: send one garment, laid flat on a plain backdrop or cut out")]
    Garment {
        /// What is wrong with it.
        #[from]
        source: GarmentError,
    },
    /// There is no garment picture.
    #[error("a second picture is needed: the garment, or the tattoo's design")]
    NoGarment,
    /// The preview cannot fit things of this kind.
    #[error(
        "the preview cannot fit `{}`: it does tops, bottoms and one-pieces; another provider can",
        category.as_str()
    )]
    Category {
        /// What was asked for.
        category: Category,
    },
    /// The preview does not cut hair.
    #[error("the preview offers no hairstyles: another provider can")]
    Hairstyle,
    /// The preview does not understand words such as "on the left arm".
    #[error("the preview needs the `region` to ink as x, y, w and h from 0 to 1")]
    NoRegion,
    /// The region is not on the photo.
    #[error("the region to ink cannot be used: {0}")]
    Region(#[from] tryon_core::task::InvalidRegion),
    /// The design cannot be inked.
    #[error(transparent)]
    Tattoo(#[from] TattooError),
}

impl PreviewError {
    const fn refusal(&self) -> Refusal {
        match self {
            Self::NoPerson | Self::NotSeparated { .. } | Self::MaskMisplaced => Refusal::Pose,
            _ => Refusal::Input,
        }
    }
}

impl From<PreviewError> for EngineError {
    fn from(error: PreviewError) -> Self {
        Self::refused(error.refusal(), error.to_string())
    }
}
