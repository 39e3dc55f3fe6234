//! Schedules and noise against the reference's.

use std::fs;

use serde::Deserialize;
use tryon_engine_qwen::{
    noise,
    schedule::{self, Rounding, Schedule, SchedulerConfig},
};

use crate::golden;

#[derive(Deserialize)]
struct Row {
    schedule: String,
    steps: usize,
    tokens: usize,
    sigmas: Vec<f32>,
    timesteps: Vec<f32>,
    /// What the model is given in 16 bits, times a thousand.
    bf16_embedded: Vec<f32>,
}

/// Equal to the last bit: at a thousand that is 6e-5 of a timestep.
#[test]
fn schedules_are_the_references() {
    let scheduler = golden::path("checkpoint/tiny-2511/scheduler/scheduler_config.json");
    let scheduler = SchedulerConfig::read(&scheduler).unwrap();
    let rows = fs::read(golden::path("schedules.json")).unwrap();
    let rows: Vec<Row> = serde_json::from_slice(&rows).unwrap();
    assert_eq!(rows.len(), 16);
    for row in rows {
        let schedule: Schedule = row.schedule.parse().unwrap();
        let sigmas = scheduler.sigmas(schedule, row.steps, row.tokens);
        let name = format!("{schedule}, {} steps, {} tokens", row.steps, row.tokens);
        assert_eq!(sigmas, row.sigmas, "{name}");
        let steps = &sigmas[..row.steps];
        let timesteps: Vec<f32> = steps
            .iter()
            .map(|sigma| schedule::timestep(*sigma))
            .collect();
        assert_eq!(timesteps, row.timesteps, "{name}");
        let rounded = |sigma: &f32| schedule::model_timestep(*sigma, Rounding::Bf16) * 1000.0;
        let rounded: Vec<f32> = steps.iter().map(rounded).collect();
        assert_eq!(rounded, row.bf16_embedded, "{name}");
    }
}

#[test]
fn noise_is_the_references() {
    let golden = golden::open("noise");
    assert_eq!(golden.names().count(), 24);
    for name in golden.names() {
        let expected = golden::floats(&golden, name);
        let parts: Vec<&str> = name.split('.').collect();
        let seed: u64 = parts[1].parse().unwrap();
        let (found, most) = match parts[3] {
            // PyTorch's own code with and without AVX2 rounds an angle differently.
            "f32" => (noise::randn(seed, expected.len()), 2e-6),
            // Where 32 bits differ in the last, 16 may too: by 2⁻⁸ of a value.
            _ => (noise::randn_bf16(seed, expected.len()), 0.016),
        };
        let mut unequal = 0;
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() <= most,
                "{name}: {found} {expected}"
            );
            unequal += usize::from(found != expected);
        }
        assert!(
            parts[3] == "f32" || unequal <= expected.len() / 200,
            "{name}: {unequal}"
        );
    }
}
