//! The closed sets of errors that clients see.

use serde::{Deserialize, Serialize};

/// Why a request to the public API was not accepted: no job exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ApiErrorCode {
    /// The request is malformed or asks for something that is not offered.
    BadRequest,
    /// No key, or not a valid one.
    UnauthorizedAccess,
    /// No such route or job.
    NotFound,
    /// Too many requests in the window.
    RateLimitExceeded,
    /// Too many jobs under way.
    ConcurrencyLimitExceeded,
    /// Not enough credits for this job.
    OutOfCredits,
    /// Our fault.
    InternalServerError,
}

impl ApiErrorCode {
    /// The HTTP status it is answered with.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::UnauthorizedAccess => 401,
            Self::NotFound => 404,
            Self::RateLimitExceeded | Self::ConcurrencyLimitExceeded | Self::OutOfCredits => 429,
            Self::InternalServerError => 500,
        }
    }

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "BadRequest",
            Self::UnauthorizedAccess => "UnauthorizedAccess",
            Self::NotFound => "NotFound",
            Self::RateLimitExceeded => "RateLimitExceeded",
            Self::ConcurrencyLimitExceeded => "ConcurrencyLimitExceeded",
            Self::OutOfCredits => "OutOfCredits",
            Self::InternalServerError => "InternalServerError",
        }
    }
}

/// Why a job ended without an image. A failed job is never charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JobErrorCode {
    /// An input could not be fetched or read.
    ImageLoadError,
    /// An input is readable but cannot be used.
    InputValidationError,
    /// A picture was refused by moderation.
    ContentModerationError,
    /// No person, or not one the engine can dress.
    PoseError,
    /// The engine failed on this job.
    ProcessingError,
    /// Something between gateway and engine failed, repeatedly.
    PipelineError,
    /// The job did not end before its deadline.
    Timeout,
    /// Its owner cancelled it.
    Cancelled,
}

impl JobErrorCode {
    /// Every one of them.
    pub const ALL: [Self; 8] = [
        Self::ImageLoadError,
        Self::InputValidationError,
        Self::ContentModerationError,
        Self::PoseError,
        Self::ProcessingError,
        Self::PipelineError,
        Self::Timeout,
        Self::Cancelled,
    ];

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ImageLoadError => "ImageLoadError",
            Self::InputValidationError => "InputValidationError",
            Self::ContentModerationError => "ContentModerationError",
            Self::PoseError => "PoseError",
            Self::ProcessingError => "ProcessingError",
            Self::PipelineError => "PipelineError",
            Self::Timeout => "Timeout",
            Self::Cancelled => "Cancelled",
        }
    }

    /// The code of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == name)
    }
}

/// Why a job or a sample failed, as its owner reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// The kind.
    pub name: JobErrorCode,
    /// A sentence that says what to do.
    pub message: String,
}

impl JobError {
    /// An error of this kind.
    pub fn new(name: JobErrorCode, message: impl Into<String>) -> Self {
        Self {
            name,
            message: message.into(),
        }
    }
}
