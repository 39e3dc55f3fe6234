//! Requests, and the people and garments in them.

use image::{DynamicImage, RgbImage, RgbaImage};
use tryon_core::category::Category;
use tryon_core::task::{ModerationLevel, Provider, Task};
use tryon_engine::{Engine, EngineError, Monitor, Options, Output, Request, Step};
use tryon_engine_preview::PreviewEngine;
use tryon_picture::{Limits, decode};

pub(crate) const SEED: u64 = 7;

/// A monitor that lets everything pass.
pub(crate) struct Unwatched;

impl Monitor for Unwatched {
    fn step(&mut self, _: Step) -> Result<(), EngineError> {
        Ok(())
    }
}

/// The options of a try-on in which nothing is chosen.
pub(crate) fn options(task: Task) -> Options {
    Options {
        task,
        category: Category::Auto,
        region: None,
        placement: None,
        haircut: None,
        hair_color: None,
        seed: SEED,
        steps: 3,
        cfg: 1.0,
        prompt: None,
        size: None,
        moderation: ModerationLevel::None,
    }
}

/// A try-on of `garment` by `person`.
pub(crate) fn clothes(person: RgbaImage, garment: RgbaImage) -> Request {
    Request {
        provider: Provider::Preview,
        options: options(Task::Clothes),
        person,
        garment: Some(garment),
    }
}

pub(crate) fn run(request: &Request) -> Result<Output, EngineError> {
    PreviewEngine::new().run(request, &mut Unwatched)
}

/// The picture of a try-on that must succeed.
pub(crate) fn dress(person: &RgbImage, garment: &RgbImage) -> RgbImage {
    let request = clothes(rgba(person), rgba(garment));
    run(&request).expect("the engine dresses this").picture
}

pub(crate) fn rgba(picture: &RgbImage) -> RgbaImage {
    DynamicImage::from(picture.clone()).into_rgba8()
}

/// A shipped example picture.
pub(crate) fn example(name: &str) -> RgbImage {
    let path = format!("{}/../../examples/{name}", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    DynamicImage::from(decode(&bytes, &Limits::default()).unwrap()).into_rgb8()
}
