//! What can go wrong: while a checkpoint is loaded, and while it computes.

use std::path::{Path, PathBuf};

use tryon_engine::{EngineError, Refusal};

use crate::backend::cuda::DeviceError;

/// Why a checkpoint cannot be used. Each names the file, tensor or key that is at fault.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file that cannot be opened or read.
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file that is not what its name says.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A key of a configuration file.
    #[error("`{key}` in `{}` {problem}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The key, with dots between levels.
        key: String,
        /// What is wrong with it and what to do, such as "is missing".
        problem: String,
    },
    /// A tensor that is not there.
    #[error("`{}` has no tensor `{name}`", path.display())]
    MissingTensor {
        /// The file, or the folder of a sharded checkpoint.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A tensor of another shape than the configuration says.
    #[error("`{name}` in `{}` is {found:?}, not {expected:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that the configuration asks for.
        expected: Vec<usize>,
    },
    /// A tensor whose type cannot be used where it stands.
    #[error("`{name}` in `{}` is {found}; {expected} can be used here", path.display())]
    Dtype {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type.
        found: String,
        /// What can be used.
        expected: &'static str,
    },
    /// A tensor with a value that is not a number, or infinite.
    #[error("`{name}` in `{}` holds a value that is not finite", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A file of another kind that looks alike.
    #[error("`{}` is {kind}, which cannot be used here: {remedy}", path.display())]
    OtherLayout {
        /// The file.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
        /// What to use instead.
        remedy: &'static str,
    },
    /// A checkpoint that is larger than the memory that is free.
    #[error(
        "`{}` needs {needed_mib} MiB of memory, and {available_mib} MiB are free",
        path.display()
    )]
    TooLarge {
        /// The checkpoint.
        path: PathBuf,
        /// What it takes, in MiB.
        needed_mib: u64,
        /// What there is, in MiB.
        available_mib: u64,
    },
    /// The device failed while weights were put on it.
    #[error("the weights cannot be put on the device")]
    Compute(#[from] ComputeError),
}

impl LoadError {
    pub(crate) fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Unreadable {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn damaged(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn config(path: &Path, key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Config {
            path: path.to_owned(),
            key: key.into(),
            problem: problem.into(),
        }
    }
}

impl From<LoadError> for EngineError {
    fn from(error: LoadError) -> Self {
        Self::Fault(Box::new(error))
    }
}

/// Why a computation stopped.
#[derive(Debug, thiserror::Error)]
pub enum ComputeError {
    /// The device has too little memory for what is to be computed.
    #[error("out of memory: {needed} needed")]
    OutOfMemory {
        /// What could not be allocated.
        needed: String,
    },
    /// The tensor library failed.
    #[error("a tensor operation failed")]
    Tensor(#[from] candle_core::Error),
    /// The device failed.
    #[error("the device failed")]
    Device(#[source] DeviceError),
}

impl From<DeviceError> for ComputeError {
    fn from(error: DeviceError) -> Self {
        match error {
            // A library asked for it and does not say for how much.
            DeviceError::OutOfMemory { bytes: 0 } => Self::OutOfMemory {
                needed: "an unknown amount".to_owned(),
            },
            DeviceError::OutOfMemory { bytes } => Self::OutOfMemory {
                needed: format!("{} MiB", bytes.div_ceil(1 << 20)),
            },
            error @ DeviceError::Failed { .. } => Self::Device(error),
        }
    }
}

/// Why a picture was not made.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The request cannot be served.
    #[error("{message}")]
    Refused {
        /// The kind.
        refusal: Refusal,
        /// A sentence for the client that says what to do.
        message: String,
    },
    /// It was asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// The watcher of the run failed.
    #[error("the run's watcher failed")]
    Monitor(#[source] EngineError),
    /// A part of the checkpoint that is read while it runs cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The device failed.
    #[error(transparent)]
    Compute(#[from] ComputeError),
    /// What was computed is no picture: weights or arithmetic are at fault.
    #[error("the model computed values that are not finite")]
    NotFinite,
}

impl RunError {
    /// A refusal of what the client sent.
    pub fn input(message: impl Into<String>) -> Self {
        Self::Refused {
            refusal: Refusal::Input,
            message: message.into(),
        }
    }
}

impl From<RunError> for EngineError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Refused { refusal, message } => Self::Refused { refusal, message },
            RunError::Cancelled => Self::Cancelled,
            RunError::Monitor(error) => error,
            // Also of a part of the model that is loaded for a request.
            RunError::Compute(ComputeError::OutOfMemory { needed })
            | RunError::Load(LoadError::Compute(ComputeError::OutOfMemory { needed })) => {
                Self::OutOfMemory { needed }
            }
            error @ (RunError::Load(_) | RunError::Compute(_) | RunError::NotFinite) => {
                Self::Fault(Box::new(error))
            }
        }
    }
}
