//! The transformer against the reference's, from what goes into it to the last latents.
//!
//! The prompt's embedding and the references' latents are the golden ones, so that nothing but the
//! transformer, the schedule and the guidance is compared here.

use tryon_engine_qwen::{
    backend::{Backend, Cpu},
    cfg,
    dit::{Condition, DenoisingStep, Grid, Inputs, Transformer, TransformerConfig},
    golden::{Golden, Recorder},
    lora::Lora,
    schedule::{self, Rounding, Schedule, SchedulerConfig},
    tap::{Tap, Untapped},
    weights::{Fp8, Weights},
};

use crate::golden;

/// The picture that is made and its two references, in tokens.
const GRIDS: [Grid; 3] = [grid(5, 3), grid(10, 6), grid(8, 8)];

const fn grid(height: usize, width: usize) -> Grid {
    Grid { height, width }
}

fn load(version: &str, weights: Weights, fp8: Fp8) -> Transformer<Cpu> {
    load_on(&Cpu, version, weights, fp8)
}

/// The transformer of a tiny checkpoint on this device.
pub(crate) fn load_on<B: Backend>(
    backend: &B,
    version: &str,
    weights: Weights,
    fp8: Fp8,
) -> Transformer<B> {
    let config = golden::path(&format!("checkpoint/{version}/transformer/config.json"));
    let config = TransformerConfig::read(&config).unwrap();
    Transformer::load(backend, weights, fp8, &config, &[]).unwrap()
}

pub(crate) fn weights() -> Weights {
    Weights::open(&golden::path("checkpoint/tiny-2511/transformer")).unwrap()
}

/// A golden run.
pub(crate) struct Replay {
    pub(crate) golden: Golden,
    /// The one that has what goes into the transformer, which is the same in all.
    inputs: Golden,
    schedule: Schedule,
    rounding: Rounding,
    steps: usize,
    guidance: f32,
}

impl Replay {
    pub(crate) fn of(name: &str) -> Self {
        let golden = golden::open(name);
        let metadata = |key| golden.metadata(key).unwrap();
        Self {
            inputs: golden::open("edit2511_4step"),
            schedule: golden
                .metadata("schedule")
                .map_or(Schedule::Base, |name| name.parse().unwrap()),
            rounding: match golden.metadata("timestep") {
                Some("bf16") => Rounding::Bf16,
                _ => Rounding::F32,
            },
            steps: metadata("steps").parse().unwrap(),
            guidance: metadata("true_cfg_scale").parse().unwrap(),
            golden,
        }
    }

    fn upload<B: Backend>(backend: &B, values: Vec<f32>, width: usize) -> B::Tensor {
        let rows = values.len() / width;
        backend.upload(values, &[rows, width]).unwrap()
    }

    fn condition<B: Backend>(
        &self,
        backend: &B,
        transformer: &Transformer<B>,
        prompt: Vec<f32>,
        tap: &mut dyn Tap<B>,
    ) -> Condition<B> {
        let config = transformer.config();
        let all = golden::floats(&self.inputs, "dit.in.hidden_states");
        let references = all[GRIDS[0].tokens() * config.channels..].to_vec();
        let inputs = Inputs {
            prompt: &Self::upload(backend, prompt, config.text_width),
            references: Some(&Self::upload(backend, references, config.channels)),
            grids: &GRIDS,
        };
        transformer.condition(backend, &inputs, tap).unwrap()
    }

    /// Of the prompt, and of the negative one if there is guidance.
    pub(crate) fn conditions<B: Backend>(
        &self,
        backend: &B,
        transformer: &Transformer<B>,
        tap: &mut dyn Tap<B>,
    ) -> Vec<Condition<B>> {
        let prompt = golden::floats(&self.inputs, "dit.in.encoder_hidden_states");
        let mut conditions = vec![self.condition(backend, transformer, prompt, tap)];
        if self.guidance > 1.0 {
            let whole = golden::floats(&self.golden, "neg.te.final_norm");
            let dropped: usize = self.golden.metadata("drop_idx").unwrap().parse().unwrap();
            let prompt = whole[dropped * transformer.config().text_width..].to_vec();
            conditions.push(self.condition(backend, transformer, prompt, &mut Untapped));
        }
        conditions
    }

    fn sigmas(&self) -> Vec<f32> {
        let scheduler = golden::path("checkpoint/tiny-2511/scheduler/scheduler_config.json");
        let scheduler = SchedulerConfig::read(&scheduler).unwrap();
        scheduler.sigmas(self.schedule, self.steps, GRIDS[0].tokens())
    }

