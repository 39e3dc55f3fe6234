//! The GPU's tracer, fusion, plans and arena, carried out in ordinary memory, against the same
//! golden tensors as the CPU.

use std::fmt;

use image::RgbImage;
use tryon_engine_qwen::{
    ComputeError,
    backend::{
        Backend, Cpu,
        cuda::{Counts, Cuda, CudaTensor, Element, Host, Kind, Precision},
    },
    dit::Transformer,
    golden::{Difference, Recorder, prefix, replay},
    lora::Lora,
    moderation::Moderator,
    parse::Parser,
    pipeline::{ModelFiles, Pipeline, Residency},
    tap::{Tap, Untapped},
    vae::{Vae, VaeConfig, to_image},
    weights::{Fp8, Weights},
};

use crate::{dit, dit::Replay, golden, parse::picture, pipeline};

/// A device that computes as the reference does.
fn exact() -> Cuda<Host> {
    with_memory(1 << 36, Element::F32)
}

fn with_memory(bytes: u64, storage: Element) -> Cuda<Host> {
    let precision = Precision {
        storage,
        // As the reference.
        fp8_narrowing: true,
    };
    Cuda::new(Host::with_memory(bytes), precision)
}

fn tiny() -> ModelFiles {
    ModelFiles::of(golden::path("checkpoint/tiny-2511"))
}

/// Replays a golden file, tensor by tensor.
fn check(name: &str, files: ModelFiles) {
    let form = files.fp8.as_ref().map(|_| files.fp8_mode);
    let mut pipeline = Pipeline::open(exact(), files, Residency::Whole).unwrap();
    let compared = replay(&golden::open(name), &mut pipeline, prefix(form)).unwrap();
    for it in &compared {
        // Seen with `--nocapture`.
        println!("{name}: {it}");
    }
    let failed: Vec<String> = compared
        .iter()
        .filter(|it| !it.holds())
        .map(ToString::to_string)
        .collect();
    assert!(failed.is_empty(), "{name}:\n{}", failed.join("\n"));
}

