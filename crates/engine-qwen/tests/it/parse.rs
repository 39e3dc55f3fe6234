//! The person parser and the moderator against the reference.

use std::{path::Path, sync::Arc};

use image::{DynamicImage, RgbImage};
use tryon_core::{category::Category, task::Provider};
use tryon_engine::Engine as _;
use tryon_engine_qwen::{
    backend::Cpu,
    engine::{EngineConfig, Mode, QwenEngine},
    golden::{Golden, Recorder},
    mask,
    moderation::Moderator,
    parse::Parser,
    tap::Untapped,
    weights::Unfollowed,
};

use crate::golden;

pub(crate) fn picture(golden: &Golden) -> RgbImage {
    let raw = golden::get(golden, "img.0.raw_u8");
    let bytes = raw.values.iter().map(|byte| *byte as u8).collect();
    RgbImage::from_raw(raw.shape[1] as u32, raw.shape[0] as u32, bytes).unwrap()
}

#[test]
fn every_tensor_of_the_parser_is_the_references() {
    let golden = golden::open("parser");
    let parser = Parser::open(&Cpu, &golden::path("checkpoint/parser")).unwrap();
    let mut seen = Recorder::all();
    let parsing = parser.parse(&Cpu, &picture(&golden), &mut seen).unwrap();
    golden::check(&golden, &seen, "", |name| {
        name.starts_with("seg.") && name != "seg.classes"
    });
    let classes = &golden::get(&golden, "seg.classes").values;
    assert_eq!((parsing.width, parsing.height), (50, 70));
    let found: Vec<f64> = parsing
        .classes
        .iter()
        .map(|class| f64::from(*class))
        .collect();
    let differ = found
        .iter()
        .zip(classes)
        .filter(|(found, exact)| found != exact);
    assert_eq!(differ.count(), 0);
}

#[test]
fn every_tensor_of_the_moderator_is_the_references() {
    let golden = golden::open("moderator");
    let moderator = Moderator::open(&Cpu, &golden::path("checkpoint/moderator")).unwrap();
    let mut seen = Recorder::all();
    let likelihood = moderator.judge(&Cpu, &picture(&golden), &mut seen).unwrap();
    golden::check(&golden, &seen, "", |name| name.starts_with("vit."));
    let exact = golden::get(&golden, "vit.probabilities").values[1];
    assert!((f64::from(likelihood) - exact).abs() < 1e-6);
}

#[test]
fn a_checkpoint_of_another_family_is_refused_by_its_key() {
    let parser = golden::path("checkpoint/parser");
    let moderator = golden::path("checkpoint/moderator");
    let said = Parser::open(&Cpu, &moderator).err().unwrap().to_string();
    assert!(said.contains("config.json"), "{said}");
    let said = Moderator::open(&Cpu, &parser).err().unwrap().to_string();
    assert!(said.contains("config.json"), "{said}");
    let same = Moderator::open(&Cpu, &moderator).unwrap();
    let grey = RgbImage::from_pixel(9, 9, image::Rgb([127; 3]));
    assert!((0.0..=1.0).contains(&same.judge(&Cpu, &grey, &mut Untapped).unwrap()));
}

/// Which is told beside runs is what runs go by.
#[test]
fn an_engine_tells_what_its_parser_is_sure_of() {
    let engine = |parser: &Path| {
        let config = EngineConfig {
            checkpoint: golden::path("checkpoint/tiny-2511"),
            parser: parser.to_owned(),
            ..EngineConfig::new(Provider::Qwen, Mode::Base, Path::new(""))
        };
        QwenEngine::load(Cpu, config, Arc::new(Unfollowed)).unwrap()
    };
    let folder = golden::path("checkpoint/parser");
    let photo = picture(&golden::open("parser"));
    let parsing = Parser::open(&Cpu, &folder).unwrap();
    let parsing = parsing.parse(&Cpu, &photo, &mut Untapped).unwrap();
    let parser = engine(&folder).parser().unwrap();
    let rgba = DynamicImage::from(photo).into_rgba8();
    let mut sure = 0;
    for category in [
        Category::Auto,
        Category::Tops,
        Category::Bottoms,
        Category::OnePieces,
    ] {
        let cover = mask::cover(&parsing, category).filter(|cover| cover.confident);
        sure += usize::from(cover.is_some());
        let told = parser.parse(&rgba, category).unwrap();
        assert_eq!(told, cover.map(|cover| cover.mask), "{category:?}");
    }
    assert!(sure > 0, "the fixture shows no garment");
    assert!(engine(Path::new("nowhere")).parser().is_none());
}
