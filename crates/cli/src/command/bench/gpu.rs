//! `tryon bench gpu`: whether a GPU computes what the CPU does, and how fast.

use std::{path::PathBuf, time::Instant};

use clap::Args;
use tryon_engine_qwen::backend::cuda::{
    Command, Device as _, DeviceError, Element, Kind, Operand,
    check::{Finding, check},
    driver::{Gpu, Library, OpenError, Options, devices},
    measure::{Case, Measured, Step, text_layer, vae_decoder},
};

use crate::failure::Failure;

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
    /// At the end, has a kernel write where nothing is, and looks at what becomes of the device
    #[arg(long)]
    lose: bool,
}

/// Prints everything. Fails if a result is wrong, or the device fails.
pub(crate) fn run(args: &GpuArgs) -> Result<(), Failure> {
    libraries(args);
    let gpu = open(args)?;
    right(&gpu)?;
    full(&gpu).map_err(|error| failed(&error))?;
    speed(args, &gpu).map_err(|error| failed(&error))?;
    if args.lose { lost(&gpu) } else { Ok(()) }
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
        let found = library.find(&args.libraries);
        match found.at {
            Some(at) => println!("{}: {}", library.name(), at.display()),
            None => println!("{}: not in {}", library.name(), found.places.join(", ")),
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
    Ok(gpu)
}

/// Every command against the CPU.
fn right(gpu: &Gpu) -> Result<(), Failure> {
    println!("\n## Results against the CPU");
    let findings = check(gpu).map_err(|error| {
        Failure::from_error("the comparison failed", &error).hint("the device's error says why")
    })?;
    let worst = |one: &&Finding, other: &&Finding| one.deviation.total_cmp(&other.deviation);
    if let Some(worst) = findings.iter().max_by(worst) {
        println!("{} compared; the worst: {}", findings.len(), told(worst));
    }
    let wrong: Vec<&Finding> = findings.iter().filter(|one| !one.is_right()).collect();
    for finding in &wrong {
        println!("wrong: {}", told(finding));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("{} results are wrong", wrong.len()))
        .hint("please report this with what was printed"))
}

fn told(finding: &Finding) -> String {
    let [rows, width] = finding.size;
    let (what, element, deviation) = (&finding.what, finding.element, finding.deviation);
    format!("{what}, {element:?}, {rows}x{width}: {deviation:.3} of what is allowed")
}

/// Memory that is not there is refused, and nothing else comes of it.
fn full(gpu: &Gpu) -> Result<(), DeviceError> {
    println!("\n## Memory");
    let memory = gpu.memory()?;
    let (free, total) = (memory.free >> 20, memory.total >> 20);
    println!("{free} of {total} MiB are free");
    let twice = usize::try_from(2 * memory.total).unwrap_or(usize::MAX);
    match gpu.allocate(twice) {
        Err(DeviceError::OutOfMemory { .. }) => println!("twice as much is refused"),
        Err(other) => return Err(other),
        Ok(at) => {
            gpu.free(at, twice);
            println!("twice as much is given, which is wrong");
        }
    }
    let at = gpu.allocate(1 << 20)?;
    gpu.free(at, 1 << 20);
    println!("and less is given after it");
    Ok(())
}

fn speed(args: &GpuArgs, gpu: &Gpu) -> Result<(), DeviceError> {
    for case in Case::ALL {
        for fp8 in [false, true] {
            if !fp8 || gpu.has_fp8() {
                step(args, gpu, case, fp8)?;
            }
        }
    }
    println!("\n## A layer of the text encoder, of 28");
    table(args.peak, &text_layer(gpu)?);
    println!("\n## Convolutions of the VAE's decoder, 1024x1024");
    table(args.peak, &vae_decoder(gpu)?);
    Ok(())
}

fn step(args: &GpuArgs, gpu: &Gpu, case: Case, fp8: bool) -> Result<(), DeviceError> {
    let precision = if fp8 { "FP8" } else { "bf16" };
    println!("\n## {}, {} tokens, {precision}", case.name, case.tokens());
    let step = Step::new(gpu, case, fp8)?;
    println!(
        "weights at {:.1} GB/s; a block's parts:",
        step.gb_per_second()
    );
    table(args.peak, &step.parts()?);
    let by = if step.is_fused() {
        "cuDNN"
    } else {
        "the own kernel"
    };
    println!("attention by {by}");
    let (whole, commands) = step.whole()?;
    // The second product of an MLP and the attention are bf16 in either.
    let limit = case.operations() / (args.peak * 1e12);
    println!(
        "one launch of {commands} commands: {:.1} ms a step, {:.0} TFLOP/s, {:.0} % of bf16's limit",
        1e3 * whole.seconds,
        whole.teraflops(),
        100.0 * limit / whole.seconds,
    );
    Ok(())
}

fn table(peak: f64, rows: &[Measured]) {
    println!("| what | ms | TFLOP/s | % of {peak:.0} | GB/s |");
    println!("|---|---|---|---|---|");
    for row in rows {
        println!(
            "| {} | {:.3} | {:.0} | {:.0} | {:.0} |",
            row.what,
            1e3 * row.seconds,
            row.teraflops(),
            100.0 * row.teraflops() / peak,
            row.gb_per_second(),
        );
    }
}

/// Has the device fail for good, and looks whether that is known.
fn lost(gpu: &Gpu) -> Result<(), Failure> {
    println!("\n## A lost device");
    // No allocation of the driver's is there.
    let nowhere = Operand {
        at: 16,
        element: Element::F32,
        rows: 1,
        width: 8,
        stride: 8,
    };
    let wrong = Command {
        kind: Kind::Add,
        reads: vec![nowhere, nowhere],
        writes: vec![nowhere],
    };
    let sent = gpu.run(std::slice::from_ref(&wrong));
    let told = sent.and_then(|()| gpu.read(16, &mut [0; 4]));
    let is_sticky = matches!(told, Err(DeviceError::Failed { sticky: true, .. }));
    if let Err(error) = &told {
        println!("{error}");
    }
    if is_sticky && gpu.is_lost() && gpu.allocate(1 << 20).is_err() {
        println!("the device is known to be lost, and so is every later call");
        return Ok(());
    }
    Err(Failure::new("a device that is lost is not known to be").hint("please report this"))
}
