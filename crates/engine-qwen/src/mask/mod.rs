//! The region of a person's photo that a garment goes into, painted pure green for the model.
//!
//! It is built from what each pixel shows: the garments that are replaced and the limbs that the
//! new one may cover, grown and made convex, less everything that stays as it is.
//!
//! ```
//! use tryon_core::category::Category;
//! use tryon_engine_qwen::{mask::cover, parse::Parsing};
//!
//! // Upper clothes (4) above trousers (6).
//! let classes = [[4; 64 * 32], [6; 64 * 32]].concat();
//! let parsing = Parsing { width: 64, height: 64, classes };
//! let tops = cover(&parsing, Category::Tops).unwrap();
//! assert!(tops.confident && tops.mask.contains(30, 10) && !tops.mask.contains(30, 50));
//! ```

mod grid;
mod guess;
mod label;
#[cfg(test)]
mod tests;

use image::{GrayImage, Rgb, RgbImage};
use tryon_core::category::Category;
use tryon_picture::mask::Mask;

use self::{grid::Grid, guess::guess, label::Recipe};
use crate::parse::Parsing;

/// What the model is told to replace.
const GREEN: Rgb<u8> = Rgb([0, 255, 0]);

/// A garment on fewer than one in this many pixels is a slip of the parser.
const SMALLEST_GARMENT: usize = 1000;

/// Where a garment goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cover {
    /// Of the size of the picture.
    pub mask: Mask,
    /// Whether a garment of the category was seen; else where it would be was guessed from the
    /// rest of the body.
    pub confident: bool,
}

/// Where a garment of this category goes on a person.
///
/// `parsing` has the classes of ATR, as of `mattmdjaga/segformer_b2_clothes`. None if the category
/// is not tops, bottoms or one-pieces, or if nobody is seen.
pub fn cover(parsing: &Parsing, category: Category) -> Option<Cover> {
    let recipe = Recipe::of(category)?;
    if parsing.classes.is_empty() {
        return None;
    }
    let grid = Grid::new(parsing);
    let confident = shows_garment(parsing, recipe);
    let region = if confident {
        grid.surroundings(recipe.core.or(recipe.extension))
    } else {
        grid.filled(guess(&grid, category, recipe)?)
    };
    let mask = cut(parsing, recipe, &grid, &region);
    (!mask.is_empty()).then_some(Cover { mask, confident })
}

fn shows_garment(parsing: &Parsing, recipe: Recipe) -> bool {
    let is_garment = |class: &&u8| recipe.core.contains(**class);
    let garment = parsing.classes.iter().filter(is_garment).count();
    garment * SMALLEST_GARMENT >= parsing.classes.len()
}

/// The pixels of `region` that are not close to what is kept, and all of the garment.
fn cut(parsing: &Parsing, recipe: Recipe, grid: &Grid<'_>, region: &GrayImage) -> Mask {
    let kept = grid.vicinity(recipe.kept);
    Mask::from_fn(parsing.width as u32, parsing.height as u32, |x, y| {
        let class = parsing.classes[y as usize * parsing.width + x as usize];
        recipe.core.contains(class) || grid.is_inside(region, x, y) && !grid.is_inside(&kept, x, y)
    })
}

/// `picture` with the mask painted pure green (0,255,0). It is to reach the model unharmed: JPEG
/// would blur the edge.
pub fn paint(picture: &RgbImage, mask: &Mask) -> RgbImage {
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        if mask.contains(x, y) {
            GREEN
        } else {
            *picture.get_pixel(x, y)
        }
    })
}
