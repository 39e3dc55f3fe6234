//! Inking a design onto skin.
//!
//! Ink is multiplied into the skin, as it is in life: light, shadow and texture of the skin show
//! through it. Only skin takes ink where skin is found at all.

use image::{Rgb, RgbImage, RgbaImage};
use tryon_core::task::Region;

use crate::raster::blur::{gaussian, gaussian_color, gaussian_mask};
use crate::raster::color::{distance, rgb_to_lab, skin_rule};
use crate::raster::label::keep_largest;
use crate::raster::morphology::{close_padded, fill_holes, open};
use crate::raster::order::median_color;
use crate::raster::plane::{Color, Gray, Mask, Plane, Rect, to_byte};
use crate::raster::sample::{resize_area, shrink_image};
use crate::raster::surface::{fit_surface, frame_mask};

/// How much of the skin healed ink hides.
const OPACITY: f32 = 0.92;
/// Below this alpha a design shows nothing.
const INVISIBLE: f32 = 0.02;
/// Designs are reduced to this many pixels on their longest side.
const LONGEST_SIDE: usize = 2048;
/// Skin counts as found when it covers this share of the inked area.
const LEAST_SKIN: f64 = 0.15;
/// The inked area is at least this many pixels wide and high.
const LEAST_SIDE: usize = 8;

/// Why a design cannot be inked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TattooError {
    /// Nothing in the picture differs from its backdrop, or all of it is white.
    #[error("the tattoo design shows no ink: send dark lines on a transparent or plain backdrop")]
    NoInk,
    /// The design is a line in one direction, or the region is.
    #[error("the design is only {width}x{height} pixels in its region: send a larger region")]
    TooSmall {
        /// Pixels across.
        width: usize,
        /// Pixels down.
        height: usize,
    },
}

/// Inks `design` into `region` of `photo`, as large as its proportions allow. All other pixels
/// keep their bits.
pub(crate) fn ink(
    photo: &RgbImage,
    design: &RgbaImage,
    region: Region,
) -> Result<RgbImage, TattooError> {
    let design = Design::read(design)?;
    let area = fit(&design, region, photo.dimensions())?;
    let (colors, alpha) = design.scaled(area.width(), area.height());
    let base = crop(photo, area);
    let skin = skin_alpha(&base);
    let mut picture = photo.clone();
    for y in 0..area.height() {
        for x in 0..area.width() {
            let at = (x, y);
            let alpha = OPACITY * alpha[at] * skin[at];
            if alpha > INVISIBLE {
                let inked = multiply(&base[at], &colors[at], alpha);
                let (x, y) = ((area.x0 + x) as u32, (area.y0 + y) as u32);
                picture.put_pixel(x, y, Rgb(inked.map(to_byte)));
            }
        }
    }
    Ok(picture)
}

fn multiply(skin: &[f32; 3], ink: &[f32; 3], alpha: f32) -> [f32; 3] {
    std::array::from_fn(|c| skin[c] * (1.0 - alpha + alpha * ink[c] / 255.0))
}

/// A design cropped to its ink.
struct Design {
    colors: Color,
    alpha: Gray,
}

impl Design {
    fn read(picture: &RgbaImage) -> Result<Self, TattooError> {
        let (colors, given) = split(picture);
        let transparent = given.map(|&a| a < 0.5).coverage() > 0.02;
        let alpha = if transparent {
            given
        } else {
            backdrop_alpha(&colors).ok_or(TattooError::NoInk)?
        };
        let bounds = alpha.map(|&a| a > 0.1).bounds().ok_or(TattooError::NoInk)?;
        let (colors, alpha) = (colors.crop(bounds), alpha.crop(bounds));
        // White ink does not show in a multiplied picture.
        let darkest = colors.zip_with(&alpha, |color, &a| {
            a * (255.0 - color.iter().copied().fold(255.0, f32::min))
        });
        if darkest.data.iter().all(|&d| d < 40.0) {
            return Err(TattooError::NoInk);
        }
        Ok(Self { colors, alpha })
    }

