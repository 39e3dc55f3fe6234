//! Colour profiles. Phones write Display P3; taken for sRGB, skin turns sallow.

use image::RgbaImage;
use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

/// Converts pixels in the colour space of an ICC profile to sRGB, in place.
///
/// Profiles of other than RGB spaces, and those that cannot be used, leave the pixels as they are:
/// the decoder has already turned gray and CMYK into RGB.
pub(crate) fn convert_to_srgb(pixels: &mut RgbaImage, icc_profile: &[u8]) {
    let Ok(profile) = ColorProfile::new_from_slice(icc_profile) else {
        return;
    };
    if profile.color_space != DataColorSpace::Rgb {
        return;
    }
    let Ok(transform) = profile.create_transform_8bit(
        Layout::Rgba,
        &ColorProfile::new_srgb(),
        Layout::Rgba,
        TransformOptions::default(),
    ) else {
        return;
    };
    let source = pixels.as_raw().clone();
    if transform.transform(&source, pixels).is_err() {
        pixels.copy_from_slice(&source);
    }
}
