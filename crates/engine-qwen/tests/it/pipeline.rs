//! The whole model against golden runs of the reference, as `tryon verify-model` replays them.

use image::RgbImage;
use tryon_engine_qwen::{
    RunError,
    backend::Cpu,
    golden::{Comparison, prefix, replay},
    image::Areas,
    pipeline::{Adapter, Job, ModelFiles, Noise, Pipeline, Residency, Watch},
    schedule::{Rounding, Schedule},
    tap::Untapped,
    weights::Fp8,
};

use crate::golden;

fn tiny() -> ModelFiles {
    ModelFiles::of(golden::path("checkpoint/tiny-2511"))
}

fn open(files: ModelFiles) -> Pipeline<Cpu> {
    Pipeline::open(Cpu, files, Residency::Whole).unwrap()
}

/// Replays a golden file and fails with every tensor that is beyond its gate.
fn check(name: &str, files: ModelFiles) {
    let form = files.fp8.as_ref().map(|_| files.fp8_mode);
    let golden = golden::open(name);
    let compared = replay(&golden, &mut open(files), prefix(form)).unwrap();
    for it in &compared {
        // Seen with `--nocapture`.
        println!("{name}: {it}");
    }
    let failed: Vec<&Comparison> = compared.iter().filter(|it| !it.holds()).collect();
    assert!(failed.is_empty(), "{name}: {failed:#?}");
}

#[test]
fn every_scenario_of_2511_is_the_references() {
    for name in [
        "edit2511_4step",
        "edit2511_4step_images",
        "edit2511_4step_vae",
        "edit2511_cfg4_2step",
        "edit2511_bf16_timestep_4step",
        "edit2511_shift3_4step",
    ] {
        check(name, tiny());
    }
}

#[test]
fn a_model_without_its_second_modulation_is_2509() {
    let config = golden::path("checkpoint/tiny-2509/transformer/config.json");
    let files = ModelFiles {
        transformer_config: Some(config),
        ..tiny()
    };
    check("edit2509_4step", files);
}

#[test]
fn an_adapter_is_merged_as_the_reference_merges_it() {
    let adapter = Adapter {
        path: golden::path("checkpoint/lora.safetensors"),
        strength: 1.0,
    };
    let files = ModelFiles {
        adapter: Some(adapter),
        ..tiny()
    };
    check("edit2511_lora_4step", files);
}

#[test]
fn both_ways_to_compute_with_fp8_are_the_references() {
    for fp8_mode in [Fp8::Dynamic, Fp8::WeightOnly] {
        let files = ModelFiles {
            fp8: Some(golden::path("checkpoint/fp8.safetensors")),
            fp8_mode,
            ..tiny()
        };
        check("edit2511_fp8_4step", files);
    }
}

#[test]
fn a_golden_file_of_another_model_does_not_hold() {
    let compared = replay(&golden::open("edit2509_4step"), &mut open(tiny()), "").unwrap();
    assert!(compared.iter().any(|it| !it.holds()));
}

/// Counts the pieces of work, and ends a run after some of them.
pub(crate) struct Counter {
    seen: usize,
    stop_after: usize,
}

impl Watch for Counter {
    fn advance(&mut self, total: usize) -> Result<(), RunError> {
        self.seen += 1;
        assert!(self.seen <= total, "{} of {total}", self.seen);
        if self.seen == self.stop_after {
            return Err(RunError::Cancelled);
        }
        Ok(())
    }
}

pub(crate) fn counter(stop_after: usize) -> Counter {
    Counter {
        seen: 0,
        stop_after,
    }
}

pub(crate) fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([x as u8, y as u8, (x * y) as u8])
    })
}

pub(crate) fn job(references: &[RgbImage], steps: usize) -> Job<'_> {
    Job {
        prompt: "put it on",
        negative_prompt: None,
        references,
        width: 48,
        height: 64,
        steps,
        true_cfg_scale: 1.0,
        schedule: Schedule::Base,
        noise: Noise::Seed(42),
        areas: Areas {
            condition: 112 * 112,
            vae: 128 * 128,
        },
        rounding: Rounding::Bf16,
        drop: None,
    }
}

