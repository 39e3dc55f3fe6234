//! The golden files and the tiny checkpoint of `tests/goldens`.

use std::path::PathBuf;

use tryon_engine_qwen::golden::{Golden, GoldenTensor, Recorder};

/// A file or folder in `tests/goldens`.
pub(crate) fn path(name: &str) -> PathBuf {
    let goldens = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    goldens.join(name)
}

/// The golden file `NAME.safetensors`.
pub(crate) fn open(name: &str) -> Golden {
    Golden::open(&path(&format!("{name}.safetensors"))).unwrap()
}

/// A tensor that the golden file must have.
pub(crate) fn get<'a>(golden: &'a Golden, name: &str) -> &'a GoldenTensor {
    let tensor = golden.find(name);
    tensor.unwrap_or_else(|| panic!("the golden file has no `{name}`"))
}

/// Its numbers in 32 bits.
pub(crate) fn floats(golden: &Golden, name: &str) -> Vec<f32> {
    let values = &get(golden, name).values;
    values.iter().map(|value| *value as f32).collect()
}

/// Holds every golden tensor that is `wanted` to its gate. `prefix` stands before the names in the
/// file alone: empty, or that of a form in FP8.
///
/// Fails with all that are missing or too far, and when nothing at all was wanted.
pub(crate) fn check(
    golden: &Golden,
    recorded: &Recorder,
    prefix: &str,
    wanted: impl Fn(&str) -> bool,
) {
    let comparisons = golden.compare(recorded, prefix, wanted);
    assert!(!comparisons.is_empty(), "the golden file has none of these");
    for comparison in &comparisons {
        // Seen with `--nocapture`.
        println!("{comparison}");
    }
    let failed: Vec<String> = comparisons
        .iter()
        .filter(|comparison| !comparison.holds())
        .map(ToString::to_string)
        .collect();
    assert!(failed.is_empty(), "beyond the gate:\n{}", failed.join("\n"));
}
