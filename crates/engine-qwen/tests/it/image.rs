//! Sizes and resizing against the reference and Pillow.

use std::fs;

use serde_json::Value;
use tryon_engine_qwen::image::{Filter, dims, resize, smart_resize};

use crate::{encoder::picture, golden};

/// Fails when, one at a time: halves are rounded up; a pass does not clamp to bytes before the next;
/// rows are always resampled first, or columns; weights are not brought to a sum of 1.
#[test]
fn resizes_are_pillows_byte_for_byte() {
    let file = golden::open("resizes");
    let cases: Vec<&str> = file
        .names()
        .filter_map(|name| name.strip_suffix(".in_u8"))
        .collect();
    assert!(!cases.is_empty());
    for case in cases {
        let filter = match case.split('.').next().unwrap() {
            "lanczos" => Filter::Lanczos,
            "bicubic" => Filter::Bicubic,
            "bilinear" => Filter::Bilinear,
            other => panic!("{other}"),
        };
        let wanted = picture(&file, &format!("{case}.out_u8"));
        let before = picture(&file, &format!("{case}.in_u8"));
        let found = resize(&before, wanted.width(), wanted.height(), filter);
        assert!(found == wanted, "{case}");
    }
}

/// Where the reference makes a picture without pixels, the picture is refused.
#[test]
fn sizes_are_the_references() {
    let table = fs::read(golden::path("sizes.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_slice(&table).unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        let size = pair(&row["size"]).unwrap();
        for (key, area) in [
            ("condition", 384 * 384),
            ("vae", 1024 * 1024),
            ("tiny", 112 * 112),
        ] {
            let wanted = pair(&row[key]).filter(|(width, height)| width * height > 0);
            assert_eq!(dims(area, size).ok(), wanted, "{row}");
        }
        if let Some(condition) = pair(&row["condition"]) {
            let found = smart_resize(condition, 28, 3136, 12_845_056).ok();
            assert_eq!(found, pair(&row["processor"]), "{row}");
        }
    }
}

fn pair(value: &Value) -> Option<(u32, u32)> {
    let sides = value.as_array()?.iter();
    let sides: Vec<u32> = sides.map(|side| side.as_u64().unwrap() as u32).collect();
    Some((sides[0], sides[1]))
}
