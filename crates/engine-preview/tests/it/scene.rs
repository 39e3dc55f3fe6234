//! Requests, and the people and garments in them.

use image::{DynamicImage, RgbImage, RgbaImage};
use tryon_core::category::Category;
use tryon_core::task::{GarmentPhotoType, ModerationLevel, Provider, Task};
use tryon_engine::{Engine, EngineError, Monitor, Options, Output, Request, Step};
use tryon_engine_preview::PreviewEngine;
use tryon_picture::{Limits, decode};
use tryon_testkit::drawing::{Cloth, Garment, Hair, OldTop, Person, Skin};

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
        subcategory: None,
        garment_photo: GarmentPhotoType::Auto,
        segmentation_free: true,
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

/// Who tries on what.
pub(crate) struct Pair {
    pub(crate) person: Person,
    pub(crate) garment: Garment,
}

/// Five people of different looks, each with a garment.
pub(crate) fn pairs() -> Vec<Pair> {
    let person = |skin, hair, top, colours: [u32; 3], shoulder_width, arms_away| Person {
        skin,
        hair,
        hair_colour: colours[0],
        top,
        top_colour: colours[1],
        trousers_colour: colours[2],
        shoulder_width,
        arms_away,
    };
    let people = [
        person(
            Skin::Fair,
            Hair::Short,
            OldTop::Tee,
            [0x00b0_8850, 0x008a_8f98, 0x003a_3a3a],
            270.0,
            0.03,
        ),
        person(
            Skin::Brown,
            Hair::Short,
            OldTop::Tank,
            [0x001c_1512, 0x00e9_e3d6, 0x005b_6b84],
            300.0,
            0.10,
        ),
        person(
            Skin::Deep,
            Hair::Bob,
            OldTop::Tee,
            [0x0012_0d0b, 0x00d9_c24a, 0x0022_262e],
            284.0,
            0.07,
        ),
        person(
            Skin::Tan,
            Hair::Bob,
            OldTop::Tee,
            [0x0039_261d, 0x0035_506b, 0x008b_8471],
            284.0,
            0.05,
        ),
        person(
            Skin::Fair,
            Hair::Bob,
            OldTop::Tank,
            [0x006b_3a22, 0x002a_2a2e, 0x0041_506b],
            250.0,
            0.12,
        ),
    ];
    let cuts = [
        Cloth::Tee,
        Cloth::Striped,
        Cloth::Tank,
        Cloth::Dress,
        Cloth::Tee,
    ];
    let colours: [u32; 5] = [
        0x00b8_433a,
        0x00f1_ece2,
        0x006b_2d6b,
        0x007a_2640,
        0x0020_4a57,
    ];
    let garments = cuts
        .into_iter()
        .zip(colours)
        .map(|(cloth, colour)| Garment {
            colour,
            ..Garment::example(cloth)
        });
    people
        .into_iter()
        .zip(garments)
        .map(|(person, garment)| Pair { person, garment })
        .collect()
}
