//! Picture files that commands read and write.

use std::{fs, path::Path};

use image::{RgbImage, RgbaImage, imageops};
use tryon_picture::Limits;

use crate::failure::Failure;

/// The height of each picture on a sheet, in pixels.
const SHEET_HEIGHT: u32 = 640;

/// The space around pictures on a sheet, in pixels.
const GAP: u32 = 16;

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| {
        Failure::new(format!("`{}` cannot be read: {error}", path.display()))
            .hint("name a PNG, JPEG or WebP file")
    })
}

/// Writes a file.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| {
        Failure::new(format!("`{}` cannot be written: {error}", path.display()))
            .hint("name a file in a folder that exists and is writable")
    })
}

/// Decodes a picture within the platform's limits; `name` is for the message.
pub(crate) fn decode(bytes: &[u8], name: &str) -> Result<RgbaImage, Failure> {
    tryon_picture::decode(bytes, &Limits::default()).map_err(|error| {
        Failure::from_error(&format!("`{name}` cannot be used"), &error)
            .hint("name a PNG, JPEG or WebP file of a picture that fits these limits")
    })
}

/// Lays rows of pictures side by side on white.
pub(crate) fn sheet(rows: &[Vec<RgbaImage>]) -> RgbImage {
    let rows: Vec<Vec<RgbaImage>> = rows
        .iter()
        .map(|row| row.iter().map(at_sheet_height).collect())
        .collect();
    let row_width = |row: &Vec<RgbaImage>| row.iter().map(|p| p.width() + GAP).sum::<u32>() + GAP;
    let width = rows.iter().map(row_width).max().unwrap_or(GAP);
    let height = u32::try_from(rows.len()).unwrap_or(0) * (SHEET_HEIGHT + GAP) + GAP;
    let mut sheet = RgbaImage::from_pixel(width, height, image::Rgba([255; 4]));
    let mut y = i64::from(GAP);
    for row in rows {
        let mut x = i64::from(GAP);
        for picture in row {
            imageops::overlay(&mut sheet, &picture, x, y);
            x += i64::from(picture.width() + GAP);
        }
        y += i64::from(SHEET_HEIGHT + GAP);
    }
    image::DynamicImage::ImageRgba8(sheet).into_rgb8()
}

fn at_sheet_height(picture: &RgbaImage) -> RgbaImage {
    let scaled = u64::from(picture.width()) * u64::from(SHEET_HEIGHT);
    let width = scaled / u64::from(picture.height().max(1));
    let width = u32::try_from(width)
        .unwrap_or(u32::MAX)
        .clamp(1, 4 * SHEET_HEIGHT);
    imageops::resize(picture, width, SHEET_HEIGHT, imageops::FilterType::Triangle)
}
