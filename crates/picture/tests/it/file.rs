//! Files of every kind that is accepted, and of some that are not.

use image::{ExtendedColorType, ImageEncoder, Rgba, RgbaImage};
use tryon_picture::encode_png;

/// A picture whose corner colours tell every orientation apart: red, green, blue, white,
/// clockwise from the top left; 24x16 pixels in four quadrants.
pub(crate) fn corners() -> RgbaImage {
    const COLOURS: [[u8; 4]; 4] = [
        [220, 30, 30, 255],
        [30, 200, 30, 255],
        [240, 240, 240, 255],
        [30, 30, 220, 255],
    ];
    RgbaImage::from_fn(24, 16, |x, y| {
        Rgba(COLOURS[usize::from(x >= 12) + 2 * usize::from(y >= 8)])
    })
}

pub(crate) fn png() -> Vec<u8> {
    encode_png(&corners(), &[]).unwrap()
}

pub(crate) fn jpeg() -> Vec<u8> {
    encode_jpeg(&corners(), None)
}

/// A JPEG file with an EXIF orientation, 1 to 8.
pub(crate) fn rotated_jpeg(stored: &RgbaImage, orientation: u8) -> Vec<u8> {
    encode_jpeg(stored, Some(orientation))
}

fn encode_jpeg(picture: &RgbaImage, orientation: Option<u8>) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut file, 95);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_1_1);
    if let Some(orientation) = orientation {
        encoder.add_exif_metadata(&exif(orientation)).unwrap();
    }
    encoder
        .encode(
            picture,
            side(picture.width()),
            side(picture.height()),
            jpeg_encoder::ColorType::Rgba,
        )
        .unwrap();
    file
}

/// A TIFF structure with one entry: tag 0x0112 (orientation), type short, one value.
fn exif(orientation: u8) -> Vec<u8> {
    let mut exif = b"MM\0*\0\0\0\x08\0\x01".to_vec();
    exif.extend([0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0]);
    exif.extend([0; 4]);
    exif
}

/// A uniform CMYK picture as print shops send it; `ycck` picks the other colour coding.
pub(crate) fn cmyk_jpeg(colour: [u8; 4], ycck: bool) -> Vec<u8> {
    let mut file = Vec::new();
    let colour_type = if ycck {
        jpeg_encoder::ColorType::CmykAsYcck
    } else {
        jpeg_encoder::ColorType::Cmyk
    };
    jpeg_encoder::Encoder::new(&mut file, 95)
        .encode(&colour.repeat(32 * 32), 32, 32, colour_type)
        .unwrap();
    file
}

/// A uniform picture in the given ICC colour profile.
pub(crate) fn profiled_jpeg(colour: [u8; 3], profile: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut file, 98);
    encoder.add_icc_profile(profile).unwrap();
    encoder
        .encode(
            &colour.repeat(16 * 16),
            16,
            16,
            jpeg_encoder::ColorType::Rgb,
        )
        .unwrap();
    file
}

pub(crate) fn webp() -> Vec<u8> {
    let (mut file, picture) = (Vec::new(), corners());
    image::codecs::webp::WebPEncoder::new_lossless(&mut file)
        .write_image(&picture, 24, 16, ExtendedColorType::Rgba8)
        .unwrap();
    file
}

/// A WebP file that declares an animation of one frame.
pub(crate) fn animated_webp() -> Vec<u8> {
    let still = webp();
    let mut frame = vec![0; 16];
    frame[6..9].copy_from_slice(&[23, 0, 0]);
    frame[9..12].copy_from_slice(&[15, 0, 0]);
    frame.extend(&still[12..]);
    let mut body = b"WEBP".to_vec();
    body.extend(riff_chunk(*b"VP8X", &[0x02, 0, 0, 0, 23, 0, 0, 15, 0, 0]));
    body.extend(riff_chunk(*b"ANIM", &[0; 6]));
    body.extend(riff_chunk(*b"ANMF", &frame));
    riff_chunk(*b"RIFF", &body)
}

/// A WebP file with this metadata chunk, which claims to have so many bytes more than it has.
pub(crate) fn webp_claiming(name: [u8; 4], more: u32) -> Vec<u8> {
    let mut chunk = riff_chunk(name, &exif(6));
    let size = u32::from_le_bytes(chunk[4..8].try_into().unwrap());
    chunk[4..8].copy_from_slice(&(size + more).to_le_bytes());
    let mut body = b"WEBP".to_vec();
    body.extend(riff_chunk(*b"VP8X", &[0, 0, 0, 0, 23, 0, 0, 15, 0, 0]));
    body.extend(&webp()[12..]);
    body.extend(chunk);
    riff_chunk(*b"RIFF", &body)
}

fn riff_chunk(name: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut chunk = name.to_vec();
    chunk.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
    chunk.extend(payload);
    chunk.resize(chunk.len().next_multiple_of(2), 0);
    chunk
}

/// A PNG file of uniform rows in any colour type and depth.
pub(crate) fn png_of(
    colour: png::ColorType,
    depth: png::BitDepth,
    palette: Option<&[u8]>,
    row: &[u8],
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 4, 2);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    if let Some(palette) = palette {
        encoder.set_palette(palette.to_vec());
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&row.repeat(2)).unwrap();
    writer.finish().unwrap();
    file
}

pub(crate) fn animated_png() -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 4, 2);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_animated(2, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    for _ in 0..2 {
        writer.write_image_data(&[7; 8]).unwrap();
    }
    writer.finish().unwrap();
    file
}

/// A PNG file that promises a size and has no pixels: signature, `IHDR`, an empty `IDAT`.
pub(crate) fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let encoder = png::Encoder::new(&mut file, width, height);
    let writer = encoder.write_header().unwrap();
    std::mem::forget(writer);
    file.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    file
}

fn side(length: u32) -> u16 {
    u16::try_from(length).unwrap()
}
