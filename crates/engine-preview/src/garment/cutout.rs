//! The garment cut out of its picture, at two sizes.

use image::{GrayImage, RgbImage};

use super::segment::segment;
use super::{ANALYSIS_SIDE, GarmentError, Source, feather};
use crate::raster::label::keep_largest;
use crate::raster::morphology::open;
use crate::raster::plane::{Color, Gray, Mask, Rect};
use crate::raster::sample::{resize_area, resize_bilinear, resize_mask_area, shrink_image};

/// Pictures are reduced to this many pixels on their longest side: no preview shows more.
const LONGEST_SIDE: usize = 2048;
/// Pictures with a shorter side below this show nothing that can be measured.
const LEAST_SIDE: u32 = 32;
/// Masks of fewer pixels, at analysis scale, are not a garment.
const LEAST_AREA: usize = 400;

/// A garment without its backdrop.
#[derive(Debug, Clone)]
pub(crate) struct Cutout {
    /// RGB of the crop around the garment. Near the outline and outside of it the colours of the
    /// garment continue, so that feathered edges do not pick up the backdrop.
    pub(crate) colors: Color,
    /// The garment in the crop.
    pub(crate) mask: Mask,
    /// RGB of the crop with [`ANALYSIS_SIDE`] pixels on its longest side.
    pub(crate) small: Color,
    /// The garment in the small copy.
    pub(crate) small_mask: Mask,
    /// Size of the small copy relative to the crop.
    pub(crate) scale: f64,
}

impl Cutout {
    /// Cuts the garment out of its backdrop, or takes the cut-out that the alpha gives.
    pub(super) fn cut(source: Source<'_>) -> Result<Self, GarmentError> {
        let (width, height) = source.picture.dimensions();
        if width.min(height) < LEAST_SIDE {
            return Err(GarmentError::TooSmall { width, height });
        }
        let picture = reduce(source.picture);
        let mask = match source.alpha.filter(|alpha| is_cut_out(alpha)) {
            Some(alpha) => opaque(alpha, picture.size()),
            None => find_garment(&picture),
        };
        let crop = garment_box(&mask).ok_or(GarmentError::Blank)?;
        Self::crop(&picture.crop(crop), &mask.crop(crop))
    }

    fn crop(colors: &Color, mask: &Mask) -> Result<Self, GarmentError> {
        let scale = ANALYSIS_SIDE as f64 / colors.width.max(colors.height) as f64;
        let (width, height) = scaled(colors.size(), scale);
        let small = resize_area(colors, width, height).map(|c| c.map(f32::round_ties_even));
        let small_mask = keep_largest(&open(&resize_mask_area(mask, width, height), 1), 0.03);
        if small_mask.count() < LEAST_AREA {
            return Err(GarmentError::Blank);
        }
        Ok(Self {
            colors: colors.clone(),
            mask: mask.clone(),
            small,
            small_mask,
            scale,
        })
    }

    /// Feathers the mask, without the `opening` of the neck (in analysis pixels), and bleeds the
    /// colours over its edge. The alpha has the size of the crop.
    pub(super) fn soften(&mut self, opening: Option<&Mask>) -> Gray {
        let (width, height) = self.mask.size();
        let solid = match opening {
            Some(opening) => {
                let hole = resize_bilinear(&opening.to_gray(), width, height);
                self.mask
                    .zip_with(&hole, |&inside, &hole| inside && hole <= 0.5)
            }
            None => self.mask.clone(),
        };
        let (eroded, alpha) = feather::soft_alpha(&solid, self.scale);
        feather::bleed(&mut self.colors, &eroded, (14.0 / self.scale) as usize);
        alpha
    }
}

/// The size after scaling, at least one pixel.
fn scaled((width, height): (usize, usize), scale: f64) -> (usize, usize) {
    let side = |n: usize| ((n as f64 * scale).round_ties_even() as usize).max(1);
    (side(width), side(height))
}

fn reduce(picture: &RgbImage) -> Color {
    let size = (picture.width() as usize, picture.height() as usize);
    let scale = LONGEST_SIDE as f64 / size.0.max(size.1) as f64;
    if scale >= 1.0 {
        return Color::from_image(picture);
    }
    let (width, height) = scaled(size, scale);
    shrink_image(picture, width, height)
}

/// Whether an alpha channel cuts anything out.
fn is_cut_out(alpha: &GrayImage) -> bool {
    let transparent = alpha.as_raw().iter().filter(|&&a| a < 128).count();
    transparent as f64 > 0.02 * alpha.as_raw().len() as f64
}

fn opaque(alpha: &GrayImage, (width, height): (usize, usize)) -> Mask {
    let values = alpha.as_raw().iter().map(|&a| f32::from(a)).collect();
    let plane = Gray::from_vec(alpha.width() as usize, alpha.height() as usize, values);
    resize_area(&plane, width, height).map(|&a| a > 127.0)
}

/// The garment in the whole picture.
fn find_garment(picture: &Color) -> Mask {
    let scale = ANALYSIS_SIDE as f64 / picture.width.max(picture.height) as f64;
    if scale >= 1.0 {
        return segment(picture).map(|&v| v > 0.5);
    }
    let (width, height) = scaled(picture.size(), scale);
    let small = resize_area(picture, width, height).map(|c| c.map(f32::round_ties_even));
    let soft = segment(&small);
    resize_bilinear(&soft, picture.width, picture.height).map(|&v| v > 0.5)
}

/// The box around the garment with a margin of 2 % of the picture.
fn garment_box(mask: &Mask) -> Option<Rect> {
    let margin = (0.02 * mask.width.max(mask.height) as f64) as usize + 2;
    Some(mask.bounds()?.grown(margin, mask.width, mask.height))
}
