//! The node API: what a node is asked, and what it answers.

mod config;
mod registration;
mod status;

pub use config::{ConfigFault, JobConfig};
pub use registration::{REGISTRATION_PATH, Registered, Registration, RegistrationFault};
use serde::{Deserialize, Serialize};
pub use status::{
    GpuReport, GpuStatus, Health, MetricsSummary, Readiness, StepCount, TestReport, VersionReport,
};
use utoipa::ToSchema;

pub use crate::callback::AUTH_HEADER;
use crate::{callback::ResultError, public::Rectangle};

/// Names of the fields of `POST /tryon`, as they are on the wire.
pub mod field {
    /// The job's id, chosen by the dispatcher. Sending it again does not run it again.
    pub const JOB_ID: &str = "job_id";
    /// The user's id; echoed.
    pub const USER_ID: &str = "user_id";
    /// The session's id; echoed.
    pub const SESSION_ID: &str = "session_id";
    /// The model that is asked for.
    pub const PROVIDER: &str = "provider";
    /// A [`JobConfig`](super::JobConfig) as JSON.
    pub const CONFIG: &str = "config";
    /// The photo of the person, as a file part.
    pub const PERSON: &str = "masked_user_image";
    /// The photo of the garment, as a file part; a hairstyle has none.
    pub const GARMENT: &str = "garment_image";
    /// The seed, a field of its own on `POST /infer`.
    pub const SEED: &str = "seed";
    /// The number of steps, a field of its own on `POST /infer`.
    pub const STEPS: &str = "steps";
    /// The guidance scale, a field of its own on `POST /infer`.
    pub const CFG: &str = "cfg";
    /// The prompt, a field of its own on `POST /infer`.
    pub const PROMPT: &str = "prompt";
}

/// The answer header of `POST /infer` with the inference duration in milliseconds.
pub const INFERENCE_TIME_HEADER: &str = "x-inference-time-ms";

/// The answer header of `POST /infer` with the id the node gave the job.
pub const JOB_ID_HEADER: &str = "x-job-id";

/// The form of `POST /tryon`, for documentation.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "describes a multipart form, which is not read by serde"
)]
pub struct TryonForm {
    /// The job's id. Sending it again within an hour does not run it again.
    #[schema(example = "64b7f1a9d9a3b8e5c7f9a123-0.1")]
    job_id: String,
    /// The user's id; echoed.
    user_id: String,
    /// The session's id; echoed.
    session_id: String,
    /// The model that is asked for: `qwen`, `lightxv` or `preview`.
    #[schema(example = "preview")]
    provider: String,
    /// A `JobConfig` as JSON.
    #[schema(example = "{\"category\": \"tops\", \"seed\": 42}")]
    config: String,
    /// The photo of the person.
    #[schema(value_type = String, format = Binary)]
    masked_user_image: Vec<u8>,
    /// The photo of the garment; a hairstyle has none.
    #[schema(value_type = Option<String>, format = Binary)]
    garment_image: Option<Vec<u8>>,
}

/// The form of `POST /infer`, for documentation.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "describes a multipart form, which is not read by serde"
)]
pub struct InferForm {
    /// The photo of the person.
    #[schema(value_type = String, format = Binary)]
    masked_user_image: Vec<u8>,
    /// The photo of the garment; a hairstyle has none.
    #[schema(value_type = Option<String>, format = Binary)]
    garment_image: Option<Vec<u8>>,
    /// The model that is asked for; the one that is loaded where absent.
    #[schema(example = "preview")]
    provider: Option<String>,
    /// A `JobConfig` as JSON.
    #[schema(example = "{\"category\": \"tops\"}")]
    config: Option<String>,
    /// The seed.
    #[schema(value_type = Option<u64>, example = 42)]
    seed: Option<String>,
    /// Denoising steps.
    #[schema(value_type = Option<u32>, example = 4)]
    steps: Option<String>,
    /// Guidance scale.
    #[schema(value_type = Option<f32>, example = 1.0)]
    cfg: Option<String>,
    /// Replaces the built-in prompt of the task.
    prompt: Option<String>,
}

/// The form of `POST /check`, for documentation.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "describes a multipart form, which is not read by serde"
)]
pub struct CheckForm {
    /// The photo of the person.
    #[schema(value_type = String, format = Binary)]
    masked_user_image: Vec<u8>,
    /// The model that is asked for; the one that is loaded where absent.
    #[schema(example = "preview")]
    provider: Option<String>,
    /// A `JobConfig` as JSON, of which `category` counts.
    #[schema(example = "{\"category\": \"tops\"}")]
    config: Option<String>,
}

/// What would be masked of a photo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CheckReport {
    /// The region; `null` where none would be, because the model finds out by itself what to change.
    pub mask: Option<MaskReport>,
    /// What a job with the photo would fail with.
    pub error: Option<ResultError>,
}

/// A region of a photo.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MaskReport {
    /// Its share of the photo's pixels, 0 to 1.
    pub share: f64,
    /// The rectangle around it.
    pub region: Rectangle,
}

/// 202: the job will run, and its result will be sent to the result callback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Accepted {
    /// `accepted`.
    pub status: String,
    /// The job's id.
    pub job_id: String,
    /// A sentence.
    pub message: String,
}

impl Accepted {
    /// The job waits for nothing but the device.
    pub fn queued(job_id: impl Into<String>) -> Self {
        Self::with_message(job_id, "Job queued for processing")
    }

    /// The job will be stopped at its next step.
    pub fn cancelling(job_id: impl Into<String>) -> Self {
        Self::with_message(job_id, "Job is being cancelled")
    }

    fn with_message(job_id: impl Into<String>, message: &str) -> Self {
        Self {
            status: "accepted".to_owned(),
            job_id: job_id.into(),
            message: message.to_owned(),
        }
    }
}

/// 429: another job has the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Busy {
    /// `busy`.
    pub status: String,
    /// A sentence.
    pub message: String,
    /// Whole seconds until the device is expected to be free; the `Retry-After` header's number.
    pub retry_after: u64,
}

impl Busy {
    /// What a busy node says.
    pub const MESSAGE: &str = "GPU server is currently busy";

    /// Another job has the device for about `retry_after` seconds.
    pub fn new(retry_after: u64) -> Self {
        Self {
            status: "busy".to_owned(),
            message: Self::MESSAGE.to_owned(),
            retry_after,
        }
    }
}

/// Any other refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Detail {
    /// A sentence that says what is wrong.
    pub detail: String,
    /// The kind of failure, where a job ran and failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_name: Option<String>,
    /// Whole seconds to wait, with `POST /infer`'s 429.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl Detail {
    /// A refusal with nothing but a sentence.
    pub fn new(detail: impl Into<String>) -> Self {
        Self {
            detail: detail.into(),
            error_name: None,
            retry_after: None,
        }
    }
}
