//! What NVIDIA's libraries return, as errors.

use std::{io, path::PathBuf};

use cudarc::{cublaslt, cudnn, driver, nvrtc};

use super::{super::DeviceError, version::CudaVersion};

/// Why a GPU cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A library that is not on this machine.
    #[error("{library} was not found: looked for {names} in {}", places.join(", "))]
    Missing {
        /// What it is called.
        library: &'static str,
        /// The names of its file.
        names: String,
        /// Where they were looked for.
        places: Vec<String>,
    },
    /// A library that is there and is none for this machine, or needs another that is not there.
    #[error("`{}` cannot be opened", at.display())]
    Unopened {
        /// Its file.
        at: PathBuf,
        /// What the system's loader says.
        source: libloading::Error,
    },
    /// A library that lacks a part, without which it would end the process.
    #[error("{library} is not whole: `{part}` could not be opened beside `{}`; install all of it", at.display())]
    Incomplete {
        /// What it is called.
        library: &'static str,
        /// Its file, beside which the part was looked for; a mere name if the system's loader found
        /// it, which looked for the part too.
        at: PathBuf,
        /// The part's file.
        part: &'static str,
        /// What the system's loader says.
        source: libloading::Error,
    },
    /// A library for a newer CUDA than the driver's.
    #[error(
        "`{}` is of CUDA {cuda}, and the driver knows CUDA {driver} at most: install a newer driver, \
         or NVIDIA's libraries for CUDA {}", at.display(), driver.major
    )]
    TooNew {
        /// Its file.
        at: PathBuf,
        /// What it was made for.
        cuda: CudaVersion,
        /// The newest that the driver knows.
        driver: CudaVersion,
    },
    /// A library in whose place another would be used.
    #[error(
        "`{}` was found, but the system's loader has another `{alias}`: take that out of \
         LD_LIBRARY_PATH and /etc/ld.so.conf.d", at.display()
    )]
    Shadowed {
        /// Its file.
        at: PathBuf,
        /// The name of which there are two.
        alias: &'static str,
        /// Why it could not be put before the other.
        source: Option<io::Error>,
    },
    /// The driver finds no GPU, or not this one.
    #[error("no CUDA device {ordinal}: the driver knows {known}")]
    NoDevice {
        /// Which was asked for, from 0 on.
        ordinal: usize,
        /// How many there are.
        known: usize,
    },
    /// A GPU without bf16.
    #[error("`{name}` has compute capability {}.{}; 8.0 or more is needed", capability.0, capability.1)]
    TooOld {
        /// Its name.
        name: String,
        /// What it can do.
        capability: (u32, u32),
    },
    /// The kernels do not compile.
    #[error("`{source_name}` does not compile for {target}: {log}")]
    Compile {
        /// Which source.
        source_name: &'static str,
        /// For what.
        target: String,
        /// What the compiler says.
        log: String,
    },
    /// A call failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// What a library returned instead of doing its work.
pub(super) trait Code {
    /// As an error of this call.
    fn of(self, call: &'static str) -> DeviceError;
}

fn failed(call: &'static str, code: i64, name: String, sticky: bool) -> DeviceError {
    DeviceError::Failed {
        call,
        code,
        name,
        sticky,
    }
}

/// Codes after which nothing in this process can use the device: its context is lost.
///
/// CUDA Driver API 13.0, `CUresult`: "This leaves the process in an inconsistent state and any
/// further CUDA work will return the same error"; and those of a device that is gone.
const STICKY: [u32; 16] = [
    // A device that is unavailable; memory, its link or an isolated error that is not corrected.
    46, 214, 220, 226, //
    // An illegal address, a launch that took too long, a destroyed context, an assertion.
    700, 702, 709, 710, //
    // Faults of a kernel: its stack, an instruction, an address, its space, a counter, any other.
    714, 715, 716, 717, 718, 719, //
    // Leaked tensor memory, and what the driver has no name for.
    721, 999,
];

impl Code for driver::DriverError {
    fn of(self, call: &'static str) -> DeviceError {
        let code = self.0 as u32;
        if code == driver::sys::cudaError_enum::CUDA_ERROR_OUT_OF_MEMORY as u32 {
            return DeviceError::OutOfMemory { bytes: 0 };
        }
        let name = self.error_name().ok().map(|name| name.to_string_lossy());
        let name = name.map_or_else(|| "unknown".to_owned(), std::borrow::Cow::into_owned);
        failed(call, i64::from(code), name, STICKY.contains(&code))
    }
}

impl Code for cublaslt::result::CublasError {
    fn of(self, call: &'static str) -> DeviceError {
        if self.0 == cublaslt::sys::cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED {
            return DeviceError::OutOfMemory { bytes: 0 };
        }
        failed(call, self.0 as i64, format!("{:?}", self.0), false)
    }
}

impl Code for cudnn::sys::cudnnStatus_t {
    fn of(self, call: &'static str) -> DeviceError {
        if self == Self::CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED {
            return DeviceError::OutOfMemory { bytes: 0 };
        }
        failed(call, self as i64, format!("{self:?}"), false)
    }
}

impl Code for nvrtc::result::NvrtcError {
    fn of(self, call: &'static str) -> DeviceError {
        failed(call, self.0 as i64, format!("{:?}", self.0), false)
    }
}

/// The result of a library's call.
pub(super) trait Called<T> {
    /// With its error named by the call.
    fn called(self, call: &'static str) -> Result<T, DeviceError>;
}

impl<T, E: Code> Called<T> for Result<T, E> {
    fn called(self, call: &'static str) -> Result<T, DeviceError> {
        self.map_err(|code| code.of(call))
    }
}

impl Called<()> for cudnn::sys::cudnnStatus_t {
    fn called(self, call: &'static str) -> Result<(), DeviceError> {
        match self {
            Self::CUDNN_STATUS_SUCCESS => Ok(()),
            code => Err(code.of(call)),
        }
    }
}
