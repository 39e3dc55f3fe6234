//! Picture files as clients send them: good, odd and broken.

use image::{DynamicImage, ImageFormat, Rgb, RgbImage, RgbaImage};
use std::io::Cursor;
use tryon_picture::encode_png;

/// A photo of this size with some structure in it, as PNG.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    encode_png(&gradient(width, height), &[]).expect("a gradient is encodable")
}

/// The same as JPEG.
pub fn jpeg(width: u32, height: u32) -> Vec<u8> {
    encode(&gradient(width, height).into(), ImageFormat::Jpeg)
}

/// A PNG whose pixels are noise, so that its file is large: about three bytes a pixel.
pub fn noise(width: u32, height: u32) -> Vec<u8> {
    let mut state = 1_u32;
    let picture = RgbImage::from_fn(width, height, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [a, b, c, _] = state.rotate_left(9).to_le_bytes();
        Rgb([a, b, c])
    });
    encode_png(&picture, &[]).expect("noise is encodable")
}

/// A PNG that is transparent everywhere.
pub fn transparent(width: u32, height: u32) -> Vec<u8> {
    encode_png(&RgbaImage::new(width, height), &[]).expect("nothing is encodable")
}

/// A PNG with 16 bits per channel.
pub fn deep(width: u32, height: u32) -> Vec<u8> {
    let picture = DynamicImage::ImageRgb8(gradient(width, height)).into_rgb16();
    encode(&picture.into(), ImageFormat::Png)
}

/// A JPEG in CMYK, as print shops send it.
pub fn cmyk(width: u16, height: u16) -> Vec<u8> {
    let pixels = [10, 90, 160, 20].repeat(usize::from(width) * usize::from(height));
    let mut file = Vec::new();
    jpeg_encoder::Encoder::new(&mut file, 90)
        .encode(&pixels, width, height, jpeg_encoder::ColorType::Cmyk)
        .expect("a plain picture is encodable");
    file
}

/// A JPEG stored as `width` x `height` whose EXIF orientation turns it a quarter.
pub fn rotated(width: u16, height: u16) -> Vec<u8> {
    let picture = gradient(width.into(), height.into());
    let mut file = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut file, 90);
    // A TIFF structure with one entry: tag 0x0112 (orientation), type short, the value 6.
    let exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    encoder
        .add_exif_metadata(exif)
        .expect("the structure is short");
    encoder
        .encode(&picture, width, height, jpeg_encoder::ColorType::Rgb)
        .expect("a gradient is encodable");
    file
}

/// An animated PNG of two frames.
pub fn animated() -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 32, 32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder
        .set_animated(2, 0)
        .expect("two is a number of frames");
    let mut writer = encoder.write_header().expect("the header is valid");
    for _ in 0..2 {
        writer
            .write_image_data(&[7; 32 * 32])
            .expect("the frame has its size");
    }
    writer.finish().expect("both frames were written");
    file
}

/// A PNG whose header promises `width` x `height` and that has no pixels.
pub fn header_only(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([8, 6, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    file.extend(&chunk);
    file.extend(crc32(&chunk).to_be_bytes());
    file.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    file
}

/// The first half of a file.
pub fn truncated(mut file: Vec<u8>) -> Vec<u8> {
    file.truncate(file.len() / 2);
    file
}

/// The checksum of PNG chunks.
fn crc32(bytes: &[u8]) -> u32 {
    let update = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            }
        })
    };
    !bytes.iter().fold(u32::MAX, update)
}

fn gradient(width: u32, height: u32) -> RgbImage {
    let share = |part: u32, whole: u32| u8::try_from(part * 255 / whole.max(1)).unwrap_or(255);
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([share(x, width), share(y, height), 128])
    })
}

fn encode(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture
        .write_to(&mut file, format)
        .expect("the picture is encodable");
    file.into_inner()
}
