//! From a file that a stranger sent to one that a node can be given.

use bytes::Bytes;
use image::RgbaImage;
use tryon_picture::{Growth, Limits, PictureError, decode, encode_png, fit_long_side, resize};

/// The picture upright, without metadata and with a longer side of at most `max_side` pixels, as
/// PNG. Its transparency stays: it may be a mask.
pub(super) fn develop(file: Bytes, limits: &Limits, max_side: u32) -> Result<Bytes, PictureError> {
    let picture = reduce(&file, limits, max_side)?;
    drop(file);
    encode_png(&picture, &[]).map(Bytes::from)
}

/// The same, not encoded.
pub(crate) fn reduce(
    file: &[u8],
    limits: &Limits,
    max_side: u32,
) -> Result<RgbaImage, PictureError> {
    let mut picture = decode(file, limits)?;
    let (width, height) = fit_long_side(
        picture.width(),
        picture.height(),
        max_side,
        1,
        Growth::Never,
    );
    if (width, height) != picture.dimensions() {
        picture = resize(&picture, width, height);
    }
    Ok(picture)
}

#[cfg(test)]
mod tests {
    use image::Rgba;
    use tryon_picture::{probe, read_text};

    use super::*;

    #[test]
    fn a_picture_is_reduced_and_loses_its_texts_but_not_its_transparency() {
        let picture = RgbaImage::from_pixel(80, 40, Rgba([9, 8, 7, 0]));
        let file = encode_png(&picture, &[("Comment", "at home")]).unwrap();
        let limits = Limits::default();
        let small = develop(file.clone().into(), &limits, 20).unwrap();
        let header = probe(&small, &limits).unwrap();
        assert_eq!(
            (header.width, header.height, header.has_alpha),
            (20, 10, true)
        );
        assert_eq!(read_text(&small), []);
        let same = develop(file.into(), &limits, 4096).unwrap();
        assert_eq!(decode(&same, &limits).unwrap(), picture);
    }
}
