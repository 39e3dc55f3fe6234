//! Draws the shipped example pictures into a folder, the repository's `examples` for instance:
//!
//! ```sh
//! cargo run -p tryon-testkit --example draw_examples -- examples
//! ```

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use image::RgbImage;
use tryon_picture::{PictureError, encode_jpeg, encode_png};
use tryon_testkit::drawing::{Cloth, Garment, Person, draw_garment, draw_person, draw_tattoo};

/// High enough that compression does not show, low enough for a repository.
const QUALITY: u8 = 88;
const MARK: &str = "drawn by tryon's draw_examples; no photograph of a person";

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("usage: draw_examples <folder>")]
    Usage,
    #[error(transparent)]
    Encode(#[from] PictureError),
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
}

fn main() -> ExitCode {
    match draw_all() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn draw_all() -> Result<(), Failure> {
    let folder = std::env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .ok_or(Failure::Usage)?;
    write(
        &folder,
        "person-studio.jpg",
        &jpeg(&draw_person(&Person::default()))?,
    )?;
    for (name, cloth) in [
        ("garment-tee.jpg", Cloth::Tee),
        ("garment-striped.jpg", Cloth::Striped),
        ("garment-dress.jpg", Cloth::Dress),
        ("garment-trousers.jpg", Cloth::Trousers),
    ] {
        write(
            &folder,
            name,
            &jpeg(&draw_garment(&Garment::example(cloth)))?,
        )?;
    }
    write(
        &folder,
        "tattoo-design.png",
        &encode_png(&draw_tattoo(), &[("Comment", MARK)])?,
    )
}

fn jpeg(picture: &RgbImage) -> Result<Vec<u8>, PictureError> {
    encode_jpeg(picture, QUALITY, MARK)
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    let path = folder.join(name);
    std::fs::write(&path, bytes).map_err(|source| Failure::Write { path, source })
}
