//! What a plan needs of a device.

use super::command::Command;

/// Why a device did not do as it was told.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// It has too little memory.
    #[error("the device has too little memory left{}", asked_for(*bytes))]
    OutOfMemory {
        /// What was asked for; 0 where a library asked for it and does not say.
        bytes: usize,
    },
    /// A library's call failed.
    #[error("`{call}` failed with {code} (`{name}`)")]
    Failed {
        /// The call.
        call: &'static str,
        /// What it returned.
        code: i64,
        /// What the library calls that.
        name: String,
        /// Whether nothing can be done with the device any more by this process.
        sticky: bool,
    },
}

impl DeviceError {
    /// Whether nothing can be done with the device any more by this process.
    pub(super) fn is_sticky(&self) -> bool {
        matches!(self, Self::Failed { sticky: true, .. })
    }

    /// Whether a library does not do this, so that another way of doing it may do.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Failed { sticky: false, .. })
    }
}

fn asked_for(bytes: usize) -> String {
    match bytes {
        0 => String::new(),
        bytes => format!(" for {bytes} bytes"),
    }
}

/// What there is of a device's memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Not used by anybody.
    pub free: u64,
    /// All of it.
    pub total: u64,
}

/// A device's memory and its one queue: everything happens in the order in which it is asked for.
///
/// Addresses are of bytes. What is asked for may still be under way when a call returns, but for
/// [`Self::read`]; an error may be told by a later call than the one that it is of.
///
/// Not for other crates: an address is believed, and a device that is given a wrong one may write
/// over whatever is there.
pub(crate) trait Device: Send + Sync + 'static {
    /// Commands that were captured.
    type Graph: Send;

    /// How much memory there is.
    fn memory(&self) -> Result<DeviceMemory, DeviceError>;

    /// Takes memory, at a multiple of 256.
    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError>;

    /// Gives memory back, all `bytes` that were taken at `at`, once nothing uses it any more.
    fn free(&self, at: u64, bytes: usize);

    /// Puts bytes on the device. They may be changed when it returns.
    fn write(&self, at: u64, bytes: &[u8]) -> Result<(), DeviceError>;

    /// Fetches bytes, when everything before has happened.
    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), DeviceError>;

    /// Carries out commands. What has to be found out about them once, such as which algorithm is
    /// the fastest, is found out here.
    fn run(&self, commands: &[Command]) -> Result<(), DeviceError>;

    /// Makes commands that were carried out before into one that does all of it.
    fn capture(&self, commands: &[Command]) -> Result<Self::Graph, DeviceError>;

    /// Carries out what was captured.
    fn replay(&self, graph: &Self::Graph) -> Result<(), DeviceError>;

    /// Gives back what it keeps to be faster and can make again. What was captured stays whole.
    fn release(&self) {}

    /// Whether it wants to be told what is read no more ([`Kind::Forget`](super::Kind::Forget)).
    fn wants_forgetting(&self) -> bool {
        false
    }

    /// Whether it multiplies FP8 matrices.
    fn has_fp8(&self) -> bool;
}
