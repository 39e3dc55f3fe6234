//! Drawn people and garments: photographs that nobody has to be asked for.
//!
//! A person stands in front of a plain studio backdrop, a garment lies flat on a light one, as
//! in a shop's catalogue. Shapes are outlines through a few points, inflated into relief
//! and lit, so that there is skin, cloth, shadow and edge for an engine to find. The same
//! parameters always draw the same picture.
//!
//! ```
//! use tryon_testkit::drawing::{Cloth, Garment, Person, Region, draw_garment, draw_person, paint};
//!
//! let person = Person::default();
//! let photo = draw_person(&person);
//! let garment = draw_garment(&Garment { cloth: Cloth::Tee, ..Garment::default() });
//! let masked = paint(&photo, &person, Region::Top);
//! assert_eq!(photo.dimensions(), (768, 1024));
//! # assert_eq!(garment.dimensions(), masked.dimensions());
//! ```

mod canvas;
mod clothes;
mod colour;
mod face;
mod field;
mod garment;
mod hair;
mod noise;
mod outline;
mod person;
mod region;
mod relief;
mod tattoo;
#[cfg(test)]
mod tests;

pub use garment::{Cloth, Garment, draw_garment};
pub use person::{Hair, OldTop, Person, Skin, draw_person};
pub use region::{Region, paint};
pub use tattoo::draw_tattoo;

/// Columns of every drawn picture, in pixels.
pub const WIDTH: usize = 768;
/// Rows of every drawn picture, in pixels.
pub const HEIGHT: usize = 1024;
