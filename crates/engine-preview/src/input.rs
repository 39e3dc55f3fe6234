//! The pictures of a request, as the engine works on them.

use std::borrow::Cow;

use image::{GrayImage, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use tryon_picture::mask::{Marking, find_marked};
use tryon_picture::{fit_pixels, shrink};

use crate::error::PreviewError;
use crate::raster::label::{Connectivity, connected_to_seed};
use crate::raster::plane::{Color, Mask};
use crate::raster::sample::{resize_area, shrink_image};

/// Photos with a shorter side below this mean nothing.
const LEAST_SIDE: u32 = 200;
/// Photos longer than this many times their shorter side are not photos of a person.
const LONGEST_RATIO: u32 = 4;
/// Pictures of more pixels are reduced before anything else: each costs some 40 bytes in planes.
const MOST_PIXELS: u32 = 4_000_000;
/// The longest side of the copy that is analysed.
const ANALYSIS_SIDE: f64 = 512.0;
/// Garments are reduced to this many times the longest side of the photo: more is never seen.
const GARMENT_SIDE: f64 = 1.25;

/// The photo of the person.
pub(crate) struct Person {
    pub(crate) photo: RgbImage,
    /// The region to be dressed, where one was painted or cut out.
    pub(crate) mask: Option<Mask>,
    /// The size that the photo came in, if it was reduced.
    pub(crate) reduced_from: Option<(u32, u32)>,
}

impl Person {
    /// Reads the photo, reduced to 4 megapixels, and its mask. A cut-out person on a transparent
    /// backdrop has no mask: the backdrop becomes white.
    pub(crate) fn read(picture: &RgbaImage) -> Result<Self, PreviewError> {
        check_size(picture)?;
        let came = picture.dimensions();
        let picture = &*within_most(picture);
        let marked = find_marked(picture);
        let photo = match marked {
            Some((Marking::CutOut, _)) => opaque(picture),
            // Beside paint, too, what is transparent is a backdrop, whatever colours it hides.
            _ => over_white(picture),
        };
        let mask = marked.map(|(_, mask)| {
            let mask = Mask::from_vec(mask.width as usize, mask.height as usize, mask.data);
            with_brush_strokes(&mask, picture)
        });
        let reduced_from = Some(came).filter(|&came| came != picture.dimensions());
        Ok(Self {
            photo,
            mask,
            reduced_from,
        })
    }

    /// Size of the analysis copy.
    pub(crate) fn small(&self) -> (usize, usize) {
        let (width, height) = self.photo.dimensions();
        let scale = ANALYSIS_SIDE / f64::from(width.max(height));
        let side = |n: u32| (f64::from(n) * scale).round_ties_even() as usize;
        (side(width), side(height))
    }

    /// Analysis pixels per pixel of the photo.
    pub(crate) fn scale(&self) -> f64 {
        self.small().1 as f64 / f64::from(self.photo.height())
    }

    /// The analysis copy.
    pub(crate) fn copy(&self) -> Color {
        let (width, height) = self.small();
        let copy = if width < self.photo.width() as usize {
            shrink_image(&self.photo, width, height)
        } else {
            resize_area(&Color::from_image(&self.photo), width, height)
        };
        copy.map(|color| color.map(f32::round_ties_even))
    }
}

/// The region with what hangs on it of the same paint: a mask drops strokes of a single pixel.
fn with_brush_strokes(mask: &Mask, picture: &RgbaImage) -> Mask {
    let green = |pixel: &Rgba<u8>| pixel.0 == [0, 255, 0, 255];
    let paint = Mask::from_vec(
        mask.width,
        mask.height,
        picture.pixels().map(green).collect(),
    );
    connected_to_seed(&paint.or(mask), mask, Connectivity::Eight)
}

fn check_size(picture: &RgbaImage) -> Result<(), PreviewError> {
    let (width, height) = picture.dimensions();
    let (short, long) = (width.min(height), width.max(height));
    if short < LEAST_SIDE {
        return Err(PreviewError::PersonTooSmall {
            width,
            height,
            least: LEAST_SIDE,
        });
    }
    if long > LONGEST_RATIO * short {
        return Err(PreviewError::PersonTooLong {
            width,
            height,
            most: LONGEST_RATIO,
        });
    }
    Ok(())
}

/// The picture, of at most [`MOST_PIXELS`].
fn within_most(picture: &RgbaImage) -> Cow<'_, RgbaImage> {
    let came = picture.dimensions();
    let (width, height) = fit_pixels(came.0, came.1, MOST_PIXELS);
    if (width, height) == came {
        return Cow::Borrowed(picture);
    }
    Cow::Owned(shrink(picture, width, height))
}

/// The garment, or a tattoo's design: colours over white, and the opacity if any is transparent.
pub(crate) struct Garment {
    pub(crate) picture: RgbImage,
    pub(crate) alpha: Option<GrayImage>,
}

impl Garment {
    /// Reads the picture, reduced to what a photo of `longest` pixels can show.
    pub(crate) fn read(picture: &RgbaImage, longest: u32) -> Self {
        let picture = reduce(picture, GARMENT_SIDE * f64::from(longest));
        let picture = within_most(&picture);
        let transparent = picture.pixels().any(|pixel| pixel.0[3] < 255);
        let alpha = transparent.then(|| {
            GrayImage::from_fn(picture.width(), picture.height(), |x, y| {
                Luma([picture.get_pixel(x, y).0[3]])
            })
        });
        Self {
            picture: over_white(&picture),
            alpha,
        }
    }
}

