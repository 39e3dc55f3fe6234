//! How runs end: what the engine said becomes what the receiver is told.

use bytes::Bytes;
use tryon_api::callback::{ResultError, ResultImage};
use tryon_core::{error::JobErrorCode, task::OutputFormat};
use tryon_engine::{Output, Refusal, supervisor::RunError};
use tryon_picture::PictureError;

/// The engine's last words may be long; this many characters of them are told.
const REASON_CHARS: usize = 500;

/// A job that the node, not the engine, ended.
pub(crate) fn interrupted() -> ResultError {
    ResultError {
        error: "the node restarted during the job".to_owned(),
        error_name: JobErrorCode::ProcessingError,
        retryable: true,
    }
}

/// Why there is no picture.
pub(crate) fn to_error(error: &RunError) -> ResultError {
    let (error_name, retryable) = match error {
        RunError::Refused { refusal, .. } => (to_code(*refusal), false),
        RunError::Cancelled => (JobErrorCode::Cancelled, false),
        RunError::TimedOut { .. } => (JobErrorCode::Timeout, false),
        RunError::OutOfMemory { .. } | RunError::Crashed { .. } => {
            (JobErrorCode::ProcessingError, true)
        }
    };
    let error = error.to_string().chars().take(REASON_CHARS).collect();
    ResultError {
        error,
        error_name,
        retryable,
    }
}

fn to_code(refusal: Refusal) -> JobErrorCode {
    match refusal {
        Refusal::Input => JobErrorCode::InputValidationError,
        Refusal::Pose => JobErrorCode::PoseError,
        Refusal::Moderation => JobErrorCode::ContentModerationError,
    }
}

/// A picture as a file.
#[derive(Debug, Clone)]
pub(crate) struct Encoded {
    pub(crate) image: ResultImage,
    pub(crate) bytes: Bytes,
}

/// Encodes what the engine made, with its texts. Takes a core for a while.
pub(crate) fn encode(output: &Output, format: OutputFormat) -> Result<Encoded, ResultError> {
    let bytes = output.encode(format).map_err(|error| unwritable(&error))?;
    let (width, height) = output.picture.dimensions();
    let image = ResultImage {
        format,
        width,
        height,
    };
    Ok(Encoded {
        image,
        bytes: bytes.into(),
    })
}

fn unwritable(error: &PictureError) -> ResultError {
    ResultError {
        error: error.to_string(),
        error_name: JobErrorCode::ProcessingError,
        retryable: false,
    }
}

/// The encoder itself failed, which no other attempt would mend.
pub(crate) fn encoder_failed() -> ResultError {
    ResultError {
        error: "the picture was made but could not be written as a file".to_owned(),
        error_name: JobErrorCode::ProcessingError,
        retryable: false,
    }
}
