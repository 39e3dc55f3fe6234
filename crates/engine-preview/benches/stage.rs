//! Where the time of a try-on goes, on the shipped example pictures:
//!
//! ```sh
//! cargo bench -p tryon-engine-preview
//! ```
//!
//! Each figure is the median of several runs, in milliseconds, on one thread. The last stage plans,
//! warps, shades and composes.

use std::time::Instant;

use image::RgbaImage;
use tryon_core::category::Category;
use tryon_core::task::{GarmentPhotoType, ModerationLevel, Provider, Task};
use tryon_engine::{Engine, EngineError, Monitor, Options, Request, Step};
use tryon_engine_preview::PreviewEngine;
use tryon_picture::{Limits, decode, encode_png};

const RUNS: usize = 9;
/// What is in a row of the table, after the pictures' names.
const COLUMNS: [&str; 6] = ["decode", "garment", "person", "dress", "encode", "total"];

const PAIRS: [(&str, &str); 5] = [
    ("person-studio.jpg", "garment-tee.jpg"),
    ("person-studio.jpg", "garment-striped.jpg"),
    ("person-studio.jpg", "garment-dress.jpg"),
    ("person-studio.jpg", "garment-trousers.jpg"),
    ("person-portrait-masked.png", "garment-tee.jpg"),
];

/// Notes when each step ended.
struct Clock {
    started: Instant,
    ends: Vec<f64>,
}

impl Clock {
    fn start() -> Self {
        Self {
            started: Instant::now(),
            ends: Vec::new(),
        }
    }

    fn note(&mut self) {
        self.ends.push(self.started.elapsed().as_secs_f64() * 1e3);
    }

    /// How long each stage took, and all of them.
    fn stages(mut self) -> Vec<f64> {
        let total = self.ends.last().copied().unwrap_or_default();
        for i in (1..self.ends.len()).rev() {
            self.ends[i] -= self.ends[i - 1];
        }
        self.ends.push(total);
        self.ends
    }
}

impl Monitor for Clock {
    fn step(&mut self, _: Step) -> Result<(), EngineError> {
        self.note();
        Ok(())
    }
}

fn main() {
    print!("{:<48}", "milliseconds");
    for name in COLUMNS {
        print!("{name:>9}");
    }
    println!();
    for (person, garment) in PAIRS {
        let files = [person, garment].map(read);
        let runs: Vec<Vec<f64>> = (0..RUNS).map(|_| time(&files)).collect();
        print!("{:<48}", format!("{person} + {garment}"));
        for column in 0..COLUMNS.len() {
            let mut times: Vec<f64> = runs.iter().map(|run| run[column]).collect();
            times.sort_by(f64::total_cmp);
            print!("{:>9.0}", times[RUNS / 2]);
        }
        println!();
    }
}

/// One try-on from files to file.
fn time([person, garment]: &[Vec<u8>; 2]) -> Vec<f64> {
    let mut clock = Clock::start();
    let picture = |bytes: &[u8]| decode(bytes, &Limits::default()).expect("an example picture");
    let request = request(picture(person), picture(garment));
    clock.note();
    let output = PreviewEngine::new().run(&request, &mut clock);
    let picture = output.expect("the examples can be dressed").picture;
    encode_png(&picture, &[]).expect("a picture can be written");
    clock.note();
    clock.stages()
}

fn read(name: &str) -> Vec<u8> {
    let path = format!("{}/../../examples/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn request(person: RgbaImage, garment: RgbaImage) -> Request {
    Request {
        provider: Provider::Preview,
        options: Options {
            task: Task::Clothes,
            category: Category::Auto,
            subcategory: None,
            garment_photo: GarmentPhotoType::Auto,
            segmentation_free: true,
            region: None,
            placement: None,
            haircut: None,
            hair_color: None,
            seed: 0,
            steps: 3,
            cfg: 1.0,
            prompt: None,
            size: None,
            moderation: ModerationLevel::None,
        },
        person,
        garment: Some(garment),
    }
}
