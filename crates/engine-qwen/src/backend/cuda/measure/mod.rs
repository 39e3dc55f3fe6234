//! How fast a GPU is at what the models do, with random numbers of their sizes.
//!
//! Everything is told to the device as a plan would tell it, without a checkpoint: none of the
//! published ones is needed to know how fast they would be.
//!
//! The whole model makes pictures too, with random weights in the place of a checkpoint's.

mod case;
mod meter;
mod model;
mod published;
mod stage;
mod step;
mod table;
mod whole;

use super::{Command, Device as _, DeviceError, Element, Operand, driver::Gpu, linear::narrow};

pub use self::{
    case::Case,
    published::write_published,
    stage::{text_layer, vae_decoder},
    step::Step,
    table::{HEAD, Row, Timed},
    whole::Whole,
};

/// How long something took, and what there was to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// What.
    pub what: String,
    /// Seconds.
    pub seconds: f64,
    /// Operations on numbers, a multiplication and an addition being two.
    pub operations: f64,
    /// Bytes that have to be read and written at least.
    pub bytes: f64,
}

impl Measured {
    /// 10¹² operations a second.
    pub fn teraflops(&self) -> f64 {
        self.operations / self.seconds / 1e12
    }

    /// 10⁹ bytes a second.
    pub fn gb_per_second(&self) -> f64 {
        self.bytes / self.seconds / 1e9
    }
}

/// How often something is done that is timed.
const TIMES: usize = 10;

/// Memory of a device that is given back together.
struct Memory<'a> {
    device: &'a Gpu,
    taken: Vec<(u64, usize)>,
    /// Random numbers of -1/32 to 1/32, which no sum makes large, as bf16.
    numbers: Vec<u8>,
}

/// Bytes of random numbers, again and again where more are needed.
const NUMBERS: usize = 32 << 20;

impl<'a> Memory<'a> {
    fn new(device: &'a Gpu) -> Self {
        let mut state = 1_u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 268_435_456.0 - 0.031_25
        };
        let numbers: Vec<f32> = (0..NUMBERS / 2).map(next).collect();
        Self {
            device,
            taken: Vec::new(),
            numbers: narrow(&numbers, Element::Bf16),
        }
    }

    /// Not written.
    fn blank(
        &mut self,
        [rows, width]: [usize; 2],
        element: Element,
    ) -> Result<Operand, DeviceError> {
        let operand = Operand {
            at: 0,
            element,
            rows,
            width,
            stride: width,
        };
        let at = self.device.allocate(operand.bytes())?;
        self.taken.push((at, operand.bytes()));
        Ok(Operand { at, ..operand })
    }

    fn random(&mut self, size: [usize; 2], element: Element) -> Result<Operand, DeviceError> {
        let operand = self.blank(size, element)?;
        match element {
            Element::F32 => {
                let ones = narrow(&vec![1.0; size[0] * size[1]], Element::F32);
                self.device.write(operand.at, &ones)?;
            }
            // Of FP8, each byte of these is a number too, but for two that are made others.
            Element::Bf16 | Element::F8 => self.fill(operand)?,
            Element::U32 | Element::U8 => panic!("BUG: {element:?} is not random"),
        }
        Ok(operand)
    }

    fn fill(&self, operand: Operand) -> Result<(), DeviceError> {
        let quiet: Vec<u8>;
        let numbers = if operand.element == Element::F8 {
            quiet = self.numbers.iter().map(|byte| byte & 0xbf).collect();
            &quiet
        } else {
            &self.numbers
        };
        for from in (0..operand.bytes()).step_by(NUMBERS) {
            let count = (operand.bytes() - from).min(NUMBERS);
            self.device
                .write(operand.at + from as u64, &numbers[..count])?;
        }
        Ok(())
    }

    /// One command, several times.
    fn measure(&self, what: &str, work: &Work) -> Result<Measured, DeviceError> {
        let commands = vec![work.command.clone(); TIMES];
        Ok(Measured {
            what: what.to_owned(),
            seconds: self.device.time(&commands)? / TIMES as f64,
            operations: work.operations,
            bytes: work.bytes(),
        })
    }
}

impl Drop for Memory<'_> {
    fn drop(&mut self) {
        for (at, bytes) in &self.taken {
            self.device.free(*at, *bytes);
        }
    }
}

/// A command and what there is to do.
struct Work {
    command: Command,
    operations: f64,
}

impl Work {
    fn new(command: Command, operations: f64) -> Self {
        Self {
            command,
            operations,
        }
    }

    fn bytes(&self) -> f64 {
        let operands = self.command.reads.iter().chain(&self.command.writes);
        operands
            .map(|operand| (operand.rows * operand.width * operand.element.size()) as f64)
            .sum()
    }
}

/// Sums up what was measured of parts.
fn total(what: String, parts: &[Measured]) -> Measured {
    let sum = |of: fn(&Measured) -> f64| parts.iter().map(of).sum();
    Measured {
        what,
        seconds: sum(|part| part.seconds),
        operations: sum(|part| part.operations),
        bytes: sum(|part| part.bytes),
    }
}
