//! How fast a GPU is at the whole model.

use std::{error::Error, path::Path, sync::Arc};

use tryon_engine_qwen::{
    backend::cuda::{
        driver::Gpu,
        measure::{Case, HEAD, Row, Whole, write_published},
    },
    weights::{Loaded, RandomKind},
};

use super::GpuArgs;
use crate::failure::Failure;

/// Makes the picture of each of the cases with random weights, and prints how long that took.
pub(super) fn whole(
    args: &GpuArgs,
    gpu: &Arc<Gpu>,
    kind: RandomKind,
    rows: &mut Vec<Row>,
) -> Result<(), Failure> {
    if kind == RandomKind::Fp8 && !gpu.has_fp8() {
        println!("this GPU does not multiply in FP8");
        return Ok(());
    }
    let folder = tempfile::tempdir().map_err(|error| unmade(&error))?;
    write_published(folder.path()).map_err(|error| unmade(&error))?;
    let mut whole = load(gpu, folder.path(), kind)?;
    println!("{HEAD}");
    for case in Case::ALL {
        let measured = whole.measure(&case, args.peak * 1e12);
        for row in measured.map_err(|error| unmade(&error))? {
            println!("{row}");
            rows.push(row);
        }
    }
    Ok(())
}

fn load(gpu: &Arc<Gpu>, folder: &Path, kind: RandomKind) -> Result<Whole<Gpu>, Failure> {
    let whole = Whole::load(Arc::clone(gpu), folder, kind).map_err(|error| unmade(&error))?;
    let (took, bytes) = whole.loaded();
    let (seconds, gib) = (took.as_secs_f64(), bytes >> 30);
    let loaded = Loaded {
        bytes,
        total: bytes,
        elapsed: took,
    };
    let rate = loaded.gb_per_second();
    println!("{gib} GiB of random weights in {seconds:.1} s, {rate:.1} GB/s");
    Ok(whole)
}

fn unmade(error: &dyn Error) -> Failure {
    Failure::from_error("the model cannot be measured", error)
        .hint("`nvidia-smi` shows who else uses the GPU; 80 GB of its memory are enough")
}
