//! What the engine tells of a run besides its picture.

use std::sync::Arc;

use image::{DynamicImage, RgbaImage};
use tryon_core::{
    category::Category,
    task::{GarmentPhotoType, ModerationLevel, Provider, Task},
};
use tryon_engine::{Engine, EngineError, Monitor, Options, Output, Refusal, Request, Stage, Step};
use tryon_engine_qwen::{
    backend::Cpu,
    engine::{EngineConfig, Mode, QwenEngine},
    weights::Unfollowed,
};

use crate::{golden, pipeline::picture};

/// Notes the stages, of which one that is told of twice in a row goes on.
#[derive(Default)]
struct Noted(Vec<Stage>);

impl Monitor for Noted {
    fn step(&mut self, _: Step) -> Result<(), EngineError> {
        Ok(())
    }

    fn stage(&mut self, stage: Stage) {
        if self.0.last() != Some(&stage) {
            self.0.push(stage);
        }
    }
}

fn load(low_memory: bool) -> QwenEngine<Cpu> {
    let checkpoint = golden::path("checkpoint");
    let config = EngineConfig {
        checkpoint: checkpoint.join("tiny-2511"),
        parser: checkpoint.join("parser"),
        moderator: checkpoint.join("moderator"),
        low_memory: Some(low_memory),
        areas: Some((112 * 112, 128 * 128)),
        ..EngineConfig::new(Provider::Qwen, Mode::Base, &checkpoint)
    };
    QwenEngine::load(Cpu, config, Arc::new(Unfollowed)).unwrap()
}

fn request(moderation: ModerationLevel) -> Request {
    let rgba = |width, height| -> RgbaImage {
        DynamicImage::ImageRgb8(picture(width, height)).into_rgba8()
    };
    Request {
        provider: Provider::Qwen,
        options: Options {
            task: Task::Clothes,
            category: Category::Tops,
            subcategory: None,
            garment_photo: GarmentPhotoType::Auto,
            segmentation_free: true,
            region: None,
            placement: None,
            haircut: None,
            hair_color: None,
            seed: 42,
            steps: 2,
            cfg: 1.0,
            prompt: None,
            size: Some((48, 64)),
            moderation,
        },
        person: rgba(40, 60),
        garment: Some(rgba(50, 50)),
    }
}

/// The stages of a run, each of which the engine said that it has, and what came of it.
fn stages(
    engine: &mut QwenEngine<Cpu>,
    moderation: ModerationLevel,
) -> (Vec<Stage>, Result<Output, EngineError>) {
    let mut noted = Noted::default();
    let made = engine.run(&request(moderation), &mut noted);
    let foreseen = engine.describe().stages;
    assert!(noted.0.iter().all(|stage| foreseen.contains(stage)));
    (noted.0, made)
}

#[test]
fn a_run_tells_of_its_stages_as_they_begin() {
    let engine = &mut load(false);
    let expected = [
        Stage::ReadPerson,
        Stage::EncodeInputs,
        Stage::Denoise,
        Stage::DecodeLatents,
    ];
    let (told, made) = stages(engine, ModerationLevel::None);
    assert_eq!(told, expected);
    assert!(made.is_ok());
    let expected = [
        Stage::ReadPerson,
        Stage::Moderate,
        Stage::EncodeInputs,
        Stage::Denoise,
        Stage::DecodeLatents,
        Stage::Moderate,
    ];
    let (told, made) = stages(engine, ModerationLevel::Permissive);
    assert_eq!(told, expected);
    // The tiny moderator knows nothing of pictures; that it refuses this one is in its weights.
    let refusal = match made {
        Err(EngineError::Refused { refusal, .. }) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal, Refusal::Moderation);
    assert!(!engine.describe().stages.contains(&Stage::Load));
}

#[test]
fn loading_a_part_of_the_model_is_a_stage_of_its_own() {
    let expected = [
        Stage::ReadPerson,
        Stage::EncodeInputs,
        Stage::Load,
        Stage::EncodeInputs,
        Stage::Load,
        Stage::EncodeInputs,
        Stage::Load,
        Stage::Denoise,
        Stage::Load,
        Stage::DecodeLatents,
    ];
    let (told, made) = stages(&mut load(true), ModerationLevel::None);
    assert_eq!(told, expected);
    assert!(made.is_ok());
}
