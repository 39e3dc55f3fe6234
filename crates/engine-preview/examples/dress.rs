//! Dresses a person from files, without a gateway or a node:
//!
//! ```sh
//! cargo run -p tryon-engine-preview --example dress -- \
//!     examples/person-studio.jpg examples/garment-tee.jpg dressed.png [tops|bottoms|one-pieces]
//! ```

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use image::RgbaImage;
use tryon_core::category::Category;
use tryon_core::task::{GarmentPhotoType, ModerationLevel, Provider, Task};
use tryon_engine::{Engine, EngineError, Monitor, Options, Output, Request, Step};
use tryon_engine_preview::PreviewEngine;
use tryon_picture::{Limits, PictureError, decode, encode_png};

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("usage: dress <person> <garment> <out.png> [tops|bottoms|one-pieces]")]
    Usage,
    #[error("`{}`: {source}", path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Picture(#[from] PictureError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

struct Unwatched;

impl Monitor for Unwatched {
    fn step(&mut self, _: Step) -> Result<(), EngineError> {
        Ok(())
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dress(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn dress(arguments: &[String]) -> Result<(), Failure> {
    let (files, kind) = match arguments {
        [files @ .., kind] if files.len() == 3 => (files, kind.as_str()),
        files => (files, "auto"),
    };
    let [person, garment, out] = files else {
        return Err(Failure::Usage);
    };
    let known = [
        Category::Auto,
        Category::Tops,
        Category::Bottoms,
        Category::OnePieces,
    ];
    let category = known.into_iter().find(|known| known.as_str() == kind);
    let category = category.ok_or(Failure::Usage)?;
    let request = Request {
        provider: Provider::Preview,
        options: options(category),
        person: read(person)?,
        garment: Some(read(garment)?),
    };
    let Output { picture, metadata } = PreviewEngine::new().run(&request, &mut Unwatched)?;
    for (key, value) in &metadata {
        println!("{key}: {value}");
    }
    let text: Vec<_> = metadata.iter().map(|(k, v)| (&k[..], &v[..])).collect();
    let path = Path::new(out);
    std::fs::write(path, encode_png(&picture, &text)?).map_err(|source| at(path, source))
}

fn options(category: Category) -> Options {
    Options {
        task: Task::Clothes,
        category,
        subcategory: None,
        garment_photo: GarmentPhotoType::Auto,
        segmentation_free: true,
        region: None,
        placement: None,
        haircut: None,
        hair_color: None,
        seed: 0,
        steps: 3,
        cfg: 1.0,
        prompt: None,
        size: None,
        moderation: ModerationLevel::None,
    }
}

fn read(path: &str) -> Result<RgbaImage, Failure> {
    let path = Path::new(path);
    let bytes = std::fs::read(path).map_err(|source| at(path, source))?;
    Ok(decode(&bytes, &Limits::default())?)
}

fn at(path: &Path, source: std::io::Error) -> Failure {
    Failure::File {
        path: path.to_owned(),
        source,
    }
}
