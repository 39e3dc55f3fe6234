//! From pixels to files that say what they are.

use image::codecs::jpeg::JpegEncoder;
use image::{ColorType, ImageBuffer, PixelWithColorType, RgbImage};

use crate::{Format, PictureError, jpeg};

/// Encodes pixels as PNG, quickly rather than tightly, with `text` as (keyword, text) pairs.
///
/// Keywords are 1 to 79 printable Latin-1 characters (`Comment`, `Software`, `Source` are
/// customary). ASCII texts become `tEXt` chunks, which every reader shows, others `iTXt`.
pub fn encode_png<P>(
    picture: &ImageBuffer<P, Vec<u8>>,
    text: &[(&str, &str)],
) -> Result<Vec<u8>, PictureError>
where
    P: PixelWithColorType<Subpixel = u8>,
{
    write_png(picture, text).map_err(|source| unwritable(Format::Png, picture, source))
}

fn write_png<P>(
    picture: &ImageBuffer<P, Vec<u8>>,
    text: &[(&str, &str)],
) -> Result<Vec<u8>, png::EncodingError>
where
    P: PixelWithColorType<Subpixel = u8>,
{
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, picture.width(), picture.height());
    encoder.set_color(match P::CHANNEL_COUNT {
        1 => png::ColorType::Grayscale,
        2 => png::ColorType::GrayscaleAlpha,
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Rgba,
    });
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    for (keyword, text) in text {
        let (keyword, text) = ((*keyword).to_owned(), (*text).to_owned());
        if text.is_ascii() {
            encoder.add_text_chunk(keyword, text)?;
        } else {
            encoder.add_itxt_chunk(keyword, text)?;
        }
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(picture.as_raw())?;
    writer.finish()?;
    Ok(file)
}

/// Encodes pixels as JPEG with `quality` 1 (smallest) to 100 (best) and, unless empty, a comment
/// of at most 65,533 bytes.
pub fn encode_jpeg(
    picture: &RgbImage,
    quality: u8,
    comment: &str,
) -> Result<Vec<u8>, PictureError> {
    if comment.len() > jpeg::MAX_PAYLOAD {
        let source = format!("the comment has {} bytes", comment.len());
        return Err(unwritable(Format::Jpeg, picture, source));
    }
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, quality.clamp(1, 100))
        .encode(
            picture.as_raw(),
            picture.width(),
            picture.height(),
            ColorType::Rgb8.into(),
        )
        .map_err(|source| unwritable(Format::Jpeg, picture, source))?;
    if !comment.is_empty() {
        jpeg::insert_comment(&mut file, comment);
    }
    Ok(file)
}

fn unwritable<P: PixelWithColorType<Subpixel = u8>>(
    format: Format,
    picture: &ImageBuffer<P, Vec<u8>>,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> PictureError {
    PictureError::Unwritable {
        format,
        width: picture.width(),
        height: picture.height(),
        source: source.into(),
    }
}
