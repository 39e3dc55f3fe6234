//! Sizes that pictures are brought to.

use crate::error::RunError;

/// Sides are multiples of this: 8 pixels of the picture are one of the latents, 2 by 2 of those
/// one token, and twice that leaves room for the processor of the text encoder.
const MULTIPLE: f64 = 32.0;

/// The longest picture, longer by shorter side, that the text encoder's processor takes.
const LONGEST: u32 = 200;

/// The size of about `area` pixels with the shape of `width` × `height`, in multiples of 32.
///
/// diffusers 0.42.1, `pipelines/qwenimage/pipeline_qwenimage_edit_plus.py`,
/// `calculate_dimensions`; halves are rounded to even there and here.
///
/// A picture that would have no width or height is refused.
pub fn dims(area: u32, (width, height): (u32, u32)) -> Result<(u32, u32), RunError> {
    let ratio = f64::from(width) / f64::from(height);
    let wide = (f64::from(area) * ratio).sqrt();
    let multiple = |side: f64| ((side / MULTIPLE).round_ties_even() * MULTIPLE) as u32;
    let size = (multiple(wide), multiple(wide / ratio));
    if size.0 == 0 || size.1 == 0 {
        return Err(too_long(width, height));
    }
    Ok(size)
}

/// The size nearest to `size`, width and height, in multiples of `factor` and within
/// `least..=most` pixels.
///
/// transformers 5.23.0, `models/qwen2_vl/image_processing_qwen2_vl.py`, `smart_resize`.
///
/// A picture more than 200 times as long as wide is refused.
pub fn smart_resize(
    (width, height): (u32, u32),
    factor: u32,
    least: u64,
    most: u64,
) -> Result<(u32, u32), RunError> {
    if u64::from(width.max(height)) > u64::from(LONGEST) * u64::from(width.min(height)) {
        return Err(too_long(width, height));
    }
    let sides = [f64::from(width), f64::from(height)];
    let [wide, high] = sides;
    let factor = f64::from(factor);
    let rounded = sides.map(|side| (side / factor).round_ties_even() * factor);
    let pixels = rounded[0] * rounded[1];
    let [width, height] = if pixels > most as f64 {
        let shrink = (wide * high / most as f64).sqrt();
        sides.map(|side| ((side / shrink / factor).floor() * factor).max(factor))
    } else if pixels < least as f64 {
        let grow = (least as f64 / (wide * high)).sqrt();
        sides.map(|side| (side * grow / factor).ceil() * factor)
    } else {
        rounded
    };
    Ok((width as u32, height as u32))
}

fn too_long(width: u32, height: u32) -> RunError {
    RunError::input(format!(
        "a picture of {width} × {height} pixels is too long for the model: crop it so that the \
         longer side is at most a few times the shorter"
    ))
}

#[cfg(test)]
mod tests {
    use super::{dims, smart_resize};

    /// What the reference computes for pictures that are common.
    #[test]
    fn sizes_are_those_of_the_reference() {
        for (picture, condition, seen, vae) in [
            ((768, 1024), (320, 448), (308, 448), (896, 1184)),
            ((720, 960), (320, 448), (308, 448), (896, 1184)),
            ((1024, 1024), (384, 384), (392, 392), (1024, 1024)),
            ((512, 512), (384, 384), (392, 392), (1024, 1024)),
            ((1080, 1920), (288, 512), (280, 504), (768, 1376)),
            ((800, 1200), (320, 480), (308, 476), (832, 1248)),
            ((1024, 768), (448, 320), (448, 308), (1184, 896)),
        ] {
            assert_eq!(dims(384 * 384, picture).unwrap(), condition, "{picture:?}");
            let found = smart_resize(condition, 28, 3136, 12_845_056).unwrap();
            assert_eq!(found, seen, "{picture:?}");
            assert_eq!(dims(1024 * 1024, picture).unwrap(), vae, "{picture:?}");
        }
    }

    /// Fails when halves are rounded up: 80 / 32 = 2.5 and 70 / 28 = 2.5.
    #[test]
    fn halves_are_rounded_to_even() {
        assert_eq!(dims(80 * 80, (1, 1)).unwrap(), (64, 64));
        let found = smart_resize((70, 98), 28, 1, 1 << 20).unwrap();
        assert_eq!(found, (56, 112));
    }

    /// By the reference: `smart_resize(20, 90)`, `smart_resize(3000, 5000, max_pixels=1e6)`.
    #[test]
    fn limits_are_kept() {
        assert_eq!(
            smart_resize((90, 20), 28, 3136, 1 << 30).unwrap(),
            (140, 28)
        );
        let found = smart_resize((5000, 3000), 28, 3136, 1_000_000).unwrap();
        assert_eq!(found, (1288, 756));
    }

    #[test]
    fn what_is_too_long_is_refused() {
        for picture in [(1, 60_000), (60_000, 1)] {
            let error = dims(384 * 384, picture).unwrap_err();
            assert!(error.to_string().contains("60000"), "{error}");
        }
        assert!(smart_resize((1, 201), 28, 3136, 1 << 30).is_err());
        assert!(smart_resize((1, 200), 28, 3136, 1 << 30).is_ok());
    }
}
