//! From what a node delivered to what a client is given.

use bytes::Bytes;
use image::{DynamicImage, Rgb, RgbImage, RgbaImage};
use tryon_core::task::{OutputFormat, Provider};
use tryon_picture::{
    Format, Limits, PictureError, decode, encode_jpeg, encode_png, probe, read_text,
};

/// Of 100: differences to the original are not seen, at a fifth of a PNG's size.
const JPEG_QUALITY: u8 = 92;

/// What tells that a picture was made here.
const SOFTWARE: &str = "Software";

/// What is wanted of a delivered picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Its file format.
    pub(super) format: OutputFormat,
    /// Who made it.
    pub(super) provider: Provider,
    /// The largest that is taken.
    pub(super) limits: Limits,
}

/// The file as it is kept: of the wanted format, and with the platform's mark. It is decoded in any
/// case: what is kept can be read. A file that is as it has to be is kept as it came.
pub(super) fn finish(file: Bytes, wanted: Wanted) -> Result<Bytes, PictureError> {
    let picture = decode(&file, &wanted.limits)?;
    let is = probe(&file, &wanted.limits)?.format;
    let texts = read_text(&file);
    if is == format_of(wanted.format) && is_marked(&texts) {
        return Ok(file);
    }
    drop(file);
    let texts = mark(texts, wanted.provider);
    let file = match wanted.format {
        OutputFormat::Png => {
            let texts: Vec<_> = texts.iter().map(|(key, text)| (&**key, &**text)).collect();
            encode_png(&picture, &texts)
        }
        OutputFormat::Jpeg => encode_jpeg(&flatten(picture), JPEG_QUALITY, &comment(&texts)),
    };
    file.map(Bytes::from)
}

const fn format_of(format: OutputFormat) -> Format {
    match format {
        OutputFormat::Png => Format::Png,
        OutputFormat::Jpeg => Format::Jpeg,
    }
}

/// Whether the texts hold the mark: as one of its own in a PNG, as a line of the comment in a JPEG.
fn is_marked(texts: &[(String, String)]) -> bool {
    let line = format!("{SOFTWARE}: tryon");
    texts.iter().any(|(key, text)| match key.as_str() {
        SOFTWARE => text.starts_with("tryon"),
        _ => text.lines().any(|text| text.starts_with(&line)),
    })
}

/// The texts with the mark. What the node wrote stays, but for keys that no PNG can hold.
fn mark(mut texts: Vec<(String, String)>, provider: Provider) -> Vec<(String, String)> {
    if !is_marked(&texts) {
        texts.retain(|(key, _)| key != SOFTWARE);
        let software = format!("tryon {provider} {}", env!("CARGO_PKG_VERSION"));
        texts.insert(0, (SOFTWARE.to_owned(), software));
    }
    texts
}

/// The texts as the one comment that a JPEG has, no longer than it can be.
fn comment(texts: &[(String, String)]) -> String {
    const LONGEST: usize = 32 * 1024;
    let mut comment = String::new();
    for (key, text) in texts {
        let line = format!("{key}: {text}\n");
        if comment.len() + line.len() <= LONGEST {
            comment.push_str(&line);
        }
    }
    comment.truncate(comment.trim_end().len());
    comment
}

/// On white, as a JPEG knows no transparency.
fn flatten(picture: RgbaImage) -> RgbImage {
    if picture.pixels().all(|pixel| pixel[3] == u8::MAX) {
        return DynamicImage::from(picture).into_rgb8();
    }
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [red, green, blue, alpha] = picture.get_pixel(x, y).0;
        Rgb([red, green, blue].map(|value| on_white(value, alpha)))
    })
}

fn on_white(value: u8, alpha: u8) -> u8 {
    let alpha = u32::from(alpha);
    let mixed = (u32::from(value) * alpha + 255 * (255 - alpha) + 127) / 255;
    u8::try_from(mixed).expect("BUG: a mean of bytes is a byte")
}

#[cfg(test)]
mod tests {
    use image::Rgba;

    use super::*;

    fn wanted(format: OutputFormat) -> Wanted {
        Wanted {
            format,
            provider: Provider::Qwen,
            limits: Limits::default(),
        }
    }

    fn picture() -> RgbaImage {
        RgbaImage::from_pixel(16, 8, Rgba([200, 100, 50, 255]))
    }

    #[test]
    fn a_marked_file_of_the_right_format_is_kept_as_it_is() {
        let file = Bytes::from(encode_png(&picture(), &[("Software", "tryon preview 1")]).unwrap());
        let kept = finish(file.clone(), wanted(OutputFormat::Png)).unwrap();
        assert_eq!(kept.as_ptr(), file.as_ptr());
        let jpeg = encode_jpeg(&flatten(picture()), 90, "Software: tryon preview 1").unwrap();
        let jpeg = Bytes::from(jpeg);
        assert_eq!(
            finish(jpeg.clone(), wanted(OutputFormat::Jpeg)).unwrap(),
            jpeg
        );
    }

    #[test]
    fn every_other_file_is_converted_and_marked() {
        let limits = Limits::default();
        let png = Bytes::from(encode_png(&picture(), &[("Comment", "by hand")]).unwrap());
        let marked = finish(png.clone(), wanted(OutputFormat::Png)).unwrap();
        assert_eq!(decode(&marked, &limits).unwrap(), picture());
        let texts = read_text(&marked);
        assert!(texts[0].1.starts_with("tryon qwen "), "{texts:?}");
        assert_eq!(texts[1], ("Comment".to_owned(), "by hand".to_owned()));
        let jpeg = finish(png, wanted(OutputFormat::Jpeg)).unwrap();
        assert_eq!(Format::find(&jpeg), Some(Format::Jpeg));
        let texts = read_text(&jpeg);
        assert!(
            is_marked(&texts) && texts[0].1.contains("Comment: by hand"),
            "{texts:?}"
        );
    }

    #[test]
    fn transparency_turns_white_and_damage_is_refused() {
        let clear = RgbaImage::from_pixel(2, 2, Rgba([0, 0, 0, 0]));
        assert_eq!(flatten(clear).get_pixel(0, 0).0, [255; 3]);
        let mut file = encode_png(&picture(), &[]).unwrap();
        file.truncate(file.len() / 2);
        assert!(finish(file.into(), wanted(OutputFormat::Png)).is_err());
        assert!(finish(Bytes::new(), wanted(OutputFormat::Jpeg)).is_err());
    }
}
