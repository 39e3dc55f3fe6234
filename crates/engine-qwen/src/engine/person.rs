//! The person as the model is shown them.

use image::{Rgb, RgbImage, RgbaImage};
use tryon_core::task::Task;
use tryon_engine::{EngineError, Request};

use super::QwenEngine;
use crate::{backend::Backend, error::RunError, mask, tap::Untapped};

/// What the model was told that paint means.
const GREEN: Rgb<u8> = Rgb([0, 255, 0]);

/// Transparent to this degree is cut out.
const CUT_OUT: u8 = 128;

/// The share of a picture that must be marked to count as a mask and not as a leaf.
const LEAST_SHARE: f64 = 0.005;

/// A person's picture, and whether a region of it is painted.
pub(super) struct Person {
    pub(super) picture: RgbImage,
    pub(super) masked: bool,
}

impl<B: Backend> QwenEngine<B> {
    /// The person with the region to dress painted green: as the client marked it, or as the
    /// parser finds it where one is installed.
    pub(super) fn person(&self, request: &Request) -> Result<Person, EngineError> {
        let picture = painted(&request.person);
        if request.options.task != Task::Clothes {
            return Ok(Person {
                picture,
                masked: false,
            });
        }
        if is_marked(&picture) {
            return Ok(Person {
                picture,
                masked: true,
            });
        }
        let Some(parser) = &self.parser else {
            return Ok(Person {
                picture,
                masked: false,
            });
        };
        let parsing = parser.parse(self.pipeline.backend(), &picture, &mut Untapped);
        let parsing = parsing.map_err(RunError::from)?;
        Ok(match mask::cover(&parsing, request.options.category) {
            // A guess at the place is no better than the category in the prompt.
            Some(cover) if cover.confident => Person {
                picture: mask::paint(&picture, &cover.mask),
                masked: true,
            },
            _ => Person {
                picture,
                masked: false,
            },
        })
    }
}

fn is_marked(picture: &RgbImage) -> bool {
    let green = picture.pixels().filter(|pixel| **pixel == GREEN).count();
    let all = f64::from(picture.width()) * f64::from(picture.height());
    green as f64 >= LEAST_SHARE * all
}

/// The picture with what is cut out, or all but pure green, in pure green.
fn painted(picture: &RgbaImage) -> RgbImage {
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [r, g, b, a] = picture.get_pixel(x, y).0;
        // JPEG leaves pure green a little less pure.
        let green = g > 200 && r < 70 && b < 70;
        if a < CUT_OUT || green {
            GREEN
        } else {
            Rgb([r, g, b])
        }
    })
}

/// A garment on white, where its picture is transparent.
pub(super) fn flatten(picture: &RgbaImage) -> RgbImage {
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [r, g, b, a] = picture.get_pixel(x, y).0;
        let over = |value: u8| {
            let (value, alpha) = (u32::from(value), u32::from(a));
            ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
        };
        Rgb([over(r), over(g), over(b)])
    })
}

#[cfg(test)]
mod tests {
    use image::Rgba;

    use super::*;

    #[test]
    fn what_is_cut_out_or_painted_is_marked() {
        let person = |marked: Rgba<u8>| {
            RgbaImage::from_fn(20, 20, |x, y| {
                if x < 10 && y < 10 {
                    marked
                } else {
                    Rgba([90, 120, 150, 255])
                }
            })
        };
        for marked in [Rgba([9, 9, 9, 0]), Rgba([3, 250, 6, 255])] {
            let picture = painted(&person(marked));
            assert!(is_marked(&picture), "{marked:?}");
            assert_eq!(picture.get_pixel(0, 0), &GREEN);
            assert_eq!(picture.get_pixel(15, 15), &Rgb([90, 120, 150]));
        }
        assert!(!is_marked(&painted(&person(Rgba([90, 120, 150, 255])))));
    }

    #[test]
    fn a_garment_lies_on_white() {
        let garment = RgbaImage::from_pixel(1, 1, Rgba([0, 100, 200, 0]));
        assert_eq!(flatten(&garment).get_pixel(0, 0), &Rgb([255; 3]));
        let garment = RgbaImage::from_pixel(1, 1, Rgba([0, 100, 200, 255]));
        assert_eq!(flatten(&garment).get_pixel(0, 0), &Rgb([0, 100, 200]));
    }
}
