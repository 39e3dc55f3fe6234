//! A device that does not do everything.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Command, Device, DeviceError, DeviceMemory, Host, Kind};

/// What is refused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) enum Call {
    /// Carrying out a command of this kind.
    Run(Kind),
    /// Capturing anything.
    Capture,
}

/// A [`Host`] that refuses one call.
pub(in super::super) struct Refusing {
    host: Host,
    call: Call,
    sticky: bool,
    allowed: AtomicBool,
    refusals: AtomicU64,
}

impl Refusing {
    /// Refuses it, and does the rest.
    pub(in super::super) fn new(call: Call) -> Self {
        Self {
            host: Host::default(),
            call,
            sticky: false,
            allowed: AtomicBool::new(false),
            refusals: AtomicU64::new(0),
        }
    }

    /// The same with an error after which a device can do no more.
    pub(in super::super) fn sticky(call: Call) -> Self {
        Self {
            sticky: true,
            ..Self::new(call)
        }
    }

    /// Whether it does it all the same from now on.
    pub(in super::super) fn allow(&self, allowed: bool) {
        self.allowed.store(allowed, Ordering::Relaxed);
    }

    /// How often it refused.
    pub(in super::super) fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    fn ask(&self, call: Call) -> Result<(), DeviceError> {
        if call != self.call || self.allowed.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.refusals.fetch_add(1, Ordering::Relaxed);
        Err(DeviceError::Failed {
            call: "cuLaunchKernel",
            code: 1,
            name: "CUDA_ERROR_INVALID_VALUE".to_owned(),
            sticky: self.sticky,
        })
    }
}

impl Device for Refusing {
    type Graph = Vec<Command>;

    fn memory(&self) -> Result<DeviceMemory, DeviceError> {
        Device::memory(&self.host)
    }

    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError> {
        self.host.allocate(bytes)
    }

    fn free(&self, at: u64, bytes: usize) {
        self.host.free(at, bytes);
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        self.host.write(at, bytes)
    }

    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), DeviceError> {
        self.host.read(at, bytes)
    }

    fn run(&self, commands: &[Command]) -> Result<(), DeviceError> {
        let mut asked = commands.iter().map(|command| Call::Run(command.kind));
        asked.try_for_each(|call| self.ask(call))?;
        self.host.run(commands)
    }

    fn capture(&self, commands: &[Command]) -> Result<Vec<Command>, DeviceError> {
        self.ask(Call::Capture)?;
        self.host.capture(commands)
    }

    fn replay(&self, graph: &Vec<Command>) -> Result<(), DeviceError> {
        self.host.replay(graph)
    }

    fn has_fp8(&self) -> bool {
        self.host.has_fp8()
    }
}