    /// Colours and alpha at the given size.
    fn scaled(&self, width: usize, height: usize) -> (Color, Gray) {
        let inked = self
            .colors
            .zip_with(&self.alpha, |color, &a| color.map(|c| c * a));
        let alpha = resize_area(&self.alpha, width, height);
        let colors = resize_area(&inked, width, height)
            .zip_with(&alpha, |color, &a| color.map(|c| c / a.max(1e-3)));
        // Ink spreads a little in skin.
        (gaussian_color(&colors, 0.5), gaussian(&alpha, 0.5))
    }
}

/// Colours and opacity of a picture of reasonable size.
fn split(picture: &RgbaImage) -> (Color, Gray) {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let pixel = |x: usize, y: usize| picture.get_pixel(x as u32, y as u32).0;
    let alpha = Gray::from_fn(width, height, |x, y| f32::from(pixel(x, y)[3]) / 255.0);
    let rgb = RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [r, g, b, _] = picture.get_pixel(x, y).0;
        Rgb([r, g, b])
    });
    let scale = LONGEST_SIDE as f64 / width.max(height) as f64;
    if scale >= 1.0 {
        return (Color::from_image(&rgb), alpha);
    }
    let size = |side: usize| ((side as f64 * scale) as usize).max(1);
    let (width, height) = (size(width), size(height));
    (
        shrink_image(&rgb, width, height),
        resize_area(&alpha, width, height),
    )
}

/// The opacity of a design on an opaque plain backdrop: its difference to the backdrop.
fn backdrop_alpha(colors: &Color) -> Option<Gray> {
    if colors.width.min(colors.height) < LEAST_SIDE {
        return None;
    }
    let lab = rgb_to_lab(colors);
    let backdrop = fit_surface(&lab, &frame_mask(lab.width, lab.height, 0.03, true), 2, 6);
    let alpha = lab.zip_with(&backdrop.plane, |&color, &ground| {
        smooth_step((distance(color, ground) - 4.0) / 16.0)
    });
    alpha.data.iter().any(|&a| a > 0.5).then_some(alpha)
}

fn smooth_step(t: f32) -> f32 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// The largest box of the design's proportions in the middle of the region.
fn fit(design: &Design, region: Region, (width, height): (u32, u32)) -> Result<Rect, TattooError> {
    let (width, height) = (f64::from(width), f64::from(height));
    let (left, top) = (f64::from(region.x) * width, f64::from(region.y) * height);
    let (across, down) = (f64::from(region.w) * width, f64::from(region.h) * height);
    let (own_across, own_down) = (design.alpha.width as f64, design.alpha.height as f64);
    let scale = (across / own_across).min(down / own_down);
    let (inked_across, inked_down) = (own_across * scale, own_down * scale);
    let x = left + (across - inked_across) / 2.0;
    let y = top + (down - inked_down) / 2.0;
    let bounds = [x, y, x + inked_across, y + inked_down].map(f64::round);
    let area = Rect::clamped(bounds, width as usize, height as usize);
    if area.width().min(area.height()) < LEAST_SIDE {
        return Err(TattooError::TooSmall {
            // Less than half a pixel rounds to none, which nobody would understand.
            width: area.width().max(1),
            height: area.height().max(1),
        });
    }
    Ok(area)
}

fn crop(photo: &RgbImage, area: Rect) -> Color {
    Plane::from_fn(area.width(), area.height(), |x, y| {
        let (x, y) = ((area.x0 + x) as u32, (area.y0 + y) as u32);
        photo.get_pixel(x, y).0.map(f32::from)
    })
}

/// 1 on skin with soft edges; 1 everywhere where the area shows no skin that can be told.
fn skin_alpha(area: &Color) -> Gray {
    let all = || Gray::new(area.width, area.height, 1.0);
    let seed = area.map(|&color| skin_rule(color));
    if seed.coverage() < LEAST_SKIN {
        return all();
    }
    let lab = rgb_to_lab(&gaussian_color(area, 1.0));
    let tone = median_color(&lab.select(&seed));
    let near = lab.zip_with(&seed, |&color, &seed| {
        let [l, a, b]: [f32; 3] = std::array::from_fn(|c| color[c] - tone[c]);
        // Shading changes lightness, not hue: shadowed skin is still skin.
        let off = (0.12 * l * l + a * a + b * b).sqrt();
        off < if seed { 14.0 } else { 8.0 }
    });
    let grain = (area.width.min(area.height) / 100).max(1);
    let patch = keep_largest(&open(&close_padded(&near, 2 * grain), grain), 0.05);
    if patch.coverage() < LEAST_SKIN {
        return all();
    }
    let patch: Mask = fill_small_holes(&patch);
    gaussian_mask(&patch, 1.0 + grain as f64 / 2.0)
}

