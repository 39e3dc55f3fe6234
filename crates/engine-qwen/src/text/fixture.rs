//! Tables that the reference wrote.

use std::{fs, path::Path};

use serde_json::Value;

use crate::image::Grid;

/// The rows of a table in `tests/goldens`.
pub(super) fn rows(name: &str) -> Vec<Value> {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let rows: Vec<Value> = serde_json::from_slice(&fs::read(goldens.join(name)).unwrap()).unwrap();
    assert!(!rows.is_empty(), "{name}");
    rows
}

pub(super) fn numbers(value: &Value) -> Vec<usize> {
    let numbers = value.as_array().unwrap().iter();
    numbers
        .map(|number| number.as_u64().unwrap() as usize)
        .collect()
}

/// The grids of a row's pictures after squares of 2 × 2 patches were merged.
pub(super) fn grids(row: &Value) -> Vec<Grid> {
    let grids = row["grid_thw"].as_array().unwrap().iter().map(numbers);
    let merged = |sides: Vec<usize>| Grid {
        height: sides[1] / 2,
        width: sides[2] / 2,
    };
    grids.map(merged).collect()
}
