//! What a node sends when a job ended, and while it runs.
//!
//! The result goes to the result callback as `multipart/form-data`, on success and on failure,
//! with the header [`AUTH_HEADER`]. [`JobComplete`] and [`Progress`] are JSON and hints only: a
//! lost one changes nothing.

use serde::{Deserialize, Serialize};
use tryon_core::{error::JobErrorCode, task::OutputFormat};
use utoipa::ToSchema;

/// The header that carries the shared token, on requests to a node and on its callbacks.
pub const AUTH_HEADER: &str = "x-internal-auth";

/// The path below `load_balancer.url` that [`JobComplete`] is sent to.
pub const JOB_COMPLETE_PATH: &str = "job_complete";

/// Names of the result form's fields, as they are on the wire.
pub mod field {
    /// The job's id, as the dispatcher gave it.
    pub const JOB_ID: &str = "job_id";
    /// The user's id, as the dispatcher gave it.
    pub const USER_ID: &str = "user_id";
    /// The session's id, as the dispatcher gave it.
    pub const SESSION_ID: &str = "session_id";
    /// The provider that was asked for.
    pub const PROVIDER: &str = "provider";
    /// The node that ran it.
    pub const NODE_ID: &str = "node_id";
    /// The model's version.
    pub const MODEL_VERSION: &str = "model_version";
    /// Inference duration in whole milliseconds.
    pub const INFERENCE_TIME_MS: &str = "inference_time_ms";
    /// The picture, as a file part. Only on success.
    pub const OUTPUT_IMAGE: &str = "output_image";
    /// The picture's width in pixels. Only on success.
    pub const WIDTH: &str = "width";
    /// The picture's height in pixels. Only on success.
    pub const HEIGHT: &str = "height";
    /// A sentence that says what went wrong. Only on failure.
    pub const ERROR: &str = "error";
    /// The kind of failure: a [`JobErrorCode`](tryon_core::error::JobErrorCode). Only on failure.
    pub const ERROR_NAME: &str = "error_name";
    /// `true` when another attempt may succeed. Only on failure.
    pub const RETRYABLE: &str = "retryable";
}

/// Everything a result carries beside its picture or error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResultHead {
    /// The job's id, as the dispatcher gave it.
    pub job_id: String,
    /// The user's id, as the dispatcher gave it.
    pub user_id: String,
    /// The session's id, as the dispatcher gave it.
    pub session_id: String,
    /// The provider that was asked for.
    pub provider: String,
    /// The node that ran it.
    pub node_id: String,
    /// The model's version.
    pub model_version: String,
    /// Inference duration in milliseconds.
    pub inference_time_ms: u64,
}

impl ResultHead {
    /// The form's text fields, name and value, in the order they are sent.
    pub fn fields(&self) -> [(&'static str, String); 7] {
        [
            (field::JOB_ID, self.job_id.clone()),
            (field::USER_ID, self.user_id.clone()),
            (field::SESSION_ID, self.session_id.clone()),
            (field::PROVIDER, self.provider.clone()),
            (field::NODE_ID, self.node_id.clone()),
            (field::MODEL_VERSION, self.model_version.clone()),
            (field::INFERENCE_TIME_MS, self.inference_time_ms.to_string()),
        ]
    }
}

/// What is said about the picture that the form carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultImage {
    /// Its file format, which decides the part's file name and type.
    pub format: OutputFormat,
    /// Columns, in pixels.
    pub width: u32,
    /// Rows, in pixels.
    pub height: u32,
}

impl ResultImage {
    /// The name of the file part: `result.png` or `result.jpg`.
    pub fn file_name(&self) -> String {
        format!("result.{}", self.format.extension())
    }

    /// The form's text fields about the picture.
    pub fn fields(&self) -> [(&'static str, String); 2] {
        [
            (field::WIDTH, self.width.to_string()),
            (field::HEIGHT, self.height.to_string()),
        ]
    }
}

/// Why there is no picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResultError {
    /// A sentence that says what went wrong.
    pub error: String,
    /// The kind.
    #[schema(value_type = String, example = "ProcessingError")]
    pub error_name: JobErrorCode,
    /// Whether another attempt, perhaps on another node, may succeed.
    pub retryable: bool,
}

impl ResultError {
    /// The form's text fields about the failure.
    pub fn fields(&self) -> [(&'static str, String); 3] {
        [
            (field::ERROR, self.error.clone()),
            (field::ERROR_NAME, self.error_name.as_str().to_owned()),
            (field::RETRYABLE, self.retryable.to_string()),
        ]
    }
}

/// The result form, for documentation: its success fields or its error fields are present.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "describes a multipart form, which is not built by serde"
)]
pub struct ResultForm {
    /// What every result carries.
    #[schema(inline)]
    head: ResultHead,
    /// The picture, as a file part.
    #[schema(value_type = Option<String>, format = Binary)]
    output_image: Option<Vec<u8>>,
    /// The picture's width in pixels.
    width: Option<u32>,
    /// The picture's height in pixels.
    height: Option<u32>,
    /// A sentence that says what went wrong.
    error: Option<String>,
    /// The kind of failure.
    error_name: Option<String>,
    /// Whether another attempt may succeed.
    retryable: Option<bool>,
}

/// Tells a load balancer that a node's device is free again. A hint, never a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobComplete {
    /// The node.
    pub node_id: String,
    /// The job that ended.
    pub job_id: String,
    /// Always empty; kept because receivers expect the key.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

/// How far a job is, sent to its `progress_url` at step boundaries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// The job.
    pub job_id: String,
    /// Steps done.
    pub step: u32,
    /// Steps in all.
    pub steps: u32,
}
