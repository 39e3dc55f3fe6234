//! The classical preview engine: virtual try-on by measure, on a CPU, without a trained model.
//!
//! A garment is cut out of its picture and measured; a person is told from the backdrop and
//! measured; a mesh lays the garment onto the body; light and shade of the old clothing are
//! carried over; what the new garment leaves bare is invented. It takes about a second and the
//! same request gives the same bytes. It is a preview and says so in every picture: it knows
//! nothing of fit, size or drape, and draws hidden skin as a plain tone.
//!
//! | module | does |
//! |---|---|
//! | `raster` | planes of numbers and what can be done with them |
//! | `geometry` | points, sides, curves |
//! | `garment` | cuts the garment out, finds its landmarks, feathers its parts |
//! | `body` | finds silhouette, shoulders, torso, arms, colours, and painted-over bodies |
//! | `plan` | which point of the garment goes to which point of the body |
//! | `warp`, `shade`, `fill`, `compose` | the pixels |
//! | `outfit` | the three ways to dress: top, bottoms, painted region |
//! | `tattoo` | inks a design onto skin |
//! | `confidence` | refuses photos that were not understood |
//!
//! It works on at most 4 megapixels: a larger photo is reduced first, its aspect ratio kept, and
//! so is the picture of it, unless the request names a size. `tryon:reduced-from` in the picture's
//! texts is then the size that the photo came in. A garment is reduced in the same way.
//!
//! People stand, face the camera and have a plain backdrop, or their clothing is painted over in
//! pure green or cut out; then only that region changes.
//!
//! ```
//! use image::{Rgba, RgbaImage};
//! use tryon_core::category::Category;
//! use tryon_core::task::{GarmentPhotoType, ModerationLevel, Provider, Task};
//! use tryon_engine::{Engine, EngineError, Monitor, Options, Request, Step};
//! use tryon_engine_preview::PreviewEngine;
//!
//! struct Unwatched;
//!
//! impl Monitor for Unwatched {
//!     fn step(&mut self, _: Step) -> Result<(), EngineError> {
//!         Ok(())
//!     }
//! }
//!
//! let options = Options {
//!     task: Task::Clothes,
//!     category: Category::Tops,
//!     subcategory: None,
//!     garment_photo: GarmentPhotoType::Auto,
//!     segmentation_free: true,
//!     region: None,
//!     placement: None,
//!     haircut: None,
//!     hair_color: None,
//!     seed: 7,
//!     steps: 3,
//!     cfg: 1.0,
//!     prompt: None,
//!     size: None,
//!     moderation: ModerationLevel::None,
//! };
//! let blank = RgbaImage::from_pixel(300, 400, Rgba([230, 230, 230, 255]));
//! let request = Request {
//!     provider: Provider::Preview,
//!     options,
//!     person: blank.clone(),
//!     garment: Some(blank),
//! };
//! let refused = PreviewEngine::new().run(&request, &mut Unwatched).unwrap_err();
//! assert!(refused.to_string().contains("no garment"));
//! ```
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::similar_names,
    clippy::many_single_char_names,
    reason = "pixel coordinates and colours are small; the conversions are the arithmetic"
)]

mod raster;

mod body;
mod compose;
mod confidence;
mod engine;
mod error;
mod fill;
mod garment;
mod geometry;
mod input;
mod kind;
mod noise;
mod outfit;
mod parse;
mod plan;
mod shade;
mod tattoo;
mod warp;

pub use engine::PreviewEngine;
