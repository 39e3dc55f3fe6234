//! Whether a GPU does what it should.

use tryon_engine_qwen::backend::cuda::{
    Command, Device as _, DeviceError, Element, Kind, Operand,
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
    format!("{what}, {element:?}, {rows}x{width}: {deviation:.3} of what is allowed")
}

/// Memory that is not there is refused, and nothing else comes of it.
pub(super) fn full(gpu: &Gpu) -> Result<(), DeviceError> {
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

/// Has the device fail for good, and looks whether that is known.
pub(super) fn lost(gpu: &Gpu) -> Result<(), Failure> {
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
