//! The person as the model is shown them.

use image::{Rgb, RgbImage, RgbaImage};
use tryon_core::{category::Category, task::Task};
use tryon_engine::{EngineError, Request};
use tryon_picture::mask::{Mask, find_marked};

use super::QwenEngine;
use crate::{
    backend::{Backend, Cpu},
    error::RunError,
    mask,
    parse::Parser,
    tap::Untapped,
};

/// What the model was told that paint means.
const GREEN: Rgb<u8> = Rgb([0, 255, 0]);

/// A person's picture, and whether a region of it is painted.
pub(super) struct Person {
    pub(super) picture: RgbImage,
    pub(super) masked: bool,
}

impl<B: Backend> QwenEngine<B> {
    /// The person with the region to dress painted green: as the client marked it, or as the
    /// parser finds it where one is installed.
    pub(super) fn person(&self, request: &Request) -> Result<Person, EngineError> {
        let marked = find_marked(&request.person).map(|(_, mask)| mask);
        let picture = painted(&request.person, marked.as_ref());
        if request.options.task != Task::Clothes || marked.is_some() {
            return Ok(Person {
                picture,
                masked: request.options.task == Task::Clothes,
            });
        }
        let Some(parser) = &self.parser else {
            return Ok(Person {
                picture,
                masked: false,
            });
        };
        let backend = self.pipeline.backend();
        let found = find_region(parser, backend, &picture, request.options.category)?;
        Ok(match found {
            Some(region) => Person {
                picture: mask::paint(&picture, &region),
                masked: true,
            },
            None => Person {
                picture,
                masked: false,
            },
        })
    }
}

/// The region that a garment of `category` goes into, where the parser is sure of one.
fn find_region<B: Backend>(
    parser: &Parser<B>,
    backend: &B,
    picture: &RgbImage,
    category: Category,
) -> Result<Option<Mask>, EngineError> {
    let parsing = parser.parse(backend, picture, &mut Untapped);
    let cover = mask::cover(&parsing.map_err(RunError::from)?, category);
    // A guess at the place is no better than the category in the prompt.
    Ok(cover
        .filter(|cover| cover.confident)
        .map(|cover| cover.mask))
}

/// The person parser for questions beside runs, which have the device to themselves.
pub(super) struct Aside(pub(super) Parser<Cpu>);

impl tryon_engine::Parser for Aside {
    fn parse(&self, photo: &RgbaImage, category: Category) -> Result<Option<Mask>, EngineError> {
        match find_marked(photo) {
            Some((_, marked)) => Ok(Some(marked)),
            None => find_region(&self.0, &Cpu, &painted(photo, None), category),
        }
    }
}

/// The picture on white, with the marked region in pure green.
fn painted(picture: &RgbaImage, marked: Option<&Mask>) -> RgbImage {
    let mut flat = flatten(picture);
    if let Some(marked) = marked {
        for (x, y, pixel) in flat.enumerate_pixels_mut() {
            if marked.contains(x, y) {
                *pixel = GREEN;
            }
        }
    }
    flat
}

/// A picture on white, where it is transparent.
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
    fn what_is_cut_out_or_painted_is_green_and_a_backdrop_is_white() {
        let person = |paint: [u8; 4], is_paint: fn(u32, u32) -> bool| {
            RgbaImage::from_fn(40, 40, |x, y| {
                let skin = [90, 120, 150, 255];
                Rgba(if is_paint(x, y) { paint } else { skin })
            })
        };
        let chest = |x: u32, y: u32| (10..30).contains(&x) && (15..35).contains(&y);
        let around = |x: u32, y: u32| !(10..30).contains(&x) || y < 10;
        let shown = |picture: &RgbaImage| {
            let marked = find_marked(picture).map(|(_, mask)| mask);
            painted(picture, marked.as_ref())
        };
        for paint in [[9, 9, 9, 0], [3, 250, 6, 255]] {
            let picture = shown(&person(paint, chest));
            assert_eq!(picture.get_pixel(20, 20), &GREEN, "{paint:?}");
            assert_eq!(picture.get_pixel(5, 5), &Rgb([90, 120, 150]));
        }
        let cut_out = shown(&person([9, 9, 9, 0], around));
        assert_eq!(cut_out.get_pixel(5, 5), &Rgb([255; 3]));
        assert_eq!(cut_out.get_pixel(20, 20), &Rgb([90, 120, 150]));
    }

    #[test]
    fn a_garment_lies_on_white() {
        let garment = RgbaImage::from_pixel(1, 1, Rgba([0, 100, 200, 0]));
        assert_eq!(flatten(&garment).get_pixel(0, 0), &Rgb([255; 3]));
        let garment = RgbaImage::from_pixel(1, 1, Rgba([0, 100, 200, 255]));
        assert_eq!(flatten(&garment).get_pixel(0, 0), &Rgb([0, 100, 200]));
    }
}
