//! `tryon bench gpu`: whether a GPU computes what the CPU does, and how fast.

mod check;
mod speed;
mod whole;

use std::{path::PathBuf, sync::Arc, time::Instant};

use clap::{Args, ValueEnum};
use tryon_engine_qwen::{
    backend::cuda::{
        DeviceError,
        driver::{Gpu, Library, OpenError, Options, devices},
        measure::{HEAD, Row},
    },
    weights::RandomKind,
};

use crate::failure::{Failure, chain};

/// Which GPU, and what it is compared with.
#[derive(Debug, Args)]
pub(crate) struct GpuArgs {
    /// Its number
    #[arg(long, default_value_t = 0)]
    device: usize,
    /// A folder in which NVIDIA's libraries are looked for first; may be given several times
    #[arg(long, value_name = "DIR")]
    libraries: Vec<PathBuf>,
    /// Where compiled kernels and timed algorithms are kept
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// What products in bf16 reach at best, in TFLOP/s; in FP8 it is twice as much
    #[arg(long, default_value_t = 790.0)]
    peak: f64,
    /// What to do; all but `lose` if it is not said
    #[arg(long = "part", value_name = "PART", value_enum, value_delimiter = ',')]
    parts: Vec<Part>,
}

/// A part of what there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Every kernel, compared with the CPU
    Results,
    /// Memory that is not there
    Memory,
    /// Parts of the transformer, a whole step of it, the text encoder, the VAE
    Speed,
    /// The whole model with random weights in 16 bits, 60 GB of them
    Bf16,
    /// The same with a transformer in FP8
    Fp8,
    /// Has a kernel write where nothing is, and looks at what becomes of the device
    Lose,
}

impl Part {
    const ALL: [Self; 5] = [
        Self::Results,
        Self::Memory,
        Self::Speed,
        Self::Bf16,
        Self::Fp8,
    ];

    const fn title(self) -> &'static str {
        match self {
            Self::Results => "Results against the CPU",
            Self::Memory => "Memory",
            Self::Speed => "Speed",
            Self::Bf16 => "The whole model, bf16",
            Self::Fp8 => "The whole model, FP8",
            Self::Lose => "A lost device",
        }
    }
}

/// Prints everything, and at the end what of it failed: a result that is wrong, or the device. A part
/// that fails ends no other.
pub(crate) fn run(args: &GpuArgs) -> Result<(), Failure> {
    libraries(args);
    let gpu = Arc::new(open(args)?);
    let parts = if args.parts.is_empty() {
        &Part::ALL[..]
    } else {
        &args.parts
    };
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for part in parts {
        println!("\n## {}", part.title());
        if let Err(failure) = carry_out(*part, args, &gpu, &mut rows) {
            println!("failed: {}", failure.message());
            failures.push(failure);
        }
    }
    if !rows.is_empty() {
        println!("\n## All of it, in seconds\n{HEAD}");
        for row in &rows {
            println!("{row}");
        }
    }
    // The others were told of above.
    failures.into_iter().next().map_or(Ok(()), Err)
}

fn carry_out(
    part: Part,
    args: &GpuArgs,
    gpu: &Arc<Gpu>,
    rows: &mut Vec<Row>,
) -> Result<(), Failure> {
    match part {
        Part::Results => check::right(gpu),
        Part::Memory => check::full(gpu).map_err(|error| failed(&error)),
        Part::Speed => speed::speed(args, gpu).map_err(|error| failed(&error)),
        Part::Bf16 => whole::whole(args, gpu, RandomKind::Bf16, rows),
        Part::Fp8 => whole::whole(args, gpu, RandomKind::Fp8, rows),
        Part::Lose => check::lost(gpu),
    }
}

fn failed(error: &DeviceError) -> Failure {
    Failure::from_error("the GPU failed", error).hint("`nvidia-smi` shows who else uses it")
}

fn refused(error: &OpenError) -> Failure {
    Failure::from_error("the GPU cannot be used", error).hint(
        "`--libraries DIR` names a folder to look in; docs/performance.md says what is needed",
    )
}

fn libraries(args: &GpuArgs) {
    println!("## Libraries");
    for library in Library::ALL {
        match library.open(&args.libraries) {
            Ok(at) => println!("{}: {}", library.name(), at.display()),
            Err(error) => println!("{}", chain(library.name(), &error)),
        }
    }
}

fn open(args: &GpuArgs) -> Result<Gpu, Failure> {
    println!("\n## Devices");
    for listed in devices(&args.libraries).map_err(|error| refused(&error))? {
        let (major, minor) = listed.capability;
        let gib = listed.memory >> 30;
        println!(
            "{}: {}, {major}.{minor}, {gib} GiB",
            listed.ordinal, listed.name
        );
    }
    let options = Options {
        ordinal: args.device,
        libraries: args.libraries.clone(),
        cache: args.cache.clone(),
    };
    let start = Instant::now();
    let gpu = Gpu::open(&options).map_err(|error| refused(&error))?;
    println!("opened in {:.2} s", start.elapsed().as_secs_f64());
    let versions = gpu.versions();
    let versions = versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"));
    println!("versions: {}", versions.collect::<Vec<_>>().join(", "));
    Ok(gpu)
}
