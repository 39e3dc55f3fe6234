//! How fast a GPU is at parts of the model.

use tryon_engine_qwen::backend::cuda::{
    DeviceError,
    driver::Gpu,
    measure::{Case, Measured, Step, text_layer, vae_decoder},
};

use super::GpuArgs;

/// Parts of a step and a whole one for each of the cases, and of what comes before and after it.
pub(super) fn speed(args: &GpuArgs, gpu: &Gpu) -> Result<(), DeviceError> {
    for case in Case::ALL {
        for fp8 in [false, true] {
            if !fp8 || gpu.has_fp8() {
                step(args, gpu, case, fp8)?;
            }
        }
    }
    println!("\n### A layer of the text encoder, of 28");
    table(args.peak, &text_layer(gpu)?);
    println!("\n### Convolutions of the VAE's decoder, 1024x1024");
    table(args.peak, &vae_decoder(gpu)?);
    Ok(())
}

fn step(args: &GpuArgs, gpu: &Gpu, case: Case, fp8: bool) -> Result<(), DeviceError> {
    let precision = if fp8 { "FP8" } else { "bf16" };
    println!("\n### {}, {} tokens, {precision}", case.name, case.tokens());
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