/// Fills what skin encloses: moles, hair and highlights.
fn fill_small_holes(patch: &Mask) -> Mask {
    let holes = fill_holes(patch).minus(patch);
    if holes.coverage() < 0.05 {
        patch.or(&holes)
    } else {
        patch.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgba;

    const REGION: Region = Region {
        x: 0.25,
        y: 0.25,
        w: 0.5,
        h: 0.5,
    };

    /// Skin on the left, backdrop on the right, lit from the left.
    fn photo() -> RgbImage {
        RgbImage::from_fn(200, 200, |x, _| {
            if x < 120 {
                let light = 1.0 - x as f32 / 400.0;
                Rgb([220.0, 170.0, 145.0].map(|c: f32| (c * light) as u8))
            } else {
                Rgb([90, 120, 170])
            }
        })
    }

    fn design(background: [u8; 4]) -> RgbaImage {
        RgbaImage::from_fn(80, 80, |x, y| {
            let ring = (f64::from(x) - 40.0).hypot(f64::from(y) - 40.0);
            if (20.0..36.0).contains(&ring) {
                Rgba([20, 20, 30, 255])
            } else {
                Rgba(background)
            }
        })
    }

    fn brightness(picture: &RgbImage, x: u32, y: u32) -> i32 {
        picture
            .get_pixel(x, y)
            .0
            .iter()
            .map(|&c| i32::from(c))
            .sum()
    }

    #[test]
    fn ink_darkens_skin_and_nothing_else() {
        let before = photo();
        for background in [[0, 0, 0, 0], [250, 250, 250, 255]] {
            let after = ink(&before, &design(background), REGION).unwrap();
            assert!(brightness(&after, 62, 100) < brightness(&before, 62, 100) / 2);
            // The middle of the ring, the backdrop, and everything outside of the region.
            assert_eq!(after.get_pixel(100, 100), before.get_pixel(100, 100));
            assert_eq!(after.get_pixel(138, 100), before.get_pixel(138, 100));
            assert_eq!(after.get_pixel(20, 100), before.get_pixel(20, 100));
            assert_eq!(after.get_pixel(100, 20), before.get_pixel(100, 20));
        }
    }

    #[test]
    fn the_light_on_the_skin_shows_through() {
        let after = ink(&photo(), &design([0, 0, 0, 0]), REGION).unwrap();
        assert!(brightness(&after, 60, 100) > brightness(&after, 100, 62));
    }

    #[test]
    fn a_blank_or_white_design_is_refused() {
        let blank = RgbaImage::from_pixel(80, 80, Rgba([255, 255, 255, 255]));
        assert_eq!(
            ink(&photo(), &blank, REGION).unwrap_err(),
            TattooError::NoInk
        );
        let clear = RgbaImage::from_pixel(80, 80, Rgba([0, 0, 0, 0]));
        assert_eq!(
            ink(&photo(), &clear, REGION).unwrap_err(),
            TattooError::NoInk
        );
        let dot = RgbaImage::from_pixel(1, 1, Rgba([0, 0, 0, 255]));
        assert_eq!(ink(&photo(), &dot, REGION).unwrap_err(), TattooError::NoInk);
    }

    #[test]
    fn a_line_is_too_thin_to_be_inked() {
        let line = RgbaImage::from_fn(200, 40, |_, y| {
            Rgba([0, 0, 0, if y == 20 { 255 } else { 0 }])
        });
        let error = ink(&photo(), &line, REGION).unwrap_err();
        assert_eq!(
            error,
            TattooError::TooSmall {
                width: 100,
                height: 1
            }
        );
    }
}