    /// As the model is given them: of all but the last sigma.
    fn timesteps(&self) -> Vec<f32> {
        let sigmas = self.sigmas();
        let rounded = |sigma: &f32| schedule::model_timestep(*sigma, self.rounding);
        sigmas[..self.steps].iter().map(rounded).collect()
    }

    /// Runs every step as the pipeline does, and shows the model's tensors to `tap`.
    fn run(&self, transformer: &mut Transformer<Cpu>, tap: &mut dyn Tap<Cpu>) -> Run {
        self.run_on(&Cpu, transformer, tap)
    }

    /// The same on this device.
    pub(crate) fn run_on<B: Backend>(
        &self,
        backend: &B,
        transformer: &mut Transformer<B>,
        tap: &mut dyn Tap<B>,
    ) -> Run {
        let conditions = self.conditions(backend, transformer, tap);
        let sigmas = self.sigmas();
        let modulations = transformer.prepare(backend, &self.timesteps()).unwrap();
        let channels = transformer.config().channels;
        let mut latents = golden::floats(&self.golden, "pipe.noise");
        let mut steps = Vec::new();
        for (modulation, sigmas) in modulations.iter().zip(sigmas.windows(2)) {
            let noise = Self::upload(backend, latents.clone(), channels);
            let mut velocity = |condition| {
                let step = DenoisingStep {
                    condition,
                    modulation,
                };
                let velocity = transformer.forward(backend, &noise, &step, tap).unwrap();
                backend.download(&velocity).unwrap()
            };
            let mut velocities = conditions.iter().map(&mut velocity);
            let positive = velocities.next().unwrap();
            let velocity = match velocities.next() {
                None => positive,
                Some(negative) => cfg::guide(&positive, &negative, self.guidance, channels),
            };
            schedule::step(&mut latents, &velocity, sigmas[0], sigmas[1]);
            steps.push((velocity, latents.clone()));
        }
        Run {
            sigmas,
            first_timestep: self.timesteps()[0],
            steps,
        }
    }
}

/// What the steps came to.
pub(crate) struct Run {
    sigmas: Vec<f32>,
    first_timestep: f32,
    /// Velocity and latents.
    pub(crate) steps: Vec<(Vec<f32>, Vec<f32>)>,
}

impl Run {
    pub(crate) fn record<B: Backend>(&self, tap: &mut dyn Tap<B>) {
        let steps = &self.sigmas[..self.steps.len()];
        let counted: Vec<f32> = steps
            .iter()
            .map(|sigma| schedule::timestep(*sigma))
            .collect();
        note(tap, "pipe.sigmas", &self.sigmas);
        note(tap, "pipe.timesteps", &counted);
        note(tap, "dit.in.timestep", &[self.first_timestep]);
        for (i, (velocity, latents)) in self.steps.iter().enumerate() {
            note(tap, &format!("pipe.step.{i}.noise_pred"), velocity);
            note(tap, &format!("pipe.step.{i}.latents"), latents);
        }
    }
}

fn note<B: Backend>(tap: &mut dyn Tap<B>, name: &str, values: &[f32]) {
    let values: Vec<f64> = values.iter().copied().map(f64::from).collect();
    tap.note(format_args!("{name}"), &values);
}

/// What the transformer and the steps compute.
pub(crate) fn own(name: &str) -> bool {
    of_steps(name) || name.starts_with("dit.")
}

pub(crate) fn of_steps(name: &str) -> bool {
    name.starts_with("pipe.step.") || name == "pipe.sigmas" || name == "pipe.timesteps"
}

/// Holds everything that is computed on the way to its gate.
fn check(replay: &Replay, prefix: &str, transformer: &mut Transformer<Cpu>) {
    let mut recorder = Recorder::all();
    replay
        .run(transformer, &mut recorder)
        .record::<Cpu>(&mut recorder);
    golden::check(&replay.golden, &recorder, prefix, own);
}

fn check_2511(name: &str) {
    check(
        &Replay::of(name),
        "",
        &mut load("tiny-2511", weights(), Fp8::Dynamic),
    );
}

