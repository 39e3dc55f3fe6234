//! Forms that are sent to a node: one reads the same whole and in pieces, what is understood is
//! within limits, and the job's id that a busy node sees in it is the one that a free node reads.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};
use tryon_node::{
    config::LimitsConfig,
    fuzz::{Reading, find_job_id, read_form},
};

const FORM: &str = "multipart/form-data; boundary=x";
const PICTURE_BYTES: u64 = 1024;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, body) = input;
    let runtime = Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime needs nothing");
    let whole = read(&runtime, body, body.len());
    let cut = read(&runtime, body, usize::from(size));
    assert_eq!(whole, cut, "cut into pieces of {size}");
    let Some(reading) = whole else { return };
    check(&reading);
    let seen = runtime.block_on(find_job_id(FORM, Bytes::copy_from_slice(body)));
    assert!(seen.is_none_or(|id| id == reading.ids[0]));
});

fn read(runtime: &Runtime, body: &[u8], size: usize) -> Option<Reading> {
    let limits = LimitsConfig {
        picture_bytes: PICTURE_BYTES,
        ..LimitsConfig::default()
    };
    let pieces = body.chunks(size.max(1)).map(Bytes::copy_from_slice);
    runtime
        .block_on(read_form(FORM, pieces.collect(), &limits))
        .ok()
}

fn check(reading: &Reading) {
    for id in &reading.ids {
        assert!(!id.trim().is_empty() && id.len() <= 256 && !id.contains(char::is_control));
    }
    for file in [Some(&reading.person), reading.garment.as_ref()] {
        let fits = |file: &Bytes| (1..=PICTURE_BYTES).contains(&(file.len() as u64));
        assert!(file.is_none_or(fits));
    }
}
