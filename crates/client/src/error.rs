//! Everything that can go wrong.

use std::{fmt, time::Duration};

use tryon_core::{error::ApiErrorCode, id::JobId};

use crate::answer::JobFailure;

/// Why there is not what was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What was given cannot be sent.
    #[error(transparent)]
    Input(#[from] InputFault),
    /// The gateway refused, and says why.
    #[error("the gateway answered {0}")]
    Refused(Refusal),
    /// There was no answer, or only a part of one.
    #[error("the gateway did not answer")]
    Unreachable(#[source] reqwest::Error),
    /// Something else answered, or a gateway that is newer than this client.
    #[error("the answer is not one of this API")]
    NotThisApi(#[source] AnswerFault),
    /// The job ended without a picture, and cost nothing.
    #[error("the job failed with {failure}")]
    JobFailed {
        /// The job.
        job: JobId,
        /// Why.
        failure: JobFailure,
    },
    /// The job was waited for no longer. It may go on.
    #[error("job {job} did not end within {limit:?}")]
    TimedOut {
        /// The job.
        job: JobId,
        /// How long it was waited for.
        limit: Duration,
    },
    /// It cannot be told how the job stands. It may go on.
    #[error("job {job} cannot be waited for")]
    Lost {
        /// The job.
        job: JobId,
        /// Why not.
        #[source]
        cause: Box<Error>,
    },
    /// No HTTP client can be had on this machine.
    #[error("no HTTP client can be had")]
    NoHttp(#[source] reqwest::Error),
}

impl Error {
    /// Whether the same may be had by asking again, after [`Error::retry_after`] where that says
    /// something.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.is_transient(),
            Self::Unreachable(_) | Self::TimedOut { .. } => true,
            Self::Lost { cause, .. } => cause.is_transient(),
            Self::Input(_) | Self::NotThisApi(_) | Self::JobFailed { .. } | Self::NoHttp(_) => {
                false
            }
        }
    }

    /// How long the gateway says to wait before the same is asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            Self::Lost { cause, .. } => cause.retry_after(),
            _ => None,
        }
    }

    /// Whether what was asked for may have been done all the same.
    pub(crate) fn is_uncertain(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.status >= 500,
            Self::Unreachable(error) => !error.is_connect(),
            Self::NotThisApi(_) => true,
            _ => false,
        }
    }
}

/// Why a gateway refused a request. What stands before it refuses too, in words of its own: then
/// only the status is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The kind, such as `OutOfCredits`; empty where it is not said.
    pub name: String,
    /// A sentence that says what to do; empty where it is not said.
    pub message: String,
    /// What the operator's log calls the request (`x-request-id`).
    pub request_id: Option<String>,
    /// How long to wait before the same is asked again.
    pub retry_after: Option<Duration>,
    /// Whether the gateway says that sending the same again is of no use.
    pub is_final: bool,
}

impl Refusal {
    /// Whether it is of this kind.
    pub fn is(&self, code: ApiErrorCode) -> bool {
        self.name == code.as_str()
    }

    fn is_transient(&self) -> bool {
        !self.is_final && (self.status == 429 || self.status >= 500)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status.fmt(f)?;
        if !self.name.is_empty() {
            write!(f, " {}", self.name)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

/// What is wrong with an answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerFault {
    /// It is no JSON, or lacks what the API says.
    #[error("{0}")]
    Unreadable(#[from] serde_json::Error),
    /// It is larger than any answer of the API, or than what may be downloaded.
    #[error("it is larger than {limit} bytes")]
    TooLarge {
        /// What was read.
        limit: usize,
    },
}

/// What is wrong with what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputFault {
    /// No address of a gateway.
    #[error("the gateway's address is not an `http://` or `https://` URL without a user name")]
    Address,
    /// No key.
    #[error("the API key is empty or has characters that no key has")]
    Key,
    /// No picture.
    #[error("the picture is not a PNG, JPEG or WebP file")]
    Picture,
    /// No URL of a picture.
    #[error("the picture's address is not an `http://` or `https://` URL")]
    PictureUrl,
    /// No link to an output.
    #[error("the link is not an `http://` or `https://` URL")]
    Link,
    /// No name of a submission.
    #[error("a submission's name is 1 to 255 printable ASCII characters")]
    Name,
}
