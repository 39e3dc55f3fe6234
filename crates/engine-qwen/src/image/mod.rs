//! Reference pictures, as the models take them.
//!
//! A picture is resampled twice: to about a megapixel for the VAE, and to much less for the text
//! encoder, whose processor then resamples it once more to whole patches. All of it is done on
//! bytes with the rounding of Pillow, since the models were trained on what Pillow makes of a
//! picture, and another resampler is a dozen levels off at edges.

mod classifier;
mod filter;
mod patch;
mod processor;
mod reference;
mod resize;
mod size;

pub(crate) use self::patch::patches;
pub use self::{
    classifier::ClassifierInput,
    filter::Filter,
    patch::{Grid, VisionInput},
    processor::Processor,
    reference::{Areas, Reference},
    resize::resize,
    size::{dims, smart_resize},
};
