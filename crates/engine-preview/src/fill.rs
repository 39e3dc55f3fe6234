//! Inventing what was hidden: skin, bottoms and backdrop behind clothing that is taken away.

use crate::raster::membrane;
use crate::raster::order::median_color;
use crate::raster::plane::{Color, Gray, Mask};

/// A skin tone for people none of whose skin is seen.
pub(crate) const DEFAULT_TONE: [f32; 3] = [195.0, 158.0, 138.0];

/// A smooth continuation of the pixels in `known`, or nothing when fewer than `least` are.
pub(crate) fn continue_from(picture: &Color, known: &Mask, least: usize) -> Option<Color> {
    (known.count() > least).then(|| membrane::fill(picture, &known.not()))
}

/// Skin for the whole picture. What is seen of it in `known` is freed from `gain`, the darkening
/// towards the outline of the body, continued, mixed by `share` with `tone` and darkened again.
pub(crate) fn skin(
    picture: &Color,
    known: &Mask,
    tone: [f32; 3],
    share: f32,
    gain: &Gray,
) -> Color {
    let flat = picture.zip_with(gain, |color, &gain| color.map(|c| c / gain.max(0.1)));
    match continue_from(&flat, known, 20) {
        None => gain.map(|&gain| tone.map(|c| c * gain)),
        Some(nearby) => nearby.zip_with(gain, |color, &gain| {
            std::array::from_fn(|c| (color[c] * (1.0 - share) + tone[c] * share) * gain)
        }),
    }
}

/// The tone of lit skin: the median of the lighter half of `colors`, so that hair, shadows, eyes
/// and lips that were taken for skin hardly count.
pub(crate) fn lit_tone(mut colors: Vec<[f32; 3]>) -> [f32; 3] {
    let light = |color: &[f32; 3]| luma(*color);
    colors.sort_by(|a, b| light(a).total_cmp(&light(b)));
    let half = colors.len() / 2;
    if colors.is_empty() {
        return DEFAULT_TONE;
    }
    median_color(&colors[half..])
}

/// Whether `color` is skin of this `tone` in some light: brighter or darker, but of its hue.
pub(crate) fn has_tone(color: [f32; 3], tone: [f32; 3]) -> bool {
    let light = luma(color) / luma(tone).max(1.0);
    let ratios: [f32; 3] = std::array::from_fn(|c| color[c] / tone[c].max(1.0));
    let most = ratios.into_iter().fold(0.0, f32::max);
    let least = ratios.into_iter().fold(f32::MAX, f32::min);
    (0.6..1.2).contains(&light) && most < 1.2 * least
}

/// The brightness of an RGB colour.
pub(crate) fn luma([r, g, b]: [f32; 3]) -> f32 {
    0.299 * r + 0.587 * g + 0.114 * b
}

/// Replaces the pixels of `picture` in `zone` by those of `source`.
pub(crate) fn put(picture: &mut Color, source: &Color, zone: &Mask) {
    let pixels = picture.data.iter_mut().zip(&source.data).zip(&zone.data);
    for ((pixel, &new), _) in pixels.filter(|(_, inside)| **inside) {
        *pixel = new;
    }
}
