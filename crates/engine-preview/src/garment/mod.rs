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
#[cfg(test)]
mod fixture;
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
use crate::raster::plane::Gray;

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
    /// Alpha of the body of the garment, without the inside of the back where that shows in the neck, at the resolution of the crop.
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
            torso,
            sleeves,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::fixture::{Drawing, LONG_SLEEVES, SIDE, TANK, TEE};
    use super::*;
    use crate::geometry::Point;
    use crate::raster::color::distance;
    use crate::raster::plane::Mask;
    use crate::raster::polygon::fill_polygon;

    fn analyse(drawing: Drawing) -> UpperGarment {
        UpperGarment::analyse(drawing.draw().source()).expect("a garment is drawn")
    }

    #[test]
    fn the_parts_cover_the_garment_and_part_at_the_seam() {
        let garment = analyse(Drawing::new(LONG_SLEEVES));
        let sleeves = garment.sleeves.as_ref().expect("it has sleeves");
        let inside = crate::raster::morphology::erode(&garment.cutout.mask, 5);
        let most = sleeves.left.zip_with(&sleeves.right, |&l, &r| l.max(r));
        let most = most.zip_with(&garment.torso, |&s, &t| s.max(t));
        let thin = inside.zip_with(&most, |&inside, &a| inside && a < 0.95);
        assert!(
            thin.count() < inside.count() / 500,
            "{} of {}",
            thin.count(),
            inside.count()
        );
        let seam = garment
            .torso
            .zip_with(&sleeves.left, |&t, &s| t > 0.5 && s > 0.5);
        assert!(seam.any());
        assert!(
            seam.count() < inside.count() / 30,
            "{} of {}",
            seam.count(),
            inside.count()
        );
    }

    #[test]
    fn colours_continue_over_the_edge() {
        let drawing = Drawing::new(TEE);
        let garment = analyse(drawing);
        let reach = crate::raster::morphology::dilate(&garment.cutout.mask, 6);
        let near = reach.minus(&crate::raster::morphology::erode(&garment.cutout.mask, 4));
        let strays = garment.cutout.colors.select(&near);
        let strays = strays
            .iter()
            .filter(|c| distance(**c, drawing.cloth) > 12.0)
            .count();
        // A few pixels of the shadow in the armpits are taken for cloth.
        assert!(strays < 10, "{strays} pixels are not of the cloth");
    }

    #[test]
    fn the_alpha_is_soft_and_stays_inside() {
        let garment = analyse(Drawing::new(TANK));
        assert!(garment.sleeves.is_none());
        let outside = garment.cutout.mask.not();
        assert!(garment.torso.select(&outside).iter().all(|&a| a < 0.2));
        assert!(garment.torso.data.iter().any(|&a| a > 0.3 && a < 0.7));
    }

    #[test]
    fn an_opening_is_left_out_of_the_alpha() {
        let garment = analyse(Drawing {
            neck: true,
            ..Drawing::new(TEE)
        });
        let cutout = &garment.cutout;
        let opening = opening::find_opening(&cutout.small, &cutout.small_mask, &garment.landmarks);
        let inside = crate::raster::morphology::erode(&opening.expect("the neck is open"), 4);
        for index in (0..inside.data.len()).filter(|&i| inside.data[i]) {
            let full = |v: usize| ((v as f64 + 0.5) / cutout.scale) as usize;
            let at = (full(index % inside.width), full(index / inside.width));
            assert!(garment.torso[at] < 0.01, "{at:?}");
        }
    }

    #[test]
    fn the_same_picture_gives_the_same_garment() {
        let drawing = Drawing {
            neck: true,
            ..Drawing::new(TEE)
        };
        let (first, second) = (analyse(drawing), analyse(drawing));
        assert_eq!(first.landmarks, second.landmarks);
        assert_eq!(first.torso, second.torso);
        assert_eq!(first.cutout.colors, second.cutout.colors);
    }

    #[test]
    fn pictures_without_a_garment_are_refused() {
        let plain = RgbImage::from_pixel(200, 300, image::Rgb([230, 230, 230]));
        let source = Source {
            picture: &plain,
            alpha: None,
        };
        assert_eq!(
            UpperGarment::analyse(source).err(),
            Some(GarmentError::Blank)
        );
        assert_eq!(
            LowerGarment::analyse(source).err(),
            Some(GarmentError::Blank)
        );
        let alpha = GrayImage::new(200, 300);
        let source = Source {
            picture: &plain,
            alpha: Some(&alpha),
        };
        assert_eq!(
            UpperGarment::analyse(source).err(),
            Some(GarmentError::Blank)
        );
        let tiny = RgbImage::new(500, 8);
        let source = Source {
            picture: &tiny,
            alpha: None,
        };
        let expected = GarmentError::TooSmall {
            width: 500,
            height: 8,
        };
        assert_eq!(UpperGarment::analyse(source).err(), Some(expected));
    }

    #[test]
    fn large_pictures_are_reduced() {
        let picture = Drawing::new(TEE).draw().image;
        let large = image::imageops::resize(
            &picture,
            4 * SIDE as u32,
            4 * SIDE as u32,
            image::imageops::FilterType::Triangle,
        );
        let source = Source {
            picture: &large,
            alpha: None,
        };
        let garment = UpperGarment::analyse(source).unwrap();
        assert!(garment.cutout.mask.width.max(garment.cutout.mask.height) <= 2048);
        assert_eq!(garment.cutout.colors.size(), garment.torso.size());
        assert!(garment.landmarks.sleeves.is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Whatever is in a picture, the answer is a garment or an error.
        #[test]
        fn no_picture_makes_the_analysis_panic(
            width in 32u32..260,
            height in 32u32..260,
            shapes in proptest::collection::vec(
                (proptest::collection::vec((-0.2f64..1.2, -0.2f64..1.2), 3..9), any::<[u8; 3]>()),
                0..4,
            ),
            grain in 0u32..80,
        ) {
            let mut picture = RgbImage::from_fn(width, height, |x, y| {
                let noise = (x * 7919 + y * 104_729 + x * y * 31) % (grain + 1);
                image::Rgb([(120 + noise) as u8; 3])
            });
            for (corners, color) in &shapes {
                let mut mask = Mask::new(width as usize, height as usize, false);
                let corners: Vec<Point> = corners
                    .iter()
                    .map(|&(x, y)| Point::new(x * f64::from(width), y * f64::from(height)))
                    .collect();
                fill_polygon(&mut mask, &corners);
                for (pixel, _) in picture.pixels_mut().zip(&mask.data).filter(|(_, set)| **set) {
                    pixel.0 = *color;
                }
            }
            let source = Source { picture: &picture, alpha: None };
            if let Ok(garment) = UpperGarment::analyse(source) {
                prop_assert_eq!(garment.torso.size(), garment.cutout.mask.size());
                prop_assert!(garment.landmarks.hem_center.y > 0.0);
            }
            if let Ok(garment) = LowerGarment::analyse(source) {
                prop_assert!(garment.landmarks.waist.left.x <= garment.landmarks.waist.right.x);
            }
        }
    }
}
