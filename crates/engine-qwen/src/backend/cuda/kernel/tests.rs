//! Each kernel against the reference, on this machine's CPU.

use std::path::Path;

use float8::F8E4M3;
use image::RgbImage;

use super::{
    super::{
        Cuda, Precision,
        check::check,
        command::{Command, Element, Kind, Operand, Scales},
        device::{Device, DeviceError, DeviceMemory},
        host::Host,
    },
    emulation, finish, launch, multiply,
};
use crate::{
    backend::Activation,
    error::RunError,
    golden::Golden,
    image::Areas,
    pipeline::{Job, ModelFiles, Noise, Pipeline, Residency, Watch},
    schedule::{Rounding, Schedule},
    tap::Untapped,
};

/// A device that carries kernels out as they are, and leaves to the host what a library would do.
struct Emulated {
    library: Host,
}

impl Emulated {
    /// A library's product, or a kernel's of FP8, and a kernel for what is left to do.
    fn multiply(&self, command: &Command) -> Result<(), DeviceError> {
        let Kind::Matmul {
            activation,
            bias,
            scales,
        } = command.kind
        else {
            panic!("BUG: not a product");
        };
        let (x, weight, y) = (&command.reads[0], &command.reads[1], &command.writes[0]);
        let bare = Command {
            kind: Kind::Matmul {
                activation: Activation::None,
                bias: false,
                scales: Scales::None,
            },
            reads: command.reads[..2].to_vec(),
            writes: command.writes.clone(),
        };
        if x.element == Element::F8 {
            emulation::run(&multiply(x, weight, y));
        } else {
            self.on_host(&bare)?;
        }
        let mut rest = command.reads[2..].iter().copied();
        let bias = bias.then(|| rest.next()).flatten();
        let outputs = (scales != Scales::None).then(|| rest.next()).flatten();
        let rows = (scales == Scales::Both).then(|| rest.next()).flatten();
        emulation::run(&finish(y, [rows, outputs], bias, activation));
        Ok(())
    }

    /// Copies operands to the host's memory, and results back.
    fn on_host(&self, command: &Command) -> Result<(), DeviceError> {
        let host = &self.library;
        let mut moved = command.clone();
        for operand in moved.reads.iter_mut().chain(&mut moved.writes) {
            let at = host.allocate(operand.bytes())?;
            let mut bytes = vec![0; operand.bytes()];
            self.read(operand.at, &mut bytes)?;
            host.write(at, &bytes)?;
            operand.at = at;
        }
        host.run(std::slice::from_ref(&moved))?;
        for (from, to) in moved.writes.iter().zip(&command.writes) {
            let mut bytes = vec![0; from.bytes()];
            host.read(from.at, &mut bytes)?;
            self.write(to.at, &bytes)?;
        }
        for operand in moved.reads.iter().chain(&moved.writes) {
            host.free(operand.at, operand.bytes());
        }
        Ok(())
    }
}

impl Device for Emulated {
    type Graph = Vec<Command>;

    fn memory(&self) -> Result<DeviceMemory, DeviceError> {
        self.library.memory()
    }

    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError> {
        Ok(emulation::allocate(bytes))
    }

    fn free(&self, at: u64, bytes: usize) {
        emulation::free(at, bytes);
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        emulation::write(at, bytes);
        Ok(())
    }

    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), DeviceError> {
        emulation::read(at, bytes);
        Ok(())
    }

    fn run(&self, commands: &[Command]) -> Result<(), DeviceError> {
        for command in commands {
            match command.kind {
                Kind::Matmul { .. } => self.multiply(command)?,
                _ => {
                    if let Some(launch) = launch(command) {
                        emulation::run(&launch);
                    }
                }
            }
        }
        Ok(())
    }

    fn capture(&self, commands: &[Command]) -> Result<Self::Graph, DeviceError> {
        Ok(commands.to_vec())
    }

    fn replay(&self, graph: &Self::Graph) -> Result<(), DeviceError> {
        self.run(graph)
    }

    fn has_fp8(&self) -> bool {
        true
    }
}

