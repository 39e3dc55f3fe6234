//! Each kernel against the reference, on this machine's CPU.

use super::{
    super::{
        check::check,
        command::{Command, Kind, Scales},
        device::{Device, DeviceError, DeviceMemory},
        host::Host,
    },
    emulation, finish, launch,
};
use crate::backend::Activation;

/// A device that carries kernels out as they are, and leaves to the host what a library would do.
struct Emulated {
    library: Host,
}

impl Emulated {
    /// A library's product, and a kernel for what is left to do.
    fn multiply(&self, command: &Command) -> Result<(), DeviceError> {
        let Kind::Matmul {
            activation,
            bias,
            scales,
        } = command.kind
        else {
            panic!("BUG: not a product");
        };
        let bare = Command {
            kind: Kind::Matmul {
                activation: Activation::None,
                bias: false,
                scales: Scales::None,
            },
            reads: command.reads[..2].to_vec(),
            writes: command.writes.clone(),
        };
        self.on_host(&bare)?;
        let mut rest = command.reads[2..].iter().copied();
        let bias = bias.then(|| rest.next()).flatten();
        let outputs = (scales != Scales::None).then(|| rest.next()).flatten();
        let rows = (scales == Scales::Both).then(|| rest.next()).flatten();
        emulation::run(&finish(
            &command.writes[0],
            [rows, outputs],
            bias,
            activation,
        ));
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

    fn name(&self) -> String {
        "emulation".to_owned()
    }

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
