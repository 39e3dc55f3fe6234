//! From bytes to upright sRGB pixels, within limits.

use std::io::{Cursor, ErrorKind};

use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageResult, RgbaImage};

use crate::format::describe_unknown;
use crate::{Format, PictureError, colour, jpeg, webp};

/// What is accepted. Both limits are checked before a pixel is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest file, in bytes.
    pub max_bytes: u64,
    /// Largest picture, in pixels (width times height).
    pub max_pixels: u64,
}

impl Default for Limits {
    /// 20 MB and 40 megapixels: above what phones send, below what hurts.
    fn default() -> Self {
        Self {
            max_bytes: 20_000_000,
            max_pixels: 40_000_000,
        }
    }
}

/// What a picture's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The format, recognised by content.
    pub format: Format,
    /// Columns in pixels, as displayed (after the EXIF orientation).
    pub width: u32,
    /// Rows in pixels, as displayed (after the EXIF orientation).
    pub height: u32,
    /// How the file's pixels are turned before they are displayed: EXIF's number, 1 (upright) to 8.
    pub orientation: u8,
    /// Whether the file has an alpha channel.
    pub has_alpha: bool,
}

/// Reads a picture's header and checks it against `limits`, without decoding pixels.
///
/// Passing says nothing about the pixels: a file cut off after its header passes.
pub fn probe(bytes: &[u8], limits: &Limits) -> Result<Header, PictureError> {
    open(bytes, limits).map(|opened| opened.header)
}

/// Decodes a PNG, JPEG or WebP picture to 8-bit sRGB with straight alpha.
///
/// The EXIF orientation is applied, an embedded RGB colour profile is converted from, gray, CMYK,
/// palette and 16-bit pixels become RGBA8, and all metadata is left behind.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbaImage, PictureError> {
    let Opened {
        header,
        orientation,
        mut decoder,
    } = open(bytes, limits)?;
    let format = header.format;
    if format == Format::Jpeg && !jpeg::is_complete(bytes) {
        return Err(PictureError::Truncated { format });
    }
    // A profile that cannot be read is no reason to refuse a photo: it is then taken for sRGB.
    let profile = decoder.icc_profile().unwrap_or(None);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| refusal(format, e))?;
    picture.apply_orientation(orientation);
    let mut pixels = picture.into_rgba8();
    if let Some(profile) = profile {
        colour::convert_to_srgb(&mut pixels, &profile);
    }
    Ok(pixels)
}

struct Opened<'a> {
    header: Header,
    orientation: Orientation,
    decoder: Box<dyn ImageDecoder + 'a>,
}

fn open<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Opened<'a>, PictureError> {
    let format = recognise(bytes, limits)?;
    let mut decoder = start(format, bytes, limits)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > limits.max_pixels {
        return Err(PictureError::TooManyPixels {
            width,
            height,
            limit: limits.max_pixels,
        });
    }
    // Broken EXIF data is as common as it is harmless.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let (width, height) = displayed_size((width, height), orientation);
    let header = Header {
        format,
        width,
        height,
        orientation: orientation.to_exif(),
        has_alpha: decoder.color_type().has_alpha(),
    };
    Ok(Opened {
        header,
        orientation,
        decoder,
    })
}

fn recognise(bytes: &[u8], limits: &Limits) -> Result<Format, PictureError> {
    let size = bytes.len() as u64;
    if size == 0 {
        return Err(PictureError::Empty);
    }
    if size > limits.max_bytes {
        return Err(PictureError::TooManyBytes {
            bytes: size,
            limit: limits.max_bytes,
        });
    }
    Format::find(bytes).ok_or_else(|| PictureError::UnknownFormat {
        found: describe_unknown(bytes),
    })
}

/// Starts the format's decoder, which reads the header, and refuses animations.
fn start<'a>(
    format: Format,
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<Box<dyn ImageDecoder + 'a>, PictureError> {
    let damage = |e| refusal(format, e);
    let stream = Cursor::new(bytes);
    let (decoder, animated): (Box<dyn ImageDecoder + 'a>, bool) = match format {
        Format::Png => {
            let decoder = PngDecoder::with_limits(stream, memory_limits(limits)).map_err(damage)?;
            let animated = decoder.is_apng().map_err(damage)?;
            (Box::new(decoder), animated)
        }
        Format::Jpeg if !jpeg::is_sampled_as_usual(bytes) => {
            return Err(PictureError::OddSampling { format });
        }
        Format::Jpeg => (Box::new(open_jpeg(bytes).map_err(damage)?), false),
        Format::Webp if !webp::holds_its_metadata(bytes) => {
            return Err(PictureError::Truncated { format });
        }
        Format::Webp => {
            let decoder = WebPDecoder::new(stream).map_err(damage)?;
            let animated = decoder.has_animation();
            (Box::new(decoder), animated)
        }
    };
    if animated {
        return Err(PictureError::Animated { format });
    }
    Ok(decoder)
}

fn open_jpeg(bytes: &[u8]) -> ImageResult<JpegDecoder<Cursor<&[u8]>>> {
    JpegDecoder::new(Cursor::new(bytes))
}

/// Memory a decoder may take beyond its output: 16-bit RGBA pixels once, and room for metadata.
fn memory_limits(limits: &Limits) -> image::Limits {
    const METADATA: u64 = 64 << 20;
    let mut memory = image::Limits::no_limits();
    memory.max_alloc = Some(limits.max_pixels.saturating_mul(8).saturating_add(METADATA));
    memory
}

fn displayed_size((width, height): (u32, u32), orientation: Orientation) -> (u32, u32) {
    match orientation {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => (height, width),
        _ => (width, height),
    }
}

fn refusal(format: Format, error: ImageError) -> PictureError {
    match error {
        ImageError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => {
            PictureError::Truncated { format }
        }
        source => PictureError::Corrupt { format, source },
    }
}
