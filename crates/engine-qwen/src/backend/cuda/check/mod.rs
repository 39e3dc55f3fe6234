//! Every kind of command, carried out by a device and by the reference: in both types of storage
//! and in sizes that fill neither vectors nor tiles.

mod attention;
mod head;
mod matrix;
mod picture;
mod product;
mod row;

use matrix::{Form, Matrix, Tensor};

use super::{
    command::{Command, Element, Kind},
    device::{Device, DeviceError},
};
use crate::{
    backend::{Backend as _, Cpu},
    error::ComputeError,
};

/// What was compared, and how far it was off.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The command, and what is special about it.
    pub what: String,
    /// The type of storage.
    pub element: Element,
    /// Rows and width of the result.
    pub size: [usize; 2],
    /// The largest deviation as a share of what rounding on the way explains; not a number where
    /// a result is none.
    pub deviation: f32,
    /// What the device said instead of computing it.
    pub refused: Option<String>,
}

impl Finding {
    /// Whether it was computed and rounding explains it.
    pub fn is_right(&self) -> bool {
        self.refused.is_none() && self.deviation <= 1.0
    }
}

/// All commands on this device. One that it refuses, or has no memory for, is a finding.
///
/// # Errors
///
/// Those after which the device can do no more, and those of what is done around a command: taking
/// memory for its operands, writing and reading them.
pub fn check(device: &impl Device) -> Result<Vec<Finding>, ComputeError> {
    let mut checks = Checks::new(device);
    row::check(&mut checks)?;
    head::check(&mut checks)?;
    attention::check(&mut checks)?;
    picture::check(&mut checks)?;
    product::check(&mut checks)?;
    Ok(checks.findings)
}

/// The larger of two; not a number if one is none.
fn larger(one: f32, other: f32) -> f32 {
    if other > one || other.is_nan() {
        other
    } else {
        one
    }
}

/// What was found so far.
struct Checks<'a, D: Device> {
    device: &'a D,
    findings: Vec<Finding>,
    /// Of a command whose result was not looked at yet.
    refused: Option<String>,
}

impl<'a, D: Device> Checks<'a, D> {
    fn new(device: &'a D) -> Self {
        Self {
            device,
            findings: Vec::new(),
            refused: None,
        }
    }

    fn random(&self, form: Form, seed: u64) -> Result<Matrix<'a, D>, DeviceError> {
        Matrix::random(self.device, form, seed)
    }

    fn blank(&self, form: Form) -> Result<Matrix<'a, D>, DeviceError> {
        Matrix::blank(self.device, form)
    }

    /// What an error that the device outlives is of, the next finding says.
    fn run(
        &mut self,
        kind: Kind,
        reads: &[&Matrix<'_, D>],
        writes: &[&Matrix<'_, D>],
    ) -> Result<(), DeviceError> {
        let operands = |all: &[&Matrix<'_, D>]| all.iter().map(|one| one.operand).collect();
        let ran = self.device.run(&[Command {
            kind,
            reads: operands(reads),
            writes: operands(writes),
        }]);
        match ran {
            Err(error) if !error.is_sticky() => {
                self.refused = Some(error.to_string());
                Ok(())
            }
            ran => ran,
        }
    }

    /// As close as so many roundings of what is stored allow; of 32 bits, as many sums in another
    /// order.
    fn expect(
        &mut self,
        what: &str,
        found: &Matrix<'_, D>,
        expected: &Tensor,
        roundings: f32,
    ) -> Result<(), ComputeError> {
        let (found, operand) = (found.read()?, found.operand);
        let expected = Cpu.download(expected)?;
        let step = match operand.element {
            Element::Bf16 => 1.0 / 256.0,
            _ => 1e-6,
        };
        let deviations = found.iter().zip(&expected).map(|(found, expected)| {
            (found - expected).abs() / (step * roundings * expected.abs().max(0.5))
        });
        let deviation = if found.len() == expected.len() {
            deviations.fold(0.0, larger)
        } else {
            f32::NAN
        };
        self.found(
            what,
            operand.element,
            [operand.rows, operand.width],
            deviation,
        );
        Ok(())
    }

    /// Every number as expected.
    fn expect_equal<T: PartialEq>(
        &mut self,
        what: &str,
        (element, size): (Element, [usize; 2]),
        found: &[T],
        expected: &[T],
    ) {
        let deviation = if found == expected { 0.0 } else { f32::NAN };
        self.found(what, element, size, deviation);
    }

    /// As close as the codes of FP8 are: half of the distance between two of them, which is an
    /// eighth of a number, and 2⁻⁹ of the scale near zero.
    fn expect_codes(
        &mut self,
        what: &str,
        element: Element,
        [codes, scales]: [&Matrix<'_, D>; 2],
        expected: &Tensor,
    ) -> Result<(), ComputeError> {
        let operand = codes.operand;
        let (codes, scales) = (codes.read()?, scales.read()?);
        let expected = Cpu.download(expected)?;
        let deviations = codes.iter().zip(&expected).enumerate();
        let deviations = deviations.map(|(i, (code, expected))| {
            let scale = scales[i / operand.width];
            let allowed = expected.abs() / 15.0 + scale / 1000.0;
            (code * scale - expected).abs() / allowed
        });
        let deviation = deviations.fold(0.0, larger);
        self.found(what, element, [operand.rows, operand.width], deviation);
        Ok(())
    }

    fn found(&mut self, what: &str, element: Element, size: [usize; 2], deviation: f32) {
        let refused = self.refused.take();
        self.findings.push(Finding {
            what: what.to_owned(),
            element,
            size,
            // Of what lay there before.
            deviation: if refused.is_some() {
                f32::NAN
            } else {
                deviation
            },
            refused,
        });
    }

    /// Whatever a command on rows is to be right in.
    fn everywhere(
        &mut self,
        mut check: impl FnMut(&mut Self, Element, [usize; 2]) -> Result<(), ComputeError>,
    ) -> Result<(), ComputeError> {
        for element in [Element::F32, Element::Bf16] {
            // A part of a vector; one; less than a warp; a bit more than one; several.
            for size in [[3, 5], [5, 8], [2, 100], [33, 96], [3, 1030], [2, 3072]] {
                check(self, element, size)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::host::{
            Host,
            refusing::{Call, Refusing},
        },
        *,
    };

    #[test]
    fn a_command_that_is_refused_is_a_finding_among_others() {
        let findings = check(&Refusing::new(Call::Run(Kind::Swiglu))).unwrap();
        assert!(findings.len() > 300, "{}", findings.len());
        for finding in &findings {
            assert_eq!(finding.is_right(), finding.what != "swiglu", "{finding:?}");
            let says = |text: &String| text.contains("CUDA_ERROR_INVALID_VALUE");
            assert_eq!(
                finding.refused.as_ref().is_some_and(says),
                !finding.is_right()
            );
        }
        let lost = Refusing::sticky(Call::Run(Kind::Swiglu));
        assert!(check(&lost).is_err(), "nothing comes after it");
    }

    /// What stands for a GPU in other tests is right itself.
    #[test]
    fn the_host_is_right() {
        let findings = check(&Host::default()).unwrap();
        let wrong: Vec<_> = findings.iter().filter(|one| !one.is_right()).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn what_is_no_number_is_not_right() {
        let finding = |deviation| Finding {
            what: String::new(),
            element: Element::F32,
            size: [1, 1],
            deviation,
            refused: None,
        };
        assert!(finding(1.0).is_right());
        assert!(!finding(1.1).is_right() && !finding(f32::NAN).is_right());
    }
}