/// Fails when, to name what was tried: `zero_cond_t` is off (the first prediction moves by 0.69); GELU
/// is by the error function (8.4e-5); rows are not centred (4.4e-2), or rounded to the other side
/// (2.5e-2); the image's index is 0 (7.8e-2); text begins at 0 (3.6e-2); halves are turned in place
/// of neighbours (0.20); a shift and a scale are swapped, in a block (1.2) or in the head (0.85); sines
/// come before cosines (1.1); σ is not multiplied by 1000 (1.2); values are joined in the other
/// order (0.29); scores are not scaled (0.51); keys are normed as queries (0.11); references take
/// the first row (0.98) or gates are swapped (0.65); a step goes the other way; the references'
/// tokens shift the schedule; the terminal is ignored; timesteps are rounded.
#[test]
fn every_tensor_of_2511_is_the_references() {
    check_2511("edit2511_4step");
}

#[test]
fn every_tensor_of_2509_is_the_references() {
    let transformer = &mut load("tiny-2509", weights(), Fp8::Dynamic);
    check(&Replay::of("edit2509_4step"), "", transformer);
}

/// Fails when tokens do not keep their length (2.8e-2).
#[test]
fn guidance_is_the_references() {
    check_2511("edit2511_cfg4_2step");
}

/// Fails when the checkpoint's terminal value is kept.
#[test]
fn the_lightning_schedule_is_the_references() {
    check_2511("edit2511_shift3_4step");
}

/// Fails when a timestep is rounded once and not twice.
#[test]
fn rounded_timesteps_are_the_references() {
    check_2511("edit2511_bf16_timestep_4step");
}

#[test]
fn weights_in_16_bits_are_the_references() {
    let weights = Weights::open(&golden::path("checkpoint/tiny-bf16/transformer")).unwrap();
    let transformer = &mut load("tiny-bf16", weights, Fp8::Dynamic);
    check(&Replay::of("edit2511_bf16_weights_4step"), "", transformer);
}

/// Fails when alpha is ignored (0.33).
#[test]
fn an_adapter_is_merged_as_in_the_reference() {
    let lora = Lora::open(&golden::path("checkpoint/lora.safetensors"), 1.0).unwrap();
    let weights = weights().with_lora(lora).unwrap();
    let transformer = &mut load("tiny-2511", weights, Fp8::Dynamic);
    check(&Replay::of("edit2511_lora_4step"), "", transformer);
}

/// Fails when scales are 1 % off, or the modulation layers are computed in the other form.
#[test]
fn fp8_weights_are_the_references() {
    let replay = Replay::of("edit2511_fp8_4step");
    for (prefix, fp8) in [("w8.", Fp8::WeightOnly), ("w8a8.", Fp8::Dynamic)] {
        let weights = Weights::open(&golden::path("checkpoint/fp8.safetensors")).unwrap();
        check(&replay, prefix, &mut load("tiny-2511", weights, fp8));
    }
}

/// Fails when the last block's queries are turned as the first tokens of all and not as the noise
/// (0.12).
#[test]
fn what_nobody_looks_at_is_left_out_and_changes_nothing() {
    let replay = Replay::of("edit2511_4step");
    let transformer = &mut load("tiny-2511", weights(), Fp8::Dynamic);
    let run = replay.run(transformer, &mut Untapped);
    let mut recorder = Recorder::all();
    run.record::<Cpu>(&mut recorder);
    golden::check(&replay.golden, &recorder, "", of_steps);
}

#[test]
fn the_tables_of_a_timestep_do_not_depend_on_the_others() {
    let replay = Replay::of("edit2511_4step");
    let mut fresh = load("tiny-2511", weights(), Fp8::Dynamic);
    let expected = replay.run(&mut fresh, &mut Untapped).steps;
    // More than are kept, so that those of the run are computed again; one of them alone before.
    let mut used = load("tiny-2511", weights(), Fp8::Dynamic);
    let others: Vec<f32> = (1..100).map(|i| i as f32 / 128.0).collect();
    let third = replay.timesteps()[2];
    for timesteps in [&others[..], &[third]] {
        let tables = used.prepare(&Cpu, timesteps).unwrap();
        assert_eq!(tables.len(), timesteps.len());
    }
    assert_eq!(replay.run(&mut used, &mut Untapped).steps, expected);
}

#[test]
fn the_modulation_layers_are_not_resident() {
    let weights = weights();
    let streamed = |name: &str| {
        name.contains("img_mod") || name.contains("txt_mod") || name.starts_with("norm_out.")
    };
    let resident = Transformer::resident_bytes(&Cpu, &weights);
    assert_eq!(resident + weights.bytes_of(streamed), weights.total_bytes());
    // Two layers of 48 by 288 and their biases in each of two blocks, and one of 48 by 96.
    assert_eq!(weights.bytes_of(streamed), 4 * (4 * 49 * 288 + 49 * 96));
}
