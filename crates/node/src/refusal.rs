//! Every way a request can be refused, and how that is answered.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tryon_api::{
    callback::ResultError,
    node::{Busy, ConfigFault, Detail},
};
use tryon_core::error::JobErrorCode;

use crate::{form::FormFault, photo::PhotoFault, upload::UploadFault};

/// The short name of the refusal that a response is, for those who count them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RefusalName(pub(crate) &'static str);

/// Why a request is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("Unauthorized")]
    Unauthorized,
    #[error("Models not loaded yet")]
    NotLoaded,
    #[error("Models not loaded yet: `{provider}` is not what this node runs, it runs {}", loaded.join(", "))]
    OtherProvider {
        provider: &'static str,
        loaded: Vec<&'static str>,
    },
    #[error("Models not loaded yet: the engine was given up: {reason}")]
    GivenUp { reason: String },
    #[error("the node is being stopped")]
    Stopping,
    #[error(
        "{waiting} bytes of results wait for their receiver and {limit} are kept; no further job \
         is accepted until some were received"
    )]
    SpoolFull { waiting: u64, limit: u64 },
    #[error("the job cannot be recorded on disk: {reason}")]
    SpoolUnwritable { reason: String },
    #[error("{}", Busy::MESSAGE)]
    Busy { retry_after: u64 },
    #[error(transparent)]
    Form(#[from] FormFault),
    #[error("Invalid provider: {name}")]
    UnknownProvider { name: String },
    #[error(transparent)]
    Config(#[from] ConfigFault),
    #[error("`config.task` is `{task}`, which the loaded engine does not offer; it offers {}", offered.join(", "))]
    UnofferedTask {
        task: &'static str,
        offered: Vec<&'static str>,
    },
    #[error(transparent)]
    Photo(#[from] PhotoFault),
    #[error("no job `{job_id}` is running")]
    NotRunning { job_id: String },
    #[error("{}", .0.error)]
    Failed(ResultError),
    #[error("Not Found")]
    NoRoute,
    #[error("Method Not Allowed")]
    NoMethod,
}

impl Refusal {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotLoaded
            | Self::OtherProvider { .. }
            | Self::GivenUp { .. }
            | Self::Stopping
            | Self::SpoolFull { .. }
            | Self::SpoolUnwritable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Busy { .. } => StatusCode::TOO_MANY_REQUESTS,
            // A stalled upload says nothing about the job: whoever sent it may send it again.
            Self::Form(FormFault::Upload(
                UploadFault::Stalled { .. } | UploadFault::TooSlow { .. },
            )) => StatusCode::REQUEST_TIMEOUT,
            Self::Form(_)
            | Self::UnknownProvider { .. }
            | Self::Config(_)
            | Self::UnofferedTask { .. }
            | Self::Photo(_) => StatusCode::BAD_REQUEST,
            Self::NotRunning { .. } | Self::NoRoute => StatusCode::NOT_FOUND,
            Self::NoMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::Failed(error) => status_of(error.error_name),
        }
    }

    /// Every short name.
    pub(crate) const NAMES: [&str; 9] = [
        "unauthorized",
        "not_loaded",
        "stopping",
        "spool",
        "busy",
        "upload",
        "invalid",
        "failed",
        "not_found",
    ];

    /// A short name for logs and metrics: one of [`Self::NAMES`].
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::NotLoaded | Self::OtherProvider { .. } | Self::GivenUp { .. } => "not_loaded",
            Self::Stopping => "stopping",
            Self::SpoolFull { .. } | Self::SpoolUnwritable { .. } => "spool",
            Self::Busy { .. } => "busy",
            Self::Form(FormFault::Upload(_)) => "upload",
            Self::Form(_)
            | Self::UnknownProvider { .. }
            | Self::Config(_)
            | Self::UnofferedTask { .. }
            | Self::Photo(_) => "invalid",
            Self::Failed(_) => "failed",
            Self::NotRunning { .. } | Self::NoRoute | Self::NoMethod => "not_found",
        }
    }

    /// The answer of `POST /infer`, whose 429 is a detail like every other refusal of it.
    pub(crate) fn into_infer_response(self) -> Response {
        let retry_after = match self {
            Self::Busy { retry_after } => Some(retry_after),
            _ => None,
        };
        let error_name = match &self {
            Self::Failed(error) => Some(error.error_name.as_str().to_owned()),
            _ => None,
        };
        let body = Detail {
            detail: self.to_string(),
            error_name,
            retry_after,
        };
        self.respond(&body)
    }

    fn respond(&self, body: &impl Serialize) -> Response {
        tracing::debug!(refusal = self.name(), detail = %self, "refused");
        let mut response = (self.status(), Json(body)).into_response();
        response.extensions_mut().insert(RefusalName(self.name()));
        if let Self::Busy { retry_after } = self {
            let value = HeaderValue::from(*retry_after);
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}

/// The status of `POST /infer` when the job ran and gave no picture.
fn status_of(name: JobErrorCode) -> StatusCode {
    match name {
        JobErrorCode::ImageLoadError
        | JobErrorCode::InputValidationError
        | JobErrorCode::ContentModerationError
        | JobErrorCode::PoseError => StatusCode::BAD_REQUEST,
        JobErrorCode::Cancelled => StatusCode::CONFLICT,
        JobErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
        JobErrorCode::ProcessingError | JobErrorCode::PipelineError => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match &self {
            Self::Busy { retry_after } => self.respond(&Busy::new(*retry_after)),
            _ => self.respond(&Detail::new(self.to_string())),
        }
    }
}
