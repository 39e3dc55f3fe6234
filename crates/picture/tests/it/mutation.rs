//! Hostile bytes: whatever is sent, the answer is a picture or an error.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use tryon_picture::{Limits, decode, probe, read_text};

use crate::file;

const LIMITS: Limits = Limits {
    max_bytes: 100_000,
    max_pixels: 100_000,
};

fn some_file() -> impl Strategy<Value = Vec<u8>> {
    select(vec![
        file::png(),
        file::jpeg(),
        file::rotated_jpeg(&file::corners(), 6),
        file::cmyk_jpeg([10, 20, 30, 40], true),
        file::webp(),
        file::animated_webp(),
        file::animated_png(),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn mutated_files_never_panic(
        mut bytes in some_file(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..12),
        cut in prop::option::of(any::<Index>()),
    ) {
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let header = probe(&bytes, &LIMITS);
        read_text(&bytes);
        if let Ok(picture) = decode(&bytes, &LIMITS) {
            let header = header.expect("what decodes has a header");
            prop_assert_eq!(picture.dimensions(), (header.width, header.height));
        }
    }
}
