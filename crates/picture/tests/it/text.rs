use image::{Rgb, RgbImage};
use tryon_picture::{Limits, PictureError, decode, encode_jpeg, encode_png, read_text};

use crate::file;

const MARK: &str = "preview, not a generative model";

#[test]
fn a_png_carries_its_mark() {
    let texts = [
        ("Comment", MARK),
        ("Title", "Vorschau \u{2013} ma\u{df}geschneidert \u{1f455}"),
    ];
    let bytes = encode_png(&file::corners(), &texts).unwrap();
    let read = read_text(&bytes);
    let read: Vec<_> = read.iter().map(|(k, t)| (k.as_str(), t.as_str())).collect();
    assert_eq!(read, texts);
    assert_eq!(decode(&bytes, &Limits::default()).unwrap(), file::corners());
}

#[test]
fn a_jpeg_carries_its_mark() {
    let picture = RgbImage::from_pixel(20, 20, Rgb([10, 200, 60]));
    let bytes = encode_jpeg(&picture, 90, MARK).unwrap();
    assert_eq!(read_text(&bytes), [("Comment".to_owned(), MARK.to_owned())]);
    assert_eq!(
        decode(&bytes, &Limits::default()).unwrap().dimensions(),
        (20, 20)
    );
    assert!(read_text(&encode_jpeg(&picture, 90, "").unwrap()).is_empty());
}

#[test]
fn files_without_text_have_none() {
    for bytes in [file::png(), file::jpeg(), file::webp(), b"text".to_vec()] {
        assert!(read_text(&bytes).is_empty());
    }
}

#[test]
fn what_does_not_fit_the_format_is_an_error() {
    let picture = RgbImage::new(2, 2);
    let keyword = "k".repeat(80);
    let errors = [
        encode_jpeg(&picture, 90, &"x".repeat(70_000)).unwrap_err(),
        encode_png(&picture, &[(&keyword, "text")]).unwrap_err(),
        encode_png(&RgbImage::new(0, 2), &[]).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, PictureError::Unwritable { .. }), "{error}");
    }
}
