//! Whoever loads a model is told how far it is.

use std::sync::{Arc, Mutex};

use tryon_engine_qwen::{
    backend::{
        Backend, Cpu,
        cuda::{Cuda, Host, Precision},
    },
    pipeline::{Job, ModelFiles, Noise, Pipeline, Residency},
    tap::Untapped,
    weights::{Follow, Loaded},
};

use crate::{golden, pipeline};

/// Everything that was told: how far a load was, and whether that was its end.
#[derive(Default)]
struct Told(Mutex<Vec<(Loaded, bool)>>);

impl Follow for Told {
    fn advance(&self, loaded: Loaded) {
        self.0.lock().unwrap().push((loaded, false));
    }

    fn finish(&self, loaded: Loaded) {
        self.0.lock().unwrap().push((loaded, true));
    }
}

impl Told {
    /// The loads since the last time, each with what was told of it.
    fn take(&self) -> Vec<Vec<Loaded>> {
        let told = std::mem::take(&mut *self.0.lock().unwrap());
        let loads = told.split_inclusive(|(_, is_end)| *is_end);
        let loads = loads.map(|load| load.iter().map(|(loaded, _)| *loaded).collect());
        loads.collect()
    }
}

fn open<B: Backend>(
    backend: B,
    files: ModelFiles,
    residency: Residency,
) -> (Pipeline<B>, Arc<Told>) {
    let told = Arc::<Told>::default();
    let follower = Arc::clone(&told);
    let pipeline = Pipeline::open_followed(backend, files, residency, follower).unwrap();
    (pipeline, told)
}

fn tiny() -> ModelFiles {
    ModelFiles::of(golden::path("checkpoint/tiny-2511"))
}

/// From nothing to nearly everything, a tensor after the other, and no more in the end.
fn check(load: &[Loaded]) {
    let (first, end) = (load[0], load[load.len() - 1]);
    println!("{} tensors, {end:?}", load.len() - 1);
    assert!(first.bytes < end.bytes / 2, "{first:?}");
    assert!(load.is_sorted_by_key(|loaded| (loaded.bytes, loaded.elapsed)));
    assert!(load.iter().all(|loaded| loaded.total == end.total));
    assert_eq!(load[load.len() - 2].bytes, end.bytes);
    // The last block's stream of text has layers that nobody needs.
    assert!(
        end.bytes <= end.total && end.bytes > end.total / 10 * 8,
        "{end:?}"
    );
}

#[test]
fn a_model_that_is_opened_says_how_far_it_is() {
    let fp8 = ModelFiles {
        fp8: Some(golden::path("checkpoint/fp8.safetensors")),
        ..tiny()
    };
    for files in [tiny(), fp8] {
        let (_pipeline, told) = open(Cpu, files.clone(), Residency::Whole);
        let reference = told.take();
        assert_eq!(reference.len(), 1, "one load");
        check(&reference[0]);
        let gpu = Cuda::new(Host::default(), Precision::default());
        let (_pipeline, told) = open(gpu, files, Residency::Whole);
        let found = told.take();
        let bytes = |loads: &[Vec<Loaded>]| -> Vec<u64> {
            loads.iter().flatten().map(|loaded| loaded.bytes).collect()
        };
        assert_eq!(bytes(&found), bytes(&reference));
    }
}

/// What a model reads of its files when it works, such as embeddings and what another timestep
/// changes, is no load.
#[test]
fn a_request_says_what_it_loads_and_nothing_else() {
    let references = [pipeline::picture(40, 60)];
    let run = |pipeline: &mut Pipeline<Cpu>| {
        let job = Job {
            noise: Noise::Seed(1),
            ..pipeline::job(&references, 2)
        };
        let mut watch = pipeline::counter(usize::MAX);
        pipeline.run(&job, &mut watch, &mut Untapped).unwrap();
    };
    for (residency, resident, each_time) in [
        (Residency::Whole, 1, 0),
        (Residency::Swapped, 1, 1),
        // The autoencoder for the references and for the result.
        (Residency::Parts, 0, 4),
    ] {
        let (mut pipeline, told) = open(Cpu, tiny(), residency);
        assert_eq!(told.take().len(), resident, "{residency:?}");
        for _ in 0..2 {
            run(&mut pipeline);
            let loads = told.take();
            assert_eq!(loads.len(), each_time, "{residency:?}");
            for load in &loads {
                check(load);
            }
        }
    }
}
