//! Inventing what was hidden: skin, bottoms and backdrop behind clothing that is taken away.

use crate::raster::membrane;
use crate::raster::plane::{Color, Gray, Mask};

/// A skin tone for people none of whose skin is seen.
pub(crate) const DEFAULT_TONE: [f32; 3] = [195.0, 158.0, 138.0];

/// A smooth continuation of the pixels in `known`, or nothing when fewer than `least` are.
pub(crate) fn continue_from(picture: &Color, known: &Mask, least: usize) -> Option<Color> {
    (known.count() > least).then(|| membrane::fill(picture, &known.not()))
}

/// Skin: its `tone`, mixed by `share` with what continues the skin nearby, darkened by `gain`.
pub(crate) fn skin(tone: [f32; 3], nearby: Option<&Color>, share: f32, gain: &Gray) -> Color {
    match nearby {
        None => gain.map(|&gain| tone.map(|c| c * gain)),
        Some(nearby) => nearby.zip_with(gain, |color, &gain| {
            std::array::from_fn(|c| (tone[c] * (1.0 - share) + color[c] * share) * gain)
        }),
    }
}

/// Replaces the pixels of `picture` in `zone` by those of `source`.
pub(crate) fn put(picture: &mut Color, source: &Color, zone: &Mask) {
    let pixels = picture.data.iter_mut().zip(&source.data).zip(&zone.data);
    for ((pixel, &new), _) in pixels.filter(|(_, inside)| **inside) {
        *pixel = new;
    }
}