fn reduce(picture: &RgbaImage, longest: f64) -> Cow<'_, RgbaImage> {
    let (width, height) = picture.dimensions();
    let scale = longest / f64::from(width.max(height));
    if scale >= 1.0 {
        return Cow::Borrowed(picture);
    }
    let side = |n: u32| ((f64::from(n) * scale) as u32).max(1);
    Cow::Owned(image::imageops::thumbnail(
        picture,
        side(width),
        side(height),
    ))
}

/// The colours alone.
fn opaque(picture: &RgbaImage) -> RgbImage {
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [r, g, b, _] = picture.get_pixel(x, y).0;
        Rgb([r, g, b])
    })
}

fn over_white(picture: &RgbaImage) -> RgbImage {
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [r, g, b, alpha] = picture.get_pixel(x, y).0;
        let alpha = u32::from(alpha);
        let blend = |c: u8| ((u32::from(c) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        Rgb([r, g, b].map(blend))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(inside: impl Fn(u32, u32) -> bool, paint: [u8; 4]) -> RgbaImage {
        RgbaImage::from_fn(300, 400, |x, y| {
            Rgba(if inside(x, y) {
                paint
            } else {
                [120, 110, 100, 255]
            })
        })
    }

    #[test]
    fn paint_and_holes_are_masks_and_backdrops_are_not() {
        let chest = |x: u32, y: u32| (80..220).contains(&x) && (120..300).contains(&y);
        let around = |x: u32, y: u32| !(60..240).contains(&x) || y < 40;
        for paint in [[0, 255, 0, 255], [0, 0, 0, 0]] {
            let painted = Person::read(&picture(chest, paint)).unwrap();
            assert!(painted.mask.is_some());
            let cut_out = Person::read(&picture(around, paint)).unwrap();
            assert!(cut_out.mask.is_none());
        }
        let corner = Person::read(&picture(|x, y| x + y < 6, [0, 0, 0, 0])).unwrap();
        assert!(corner.mask.is_none());
    }

    #[test]
    fn colours_hidden_in_a_backdrop_do_not_appear_beside_paint() {
        let chest = |x: u32, y: u32| (80..220).contains(&x) && (120..300).contains(&y);
        let mut painted = picture(chest, [0, 255, 0, 255]);
        for (x, y, pixel) in painted.enumerate_pixels_mut() {
            if !(60..240).contains(&x) || y < 40 {
                *pixel = Rgba([255, 0, 0, 0]);
            } else if x == 60 {
                *pixel = Rgba([255, 0, 0, 128]);
            }
        }
        let person = Person::read(&painted).unwrap();
        assert!(person.mask.unwrap()[(150, 200)]);
        let colour = |x| person.photo.get_pixel(x, 200).0;
        assert_eq!(
            [colour(10), colour(60), colour(70), colour(150)],
            [[255; 3], [255, 127, 127], [120, 110, 100], [0, 255, 0]]
        );
    }

    #[test]
    fn thin_strokes_on_the_region_belong_to_it() {
        let painted = picture(
            |x, y| (80..220).contains(&x) && (120..300).contains(&y) || x == 150 && y > 90,
            [0, 255, 0, 255],
        );
        let mask = Person::read(&painted).unwrap().mask.unwrap();
        assert!(mask[(150, 91)] && !mask[(150, 89)]);
    }

    #[test]
    fn strips_and_stamps_are_refused() {
        let refused = |width, height| Person::read(&RgbaImage::new(width, height)).err().unwrap();
        assert!(matches!(refused(1, 1), PreviewError::PersonTooSmall { .. }));
        assert!(matches!(
            refused(1000, 199),
            PreviewError::PersonTooSmall { .. }
        ));
        assert!(matches!(
            refused(201, 900),
            PreviewError::PersonTooLong { .. }
        ));
    }

    #[test]
    fn photos_are_reduced_with_their_masks() {
        let most = Person::read(&RgbaImage::new(2000, 2000)).unwrap();
        assert_eq!(most.photo.dimensions(), (2000, 2000));
        assert_eq!(most.reduced_from, None);
        let large = RgbaImage::from_fn(2400, 3750, |x, y| {
            let inside = (600..1800).contains(&x) && (1000..3000).contains(&y);
            Rgba(if inside {
                [0, 255, 0, 255]
            } else {
                [120, 110, 100, 255]
            })
        });
        let large = Person::read(&large).unwrap();
        assert_eq!(large.photo.dimensions(), (1600, 2500));
        assert_eq!(large.reduced_from, Some((2400, 3750)));
        let mask = large.mask.unwrap();
        let share = mask.coverage();
        let painted = 1200.0 * 2000.0 / (2400.0 * 3750.0);
        assert!((share - painted).abs() < 0.002, "{share} for {painted}");
    }

    #[test]
    fn large_garments_are_reduced() {
        let square = Garment::read(&RgbaImage::new(3000, 3000), 4000);
        assert_eq!(square.picture.dimensions(), (2000, 2000));
        let garment = Garment::read(&RgbaImage::new(3000, 1500), 1000);
        assert_eq!(garment.picture.dimensions(), (1250, 625));
    }
}
