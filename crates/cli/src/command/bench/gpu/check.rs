//! Whether a GPU does what it should.

use tryon_engine_qwen::backend::cuda::{
    DeviceError,
    check::{Finding, check},
    driver::Gpu,
};

use crate::failure::Failure;

/// Every command against the CPU.
pub(super) fn right(gpu: &Gpu) -> Result<(), Failure> {
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
    let outcome = match &finding.refused {
        None => format!("{deviation:.3} of what is allowed"),
        Some(error) => format!("refused: {error}"),
    };
    format!("{what}, {element:?}, {rows}x{width}: {outcome}")
}

/// Memory that is not there is refused, and nothing else comes of it.
pub(super) fn full(gpu: &Gpu) -> Result<(), DeviceError> {
    let memory = gpu.memory()?;
    let (free, total) = (memory.free >> 20, memory.total >> 20);
    println!("{free} of {total} MiB are free");
    if gpu.overfill()? {
        println!("twice as much is refused");
    } else {
        println!("twice as much is given, which is wrong");
    }
    println!("and less is given after it");
    Ok(())
}

/// Has the device fail for good, and looks whether that is known.
pub(super) fn lost(gpu: &Gpu) -> Result<(), Failure> {
    let told = gpu.lose();
    if let Some(error) = &told {
        println!("{error}");
    }
    let is_sticky = matches!(told, Some(DeviceError::Failed { sticky: true, .. }));
    if is_sticky && gpu.is_lost() && gpu.memory().is_err() {
        println!("the device is known to be lost, and so is every later call");
        return Ok(());
    }
    Err(Failure::new("a device that is lost is not known to be").hint("please report this"))
}
