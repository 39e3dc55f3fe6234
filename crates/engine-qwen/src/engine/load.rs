//! Loading an engine on whichever device it is to compute on.

use std::sync::Arc;

use tryon_engine::{Engine, EngineError};

use super::{
    QwenEngine,
    config::{EngineConfig, Mode, fault},
    device::Device,
};
use crate::{
    backend::{
        Cpu,
        cuda::{
            Cuda, Precision,
            driver::{Gpu, Library, OpenError, Options},
        },
    },
    weights::Follow,
};

/// A GPU with as much memory multiplies an FP8 model's widest layers in 16 bits and still has room
/// for the rest; one with less needs them in 8.
const ROOMY: u64 = 32 << 30;

impl Device {
    /// The GPU to compute on, if it is to be one.
    ///
    /// # Errors
    ///
    /// A GPU that is there and cannot be used, also where the CPU could be: what takes a second on
    /// one takes the better part of an hour on the other. None at all where one was asked for.
    pub fn open(self, options: &Options) -> Result<Option<Gpu>, OpenError> {
        if self == Self::Cpu {
            return Ok(None);
        }
        match Gpu::open(options) {
            Ok(gpu) => Ok(Some(gpu)),
            Err(error) if self == Self::Auto && is_absence(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether there is no GPU for this to be about.
fn is_absence(error: &OpenError) -> bool {
    match error {
        OpenError::NoDevice { .. } | OpenError::TooOld { .. } => true,
        // Every machine with a GPU that can be used has the driver's own.
        OpenError::Missing { library, .. } => *library == Library::Cuda.name(),
        OpenError::Unopened { .. }
        | OpenError::Incomplete { .. }
        | OpenError::TooNew { .. }
        | OpenError::Shadowed { .. }
        | OpenError::Compile { .. }
        | OpenError::Device(_) => false,
    }
}

/// Loads the engine on the device that its configuration names, with `follower` told how far it is.
pub fn load(
    config: EngineConfig,
    follower: Arc<dyn Follow>,
) -> Result<Box<dyn Engine>, EngineError> {
    let options = Options {
        cache: config.cache.clone(),
        ..Options::default()
    };
    let gpu = config.device.open(&options).map_err(fault)?;
    let Some(gpu) = gpu else {
        return Ok(Box::new(QwenEngine::load(Cpu, config, follower)?));
    };
    let precision = Precision {
        fp8_narrowing: config.mode == Mode::Fp8 && gpu.listed().memory < ROOMY,
        ..Precision::default()
    };
    Ok(Box::new(QwenEngine::load(
        Cuda::new(gpu, precision),
        config,
        follower,
    )?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_is_there_and_lacks_a_library_is_not_passed_over() {
        let missing = |library: Library| OpenError::Missing {
            library: library.name(),
            names: String::new(),
            places: Vec::new(),
        };
        assert!(is_absence(&missing(Library::Cuda)));
        assert!(!is_absence(&missing(Library::Nvrtc)));
        assert!(!is_absence(&missing(Library::CublasLt)));
    }
}
