//! `tryon verify-model`: whether an installed model computes what its reference does.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;
use tryon_engine_qwen::{
    backend::{
        Backend, Cpu,
        cuda::{
            Cuda, Element, Precision,
            driver::{Gpu, Options},
        },
    },
    golden::{Comparison, Gate, Golden, prefix, replay},
    pipeline::{Adapter, ModelFiles, Pipeline, Residency},
    weights::Fp8,
};

use crate::{failure::Failure, loading};

/// A model, and what its reference computed.
#[derive(Debug, Args)]
pub(crate) struct VerifyModelArgs {
    /// The folder of the checkpoint, in the layout of diffusers
    #[arg(long, value_name = "DIR")]
    checkpoint: PathBuf,
    /// The golden file: tensors that the reference computed, and from what
    #[arg(long, value_name = "FILE")]
    goldens: PathBuf,
    /// An adapter to merge
    #[arg(long, value_name = "FILE")]
    lora: Option<PathBuf>,
    /// A transformer in FP8, instead of the checkpoint's own
    #[arg(long, value_name = "FILE")]
    fp8: Option<PathBuf>,
    /// Leave activations as they are when FP8 weights are multiplied with
    #[arg(long, requires = "fp8")]
    weight_only: bool,
    /// The transformer's configuration, instead of the checkpoint's own
    #[arg(long, value_name = "FILE")]
    transformer_config: Option<PathBuf>,
    /// What to compute on
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// Where a GPU's compiled kernels and timed algorithms are kept
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Print JSON, a line for each tensor
    #[arg(long)]
    json: bool,
}

/// What to compute on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Device {
    /// The CPU
    Cpu,
    /// An NVIDIA GPU
    Cuda,
}

/// Replays the golden file. Fails unless every tensor is within its gate.
pub(crate) fn run(args: &VerifyModelArgs) -> Result<(), Failure> {
    match args.device {
        Device::Cpu => verify(args, Cpu, |gate, _| gate),
        Device::Cuda => verify(args, gpu(args)?, Gate::on_gpu),
    }
}

/// The first GPU, computing in 32 bits and every product in FP8 that is one in the reference.
fn gpu(args: &VerifyModelArgs) -> Result<Cuda<Gpu>, Failure> {
    let options = Options {
        cache: args.cache.clone(),
        ..Options::default()
    };
    let gpu = Gpu::open(&options).map_err(|error| {
        Failure::from_error("the GPU cannot be used", &error)
            .hint("`--device cpu` computes the same, slowly; `tryon doctor` lists what there is")
    })?;
    let precision = Precision {
        storage: Element::F32,
        fp8_narrowing: true,
    };
    Ok(Cuda::new(gpu, precision))
}

/// `gate` makes the gate of the tensor of this name the backend's own.
fn verify<B: Backend>(
    args: &VerifyModelArgs,
    backend: B,
    gate: fn(Gate, &str) -> Gate,
) -> Result<(), Failure> {
    let (golden, files) = (open(args)?, files(args));
    let form = files.fp8.as_ref().map(|_| files.fp8_mode);
    let pipeline = Pipeline::open_followed(backend, files, Residency::Auto, loading::shown());
    let mut pipeline = pipeline.map_err(|error| {
        Failure::from_error("the model cannot be loaded", &error)
            .hint("`--checkpoint` names a folder in the layout of diffusers")
    })?;
    let mut compared = replay(&golden, &mut pipeline, prefix(form)).map_err(|error| {
        Failure::from_error("the golden file cannot be replayed", &error)
            .hint("`--lora`, `--fp8` and `--transformer-config` choose the form of the model")
    })?;
    for comparison in &mut compared {
        comparison.gate = gate(comparison.gate, &comparison.name);
        println!(
            "{}",
            if args.json {
                as_json(comparison)
            } else {
                as_text(comparison)
            }
        );
    }
    let beyond = compared
        .iter()
        .filter(|comparison| !comparison.holds())
        .count();
    if beyond == 0 {
        return Ok(());
    }
    let all = compared.len();
    Err(
        Failure::new(format!("{beyond} of {all} tensors are beyond their gates"))
            .hint("the first of them in the order of computation is where it goes wrong"),
    )
}

fn open(args: &VerifyModelArgs) -> Result<Golden, Failure> {
    Golden::open(&args.goldens).map_err(|error| {
        Failure::from_error("the golden file cannot be used", &error)
            .hint("`--goldens` names a safetensors file with metadata")
    })
}

fn files(args: &VerifyModelArgs) -> ModelFiles {
    let adapter = args.lora.clone().map(|path| Adapter {
        path,
        strength: 1.0,
    });
    ModelFiles {
        fp8: args.fp8.clone(),
        fp8_mode: if args.weight_only {
            Fp8::WeightOnly
        } else {
            Fp8::Dynamic
        },
        adapter,
        transformer_config: args.transformer_config.clone(),
        ..ModelFiles::of(&args.checkpoint)
    }
}

fn as_text(comparison: &Comparison) -> String {
    let verdict = if comparison.holds() {
        "ok    "
    } else {
        "BEYOND"
    };
    format!("{verdict} {comparison}")
}

fn as_json(comparison: &Comparison) -> String {
    let (kind, limit) = match comparison.gate {
        Gate::Exact => ("equal", 0.0),
        Gate::MaxAbs(limit) => ("max_abs", limit),
        Gate::RelativeL2(limit) => ("relative_l2", limit),
        Gate::OneLevel(limit) => ("one_level", limit),
    };
    let found = comparison.difference.as_ref();
    json!({
        "name": comparison.name,
        "relative_l2": found.map(|found| found.relative_l2),
        "max_abs": found.map(|found| found.max_abs),
        "gate": {"kind": kind, "limit": limit},
        "holds": comparison.holds(),
    })
    .to_string()
}