#[test]
fn every_tensor_of_the_whole_model_is_the_references() {
    for name in ["edit2511_4step", "edit2511_4step_vae"] {
        check(name, tiny());
    }
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
fn the_parser_and_the_moderator_are_the_references() {
    let cuda = exact();
    let golden = golden::open("parser");
    let parser = Parser::open(&cuda, &golden::path("checkpoint/parser")).unwrap();
    let mut seen = Recorder::all();
    parser.parse(&cuda, &picture(&golden), &mut seen).unwrap();
    golden::check(&golden, &seen, "", |name| {
        name.starts_with("seg.") && name != "seg.classes"
    });
    let golden = golden::open("moderator");
    let moderator = Moderator::open(&cuda, &golden::path("checkpoint/moderator")).unwrap();
    let mut seen = Recorder::all();
    let likelihood = moderator.judge(&cuda, &picture(&golden), &mut seen);
    golden::check(&golden, &seen, "", |name| name.starts_with("vit."));
    let untapped = moderator.judge(&cuda, &picture(&golden), &mut Untapped);
    assert_eq!(likelihood.unwrap(), untapped.unwrap());
}

/// The transformer on a device of its own.
fn transformer(cuda: &Cuda<Host>, weights: Weights, fp8: Fp8) -> Transformer<Cuda<Host>> {
    dit::load_on(cuda, "tiny-2511", weights, fp8)
}

/// Untapped, so that each step is one recording with everything fused that can be.
fn check_steps(cuda: &Cuda<Host>, name: &str, weights: Weights, fp8: Fp8, form: &str) {
    let replay = Replay::of(name);
    let mut transformer = transformer(cuda, weights, fp8);
    let run = replay.run_on(cuda, &mut transformer, &mut Untapped);
    let mut recorder = Recorder::all();
    run.record::<Cpu>(&mut recorder);
    let wanted = |name: &str| {
        // Of FP8 there are the first step's alone.
        dit::of_steps(name) && (form.is_empty() || name.contains(".step.0."))
    };
    golden::check(&replay.golden, &recorder, form, wanted);
}

#[test]
fn whole_steps_are_the_references() {
    for name in ["edit2511_4step", "edit2511_cfg4_2step"] {
        check_steps(&exact(), name, dit::weights(), Fp8::Dynamic, "");
    }
    let lora = Lora::open(&golden::path("checkpoint/lora.safetensors"), 1.0).unwrap();
    let weights = dit::weights().with_lora(lora).unwrap();
    check_steps(&exact(), "edit2511_lora_4step", weights, Fp8::Dynamic, "");
    for (form, fp8) in [("w8.", Fp8::WeightOnly), ("w8a8.", Fp8::Dynamic)] {
        let weights = Weights::open(&golden::path("checkpoint/fp8.safetensors")).unwrap();
        check_steps(&exact(), "edit2511_fp8_4step", weights, fp8, form);
    }
}

/// Holds on to everything that it is shown, and looks at it in the end: so all of it is wanted of
/// the same recording.
#[derive(Default)]
struct Keeper(Vec<(String, CudaTensor)>);

impl Tap<Cuda<Host>> for Keeper {
    fn is_on(&self) -> bool {
        true
    }

    fn see(
        &mut self,
        _: &Cuda<Host>,
        name: fmt::Arguments<'_>,
        tensor: &CudaTensor,
    ) -> Result<(), ComputeError> {
        let name = name.to_string();
        if self.0.iter().all(|(seen, _)| *seen != name) {
            self.0.push((name, tensor.clone()));
        }
        Ok(())
    }

    fn note(&mut self, _: fmt::Arguments<'_>, _: &[f64]) {}
}

#[test]
fn what_somebody_holds_on_to_is_kept_and_is_the_references() {
    let (cuda, replay) = (exact(), Replay::of("edit2511_4step"));
    let mut transformer = transformer(&cuda, dit::weights(), Fp8::Dynamic);
    let mut keeper = Keeper::default();
    replay.run_on(&cuda, &mut transformer, &mut keeper);
    let runs = cuda.counts().runs;
    let mut recorder = Recorder::all();
    for (name, tensor) in &keeper.0 {
        recorder.see(&cuda, format_args!("{name}"), tensor).unwrap();
    }
    let seen: Vec<String> = keeper.0.iter().map(|(name, _)| name.clone()).collect();
    golden::check(&replay.golden, &recorder, "", |name| {
        seen.iter().any(|seen| seen == name)
    });
    assert!(seen.len() > 20, "{seen:?}");
    // All that was left to compute is what no step needs: all that goes in as one, and what the
    // last block makes of the prompt, after its attention and in the end.
    let left = cuda.counts().runs - runs;
    assert!(left <= 3, "{left} of {:?}", cuda.counts());
}

/// How many commands of a kind a plan has.
fn count(plan: &[Kind], wanted: impl Fn(&Kind) -> bool) -> usize {
    plan.iter().filter(|kind| wanted(kind)).count()
}

#[test]
fn a_step_is_planned_once_allocates_nothing_and_is_captured() {
    let (cuda, replay) = (exact(), Replay::of("edit2511_4step"));
    let mut transformer = transformer(&cuda, dit::weights(), Fp8::Dynamic);
    let before = cuda.counts();
    replay.run_on(&cuda, &mut transformer, &mut Untapped);
    let first = cuda.counts();
    let allocations = cuda.device().allocations();
    // What is the same at every step, and the step.
    assert!(first.planned - before.planned <= 8, "{before:?} {first:?}");
    let again = replay.run_on(&cuda, &mut transformer, &mut Untapped);
    let second = cuda.counts();
    assert_eq!(second.planned, first.planned, "the same shapes again");
    assert_eq!(cuda.device().allocations(), allocations);
    replay.run_on(&cuda, &mut transformer, &mut Untapped);
    let third = cuda.counts();
    // A capture for each of the four timesteps, whose tables lie at four places.
    let Counts {
        replayed, captured, ..
    } = third;
    assert_eq!(captured, second.captured, "{second:?} {third:?}");
    assert!(
        captured >= 4 && replayed - second.replayed >= 4,
        "{third:?}"
    );
    let last = replay.run_on(&cuda, &mut transformer, &mut Untapped);
    assert_eq!(last.steps, again.steps, "a replay computes the same");
}

#[test]
fn a_block_is_a_few_launches() {
    let (cuda, replay) = (exact(), Replay::of("edit2511_4step"));
    let mut transformer = transformer(&cuda, dit::weights(), Fp8::Dynamic);
    replay.run_on(&cuda, &mut transformer, &mut Untapped);
    let plan = cuda.last_plan();
    println!("{plan:#?}");
    let matmul = |kind: &Kind| matches!(kind, Kind::Matmul { .. });
    // The noise's embedding; in the first of two blocks one for q, k and v of each stream, its
    // output and its MLP; in the last, that of the noise alone, and k and v of both; the head.
    assert_eq!(count(&plan, matmul), 1 + 2 * 4 + 3 + 3 + 1);
    let qkv = |kind: &Kind| matches!(kind, Kind::QkvNormTurn { .. });
    assert_eq!(count(&plan, qkv), 2, "q, k and v of a stream at once");
    let turns = |kind: &Kind| matches!(kind, Kind::Turn(_) | Kind::RmsNorm { .. });
    assert_eq!(count(&plan, turns), 0, "no head is turned or normed alone");
    // Before the first block's attention, of both streams; everywhere else with the sum before.
    let norms = |kind: &Kind| matches!(kind, Kind::ModulatedNorm { .. });
    assert_eq!(count(&plan, norms), 2);
    let sums = |kind: &Kind| matches!(kind, Kind::AddGatedNorm { .. });
    assert_eq!(count(&plan, sums), 6);
    assert_eq!(count(&plan, |kind| *kind == Kind::Quantise), 0);
}

#[test]
fn rows_are_quantised_where_they_are_made() {
    let (cuda, replay) = (exact(), Replay::of("edit2511_fp8_4step"));
    let weights = Weights::open(&golden::path("checkpoint/fp8.safetensors")).unwrap();
    let mut transformer = transformer(&cuda, weights, Fp8::Dynamic);
    replay.run_on(&cuda, &mut transformer, &mut Untapped);
    let plan = cuda.last_plan();
    let with_norm = |kind: &Kind| {
        matches!(
            kind,
            Kind::ModulatedNorm { quantise: true, .. } | Kind::AddGatedNorm { quantise: true, .. }
        )
    };
    // Every norm but the head's, and that of the last block's noise, of which some rows are taken.
    assert!(count(&plan, with_norm) >= 5, "{plan:#?}");
}

#[test]
fn sixteen_bits_are_close() {
    let replay = Replay::of("edit2511_4step");
    let cuda = with_memory(1 << 36, Element::Bf16);
    let mut own = transformer(&cuda, dit::weights(), Fp8::Dynamic);
    let run = replay.run_on(&cuda, &mut own, &mut Untapped);
    let mut reference = dit::load_on(&Cpu, "tiny-2511", dit::weights(), Fp8::Dynamic);
    let exact = replay.run_on(&Cpu, &mut reference, &mut Untapped);
    let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
    let (found, golden) = (wide(&run.steps[0].0), wide(&exact.steps[0].0));
    let difference = Difference::between(&found, &golden).unwrap();
    println!("{difference:?}");
    // Eight bits of a number, some forty roundings on the way, weights that are drawn large.
    assert!(difference.relative_l2 < 0.05, "{difference:?}");
    assert!(difference.relative_l2 > 1e-5, "it was in 32 bits");
}

/// The bytes that stay taken, and the picture, of the second of two runs.
fn make(residency: Residency) -> (u64, RgbImage) {
    let references = [pipeline::picture(40, 60), pipeline::picture(50, 50)];
    let job = pipeline::job(&references, 2);
    let mut pipeline = Pipeline::open(exact(), tiny(), residency).unwrap();
    let mut run = || {
        let mut watch = pipeline::counter(usize::MAX);
        pipeline.run(&job, &mut watch, &mut Untapped).unwrap()
    };
    let first = run();
    let second = run();
    assert_eq!(first, second, "{residency:?}");
    let backend = pipeline.backend();
    backend.release();
    (backend.device().taken(), second)
}

#[test]
fn a_model_in_parts_makes_the_same_picture_and_leaves_less_behind() {
    let (whole, picture) = make(Residency::Whole);
    let (swapped, same) = make(Residency::Swapped);
    assert_eq!(same, picture);
    let (parts, same) = make(Residency::Parts);
    assert_eq!(same, picture);
    println!("{whole}, {swapped}, {parts} bytes");
    assert!(
        swapped <= whole && parts == 0,
        "{whole}, {swapped}, {parts}"
    );
}

#[test]
fn a_picture_is_the_same_bytes_wherever_they_are_made() {
    let folder = golden::path("checkpoint/tiny-2511/vae");
    let (cuda, config) = (
        exact(),
        VaeConfig::read(&folder.join("config.json")).unwrap(),
    );
    let vae = Vae::load(&cuda, &Weights::open(&folder).unwrap(), config).unwrap();
    let size = vae.latent_size(48, 64, 2);
    let numbers = size.channels * size.height * size.width;
    // Some of what comes of these is beyond -1 and 1.
    let latent: Vec<f32> = (0..numbers).map(|i| (i as f32).sin() * 3.0).collect();
    let on_device = vae.decode_to_image(&cuda, &latent, size).unwrap();
    assert_eq!(cuda.last_plan().last(), Some(&Kind::Bytes));
    let values = vae.decode(&cuda, &latent, size, &mut Untapped).unwrap();
    assert!(values.iter().any(|value| value.abs() > 1.0));
    let tapped = vae.decode(&cuda, &latent, size, &mut Recorder::all());
    for values in [values, tapped.unwrap()] {
        let on_host = to_image(&values, 48, 64);
        let pairs = on_device.as_raw().iter().zip(on_host.as_raw());
        assert_eq!(pairs.filter(|(one, other)| one != other).count(), 0);
    }
}

#[test]
fn numbers_of_a_picture_are_fetched_for_who_looks_at_them_alone() {
    let references = [pipeline::picture(40, 60)];
    let job = pipeline::job(&references, 2);
    let mut pipeline = Pipeline::open(exact(), tiny(), Residency::Whole).unwrap();
    let mut run = |tap: &mut dyn Tap<Cuda<Host>>| {
        let mut watch = pipeline::counter(usize::MAX);
        let made = pipeline.run(&job, &mut watch, tap).unwrap();
        let plan = pipeline.backend().last_plan();
        (made, count(&plan, |kind| *kind == Kind::Bytes))
    };
    let (made, bytes) = run(&mut Untapped);
    assert_eq!(bytes, 1);
    let (seen, bytes) = run(&mut Recorder::all());
    assert_eq!(bytes, 0);
    // Products that are seen one by one are not joined, which their last digits may tell.
    let mut pairs = made.as_raw().iter().zip(seen.as_raw());
    assert!(pairs.all(|(one, other)| one.abs_diff(*other) <= 1));
}

#[test]
fn weights_take_what_was_expected() {
    let cuda = exact();
    let weights = Weights::open(&golden::path("checkpoint/fp8.safetensors")).unwrap();
    let name = "transformer_blocks.0.img_mlp.net.0.proj.weight";
    let [outputs, inputs] = *weights.find(name).unwrap().shape() else {
        panic!("it is a matrix");
    };
    let matrix = (outputs * inputs) as u64;
    assert_eq!(weights.bytes_on(&cuda, |it| it == name), matrix);
    let narrowing = "transformer_blocks.0.img_mlp.net.2.weight";
    assert_eq!(weights.bytes_on(&cuda, |it| it == narrowing), matrix);
    // By default an MLP's second layer is in 16 bits.
    let cuda = Cuda::new(Host::default(), Precision::default());
    assert_eq!(weights.bytes_on(&cuda, |it| it == name), matrix);
    assert_eq!(weights.bytes_on(&cuda, |it| it == narrowing), 2 * matrix);
}

#[test]
fn a_device_that_is_too_small_says_so_and_can_go_on() {
    let cuda = with_memory(64 << 20, Element::F32);
    let narrow = cuda
        .upload(vec![1.0; 1 << 20], &[1 << 10, 1 << 10])
        .unwrap();
    let taken = cuda.device().taken();
    let mut wide = narrow.clone();
    for _ in 0..5 {
        wide = cuda.concat(&[&wide, &wide]).unwrap();
    }
    let Err(ComputeError::OutOfMemory { needed }) = cuda.download(&wide) else {
        panic!("128 MiB were found in 64");
    };
    assert_eq!(needed, "128 MiB");
    drop(wide);
    assert_eq!(cuda.device().taken(), taken, "what was taken is given back");
    let sum = cuda.add(&narrow, &narrow).unwrap();
    assert_eq!(cuda.download(&sum).unwrap(), vec![2.0; 1 << 20]);
}

#[test]
fn everything_is_given_back() {
    let cuda = exact();
    let replay = Replay::of("edit2511_4step");
    let mut transformer = transformer(&cuda, dit::weights(), Fp8::Dynamic);
    replay.run_on(&cuda, &mut transformer, &mut Untapped);
    let with_weights = cuda.device().taken();
    assert!(with_weights > 0);
    drop(transformer);
    cuda.release();
    assert_eq!(cuda.device().taken(), 0);
}
