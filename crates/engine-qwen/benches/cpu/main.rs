//! How long this machine takes for a block of each model at its published size:
//!
//! ```sh
//! cargo bench -p tryon-engine-qwen [-- [--runs N] [PIECE…]]
//! ```
//!
//! Two threads, 32 bits, random weights, the pieces of `bench/torch_cpu.py`: `bench/compare.sh`
//! puts the two side by side. Each piece runs in a process of its own, so that its peak memory is
//! its own, and is one line of JSON. Its checkpoint is mapped while it runs: the pages of it that
//! were read count towards `peak_rss_mib` until the system needs them, and are `file_mib` of it.
#![allow(
    clippy::cast_precision_loss,
    reason = "sizes are far below 2²⁴, and random bits are 24"
)]

mod checkpoint;
mod measure;
mod piece;

use std::process::Command;

use serde_json::json;

const THREADS: usize = 2;
/// Says that the one piece that follows is to be run in this process.
const HERE: &str = "--here";

struct Options {
    here: bool,
    runs: usize,
    pieces: Vec<String>,
}

fn main() {
    let options = options(std::env::args().skip(1));
    for name in &options.pieces {
        if options.here {
            run(name, options.runs);
        } else {
            spawn(name, options.runs);
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Options {
    let mut options = Options {
        here: false,
        runs: 7,
        pieces: Vec::new(),
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // What cargo tells every benchmark.
            "--bench" => {}
            HERE => options.here = true,
            "--runs" => {
                let runs = arguments.next().and_then(|runs| runs.parse().ok());
                options.runs = runs
                    .filter(|runs| *runs > 0)
                    .expect("`--runs` takes a number");
            }
            _ => options.pieces.push(argument),
        }
    }
    if options.pieces.is_empty() {
        options.pieces = piece::ALL.map(str::to_owned).to_vec();
    }
    options
}

fn spawn(name: &str, runs: usize) {
    let program = std::env::current_exe().expect("the program that runs has a path");
    let arguments = [HERE, "--runs", &runs.to_string(), name];
    let status = Command::new(program).args(arguments).status();
    let status = status.unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(status.success(), "{name}: {status}");
}

/// Runs a piece once to warm up, then `runs` times.
fn run(name: &str, runs: usize) {
    rayon::ThreadPoolBuilder::new()
        .num_threads(THREADS)
        .build_global()
        .expect("nothing has used the threads yet");
    let mut piece = piece::make(name);
    piece();
    let mut seconds: Vec<f64> = (0..runs).map(|_| piece()).collect();
    seconds.sort_by(f64::total_cmp);
    let line = json!({
        "piece": name,
        "median_s": measure::rounded(measure::median(&seconds)),
        "best_s": measure::rounded(seconds[0]),
        "peak_rss_mib": measure::status_mib("VmHWM"),
        "file_mib": measure::status_mib("RssFile"),
        "runs": runs,
        "threads": THREADS,
    });
    println!("{line}");
}
