//! The texts a file carries beside its pixels.

use std::io::Cursor;

use crate::{Format, jpeg};

/// Reads the texts in a PNG (`tEXt`, `iTXt`, in front of the pixels) or JPEG (comments, under the
/// keyword `Comment`) as (keyword, text) pairs; empty for anything else or damaged.
pub fn read_text(bytes: &[u8]) -> Vec<(String, String)> {
    match Format::find(bytes) {
        Some(Format::Png) => read_png_text(bytes).unwrap_or_default(),
        Some(Format::Jpeg) => jpeg::comments(bytes)
            .into_iter()
            .map(|text| ("Comment".to_owned(), text))
            .collect(),
        Some(Format::Webp) | None => Vec::new(),
    }
}

fn read_png_text(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let reader = png::Decoder::new(Cursor::new(bytes)).read_info().ok()?;
    let info = reader.info();
    let latin1 = info
        .uncompressed_latin1_text
        .iter()
        .map(|chunk| (chunk.keyword.clone(), chunk.text.clone()));
    let utf8 = info
        .utf8_text
        .iter()
        .filter_map(|chunk| Some((chunk.keyword.clone(), chunk.get_text().ok()?)));
    Some(latin1.chain(utf8).collect())
}
