//! What nodes report to a gateway: it reads the same whole and in pieces, and what is kept of it is
//! bounded.

#![no_main]

use bytes::Bytes;
use futures::executor::block_on;
use libfuzzer_sys::fuzz_target;
use tryon_gateway::callback::fuzz::{Reading, read_report};

const FORM: &str = "multipart/form-data; boundary=x";
const URLENCODED: &str = "application/x-www-form-urlencoded";
const LIMIT: usize = 2048;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, body) = input;
    for kind in [FORM, URLENCODED] {
        let whole = read(kind, body, body.len());
        let cut = read(kind, body, usize::from(size));
        assert_eq!(whole, cut, "cut into pieces of {size}");
        if let Some(reading) = whole {
            check(&reading);
        }
    }
});

fn read(kind: &str, body: &[u8], size: usize) -> Option<Reading> {
    let pieces = body.chunks(size.max(1)).map(Bytes::copy_from_slice);
    block_on(read_report(kind, pieces.collect(), LIMIT)).ok()
}

fn check(reading: &Reading) {
    assert!(!reading.job_id.is_empty());
    assert!(
        reading
            .image
            .as_ref()
            .is_none_or(|image| image.len() <= LIMIT)
    );
    let message = &reading.failure.message;
    assert!(!message.is_empty() && message.chars().count() <= 500);
}