#[test]
fn every_kernel_is_the_reference() {
    let device = Emulated {
        library: Host::default(),
    };
    let findings = check(&device).unwrap();
    let wrong: Vec<_> = findings.iter().filter(|one| !one.is_right()).collect();
    assert!(
        wrong.is_empty(),
        "{} of {}: {wrong:#?}",
        wrong.len(),
        findings.len()
    );
}

/// Every number of E4M3 times one, in a size that no library takes.
#[test]
fn products_of_any_size_are_multiplied() {
    let codes: Vec<u8> = (0..=u8::MAX).filter(|code| code & 0x7f != 0x7f).collect();
    let width = codes.len();
    assert_ne!(width % 16, 0);
    let mut one_each = vec![0; width * width];
    for i in 0..width {
        one_each[i * width + i] = F8E4M3::from_f32(1.0).to_bits();
    }
    let x: Vec<u8> = codes.iter().chain(codes.iter().rev()).copied().collect();
    let placed = |element: Element, rows, bytes: &[u8]| {
        let at = emulation::allocate(bytes.len());
        emulation::write(at, bytes);
        Operand {
            at,
            element,
            rows,
            width,
            stride: width,
        }
    };
    let operands = [
        placed(Element::F8, 2, &x),
        placed(Element::F8, width, &one_each),
        placed(Element::F32, 2, &vec![0xff; 4 * x.len()]),
    ];
    emulation::run(&multiply(&operands[0], &operands[1], &operands[2]));
    let mut bytes = vec![0; 4 * x.len()];
    emulation::read(operands[2].at, &mut bytes);
    let (found, _) = bytes.as_chunks::<4>();
    let found: Vec<f32> = found
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    let expected = x.iter().map(|code| F8E4M3::from_bits(*code).to_f32());
    assert_eq!(found, expected.collect::<Vec<_>>());
    for operand in operands {
        emulation::free(operand.at, operand.bytes());
    }
}

struct Unwatched;

impl Watch for Unwatched {
    fn advance(&mut self, _: usize) -> Result<(), RunError> {
        Ok(())
    }
}

/// The tiny model's picture of the job of a golden file, untapped: everything is fused that can be.
fn picture<D: Device>(device: D, storage: Element) -> RgbImage {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let golden = Golden::open(&goldens.join("edit2511_4step.safetensors")).unwrap();
    let given = golden.find("img.0.raw_u8").unwrap();
    let bytes = given.values.iter().map(|value| *value as u8).collect();
    let (height, width) = (given.shape[0] as u32, given.shape[1] as u32);
    let references = [RgbImage::from_raw(width, height, bytes).unwrap()];
    let number = |key: &str| golden.metadata(key).unwrap().trim().parse().unwrap();
    let job = Job {
        prompt: golden.metadata("prompt").unwrap(),
        negative_prompt: None,
        references: &references,
        width: number("width"),
        height: number("height"),
        steps: 2,
        true_cfg_scale: 1.0,
        schedule: Schedule::Base,
        noise: Noise::Seed(1),
        areas: Areas {
            condition: number("condition_area"),
            vae: number("vae_area"),
        },
        rounding: Rounding::F32,
        drop: golden.metadata("drop_idx").unwrap().trim().parse().ok(),
    };
    let precision = Precision {
        storage,
        fp8_narrowing: false,
    };
    let files = ModelFiles::of(goldens.join("checkpoint/tiny-2511"));
    let cuda = Cuda::new(device, precision);
    let mut pipeline = Pipeline::open(cuda, files, Residency::Whole).unwrap();
    pipeline.run(&job, &mut Unwatched, &mut Untapped).unwrap()
}

/// Whole stages as they are planned, on the kernels and on the host, which is held to the golden
/// tensors: operands lie where a plan puts them.
#[test]
fn a_picture_is_made_by_the_kernels() {
    for (storage, allowed) in [(Element::F32, 0.01), (Element::Bf16, 2.0)] {
        let device = Emulated {
            library: Host::default(),
        };
        let (found, expected) = (picture(device, storage), picture(Host::default(), storage));
        let pairs = found.as_raw().iter().zip(expected.as_raw());
        let sum: f32 = pairs.map(|(a, b)| f32::from(a.abs_diff(*b))).sum();
        let mean = sum / expected.as_raw().len() as f32;
        assert!(mean <= allowed, "{storage:?}: {mean} of 255 apart");
    }
}
