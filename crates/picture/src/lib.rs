//! Pictures within limits.
//!
//! Everything that comes in as bytes and leaves as bytes passes through here: an upload is
//! recognised by its content, its header is checked against [`Limits`] before a single pixel is
//! decoded, and what comes out is always the same thing: an upright 8-bit sRGB
//! [`image::RgbaImage`] without metadata.
//!
//! | module | turns | into |
//! |---|---|---|
//! | [`decode`](mod@decode) | bytes | a checked [`Header`], or pixels |
//! | [`resize`](mod@resize) | pixels | pixels of another size, and the sizes to choose |
//! | [`mask`] | pixels | the region somebody painted green or cut out |
//! | [`encode`] | pixels and a text | PNG or JPEG bytes that carry the text |
//!
//! All of it is synchronous and without side effects: callers with an event loop run it on a
//! blocking thread.
//!
//! ```
//! use tryon_picture::{Limits, decode, encode_png, fit_short_side, read_text, resize, Growth};
//!
//! let upload = encode_png(&image::RgbaImage::new(90, 120), &[])?;
//!
//! let person = decode(&upload, &Limits::default())?;
//! let (width, height) = fit_short_side(person.width(), person.height(), 64, 16, Growth::Never);
//! assert_eq!((width, height), (64, 80));
//!
//! let marked = encode_png(&resize(&person, width, height), &[("Comment", "a preview")])?;
//! assert_eq!(read_text(&marked), [("Comment".to_owned(), "a preview".to_owned())]);
//! # Ok::<(), tryon_picture::PictureError>(())
//! ```

mod colour;
pub mod decode;
pub mod encode;
mod error;
mod format;
mod jpeg;
pub mod mask;
pub mod resize;
mod text;
mod webp;

pub use decode::{Header, Limits, decode, probe};
pub use encode::{encode_jpeg, encode_png};
pub use error::PictureError;
pub use format::Format;
pub use mask::Mask;
pub use resize::{Growth, fit_long_side, fit_pixels, fit_short_side, resize, shrink};
pub use text::read_text;
