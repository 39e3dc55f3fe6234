//! Pictures that strangers send: none is larger than its header said or the limits allow, and none
//! takes more memory on its way than its pixels do and a fixed amount besides.

#![no_main]

use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;
use tryon_picture::{Limits, decode, probe, read_text};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const LIMITS: Limits = Limits {
    max_bytes: 64 * 1024,
    max_pixels: 64 * 1024,
};

/// What a file may take, in bytes: the decoder's room for metadata, which is most of it, and a few
/// copies of the pixels.
const MOST: usize = 80 << 20;

fuzz_target!(|file: &[u8]| {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let header = probe(file, &LIMITS);
    let picture = decode(file, &LIMITS);
    read_text(file);
    let taken = MEMORY.peak_usage().saturating_sub(before);
    assert!(taken < MOST, "{taken} bytes of memory");
    if let Ok(picture) = picture {
        let header = header.expect("what decodes has a header");
        assert_eq!(picture.dimensions(), (header.width, header.height));
        assert!(u64::from(header.width) * u64::from(header.height) <= LIMITS.max_pixels);
        assert!(file.len() as u64 <= LIMITS.max_bytes);
    }
});