#[test]
fn a_model_in_parts_makes_the_same_picture_as_a_whole_one() {
    let references = [picture(40, 60), picture(50, 50)];
    let make = |residency| {
        let mut pipeline = Pipeline::open(Cpu, tiny(), residency).unwrap();
        let mut watch = counter(usize::MAX);
        let made = pipeline
            .run(&job(&references, 2), &mut watch, &mut Untapped)
            .unwrap();
        assert_eq!(watch.seen, 2 + 3);
        made
    };
    let whole = make(Residency::Whole);
    assert_eq!(whole.dimensions(), (48, 64));
    assert_eq!(whole, make(Residency::Swapped));
    assert_eq!(whole, make(Residency::Parts));
    assert_eq!(whole, make(Residency::Whole));
}

#[test]
fn seeds_and_sizes_and_steps_are_honoured() {
    let references = [picture(40, 60)];
    let mut pipeline = open(tiny());
    let mut make = |job: Job<'_>| {
        pipeline
            .run(&job, &mut counter(usize::MAX), &mut Untapped)
            .unwrap()
    };
    let plain = make(job(&references, 2));
    let others = [
        Job {
            noise: Noise::Seed(43),
            ..job(&references, 2)
        },
        Job {
            steps: 3,
            ..job(&references, 2)
        },
        Job {
            prompt: "take it off",
            ..job(&references, 2)
        },
        Job {
            schedule: Schedule::LightningShift3,
            ..job(&references, 2)
        },
        Job {
            true_cfg_scale: 4.0,
            negative_prompt: Some(" "),
            ..job(&references, 2)
        },
    ];
    for other in others {
        let what = format!("{other:?}");
        assert_ne!(make(other), plain, "{what}");
    }
    let wide = Job {
        width: 64,
        height: 32,
        ..job(&references, 2)
    };
    assert_eq!(make(wide).dimensions(), (64, 32));
}

#[test]
fn a_run_ends_at_the_step_at_which_it_is_cancelled() {
    let references = [picture(40, 60)];
    let mut pipeline = open(tiny());
    for stop_after in 1..=6 {
        let mut watch = counter(stop_after);
        let ended = pipeline.run(&job(&references, 3), &mut watch, &mut Untapped);
        assert!(matches!(ended, Err(RunError::Cancelled)), "{ended:?}");
        assert_eq!(watch.seen, stop_after);
    }
}

#[test]
fn what_cannot_be_made_is_refused_by_its_field() {
    let four = [
        picture(20, 20),
        picture(20, 20),
        picture(20, 20),
        picture(20, 20),
    ];
    let one = &four[..1];
    let long = "a".repeat(10_001);
    let cases = [
        (
            Job {
                width: 17,
                ..job(one, 2)
            },
            "`width` is 17",
        ),
        (
            Job {
                height: 0,
                ..job(one, 2)
            },
            "`height` is 0",
        ),
        (
            Job {
                prompt: " ",
                ..job(one, 2)
            },
            "`prompt` is empty",
        ),
        (
            Job {
                prompt: &long,
                ..job(one, 2)
            },
            "`prompt` has",
        ),
        (
            Job {
                steps: 0,
                ..job(one, 2)
            },
            "`steps` is 0",
        ),
        (
            Job {
                true_cfg_scale: f32::NAN,
                ..job(one, 2)
            },
            "`cfg` is NaN",
        ),
        (job(&[], 2), "0 reference pictures"),
        (job(&four, 2), "4 reference pictures"),
        (
            Job {
                noise: Noise::Given(&[0.0]),
                ..job(one, 2)
            },
            "the noise has 1",
        ),
    ];
    let mut pipeline = open(tiny());
    for (job, words) in cases {
        let refused = pipeline.run(&job, &mut counter(usize::MAX), &mut Untapped);
        let said = refused.unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
    }
}
