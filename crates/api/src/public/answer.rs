//! What clients are answered.

use serde::{Deserialize, Serialize};
use tryon_core::{
    error::{ApiErrorCode, JobError, JobErrorCode},
    id::JobId,
    ledger::Balance,
};
use utoipa::ToSchema;

/// A job was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Submitted {
    /// The job's id: 24 lower-case hex digits.
    #[schema(value_type = String, example = "64b7f1a9d9a3b8e5c7f9a123")]
    pub id: JobId,
    /// The same, for clients that look here.
    #[serde(rename = "jobId")]
    #[schema(value_type = String, example = "64b7f1a9d9a3b8e5c7f9a123")]
    pub job_id: JobId,
    /// Always `true`.
    pub ok: bool,
    /// Why it failed, where its end was waited for; `null` otherwise.
    pub error: Option<JobFailure>,
    /// Where the job is, where its end was waited for (`Prefer: wait=N`); absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<JobStatus>,
    /// As in the answer of the status route, where its end was waited for; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Vec<String>>,
}

impl From<JobId> for Submitted {
    fn from(id: JobId) -> Self {
        Self {
            id,
            job_id: id,
            ok: true,
            error: None,
            status: None,
            output: None,
        }
    }
}

impl From<StatusAnswer> for Submitted {
    fn from(answer: StatusAnswer) -> Self {
        Self {
            error: answer.error,
            status: Some(answer.status),
            output: answer.output,
            ..Self::from(answer.id)
        }
    }
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    /// It has not ended.
    Processing,
    /// It delivered at least one picture.
    Completed,
    /// It delivered none, and cost nothing.
    Failed,
}

/// How a job stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StatusAnswer {
    /// The job's id.
    #[schema(value_type = String, example = "64b7f1a9d9a3b8e5c7f9a123")]
    pub id: JobId,
    /// Always `true`.
    pub ok: bool,
    /// Where the job is.
    pub status: JobStatus,
    /// Links to its pictures, without a key, for 72 hours after its end. Absent while it is
    /// processed, empty when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Vec<String>>,
    /// Why it failed; `null` otherwise.
    pub error: Option<JobFailure>,
}

impl StatusAnswer {
    /// A job that has not ended.
    pub const fn processing(id: JobId) -> Self {
        Self {
            id,
            ok: true,
            status: JobStatus::Processing,
            output: None,
            error: None,
        }
    }

    /// A job that delivered these pictures.
    pub const fn completed(id: JobId, output: Vec<String>) -> Self {
        Self {
            id,
            ok: true,
            status: JobStatus::Completed,
            output: Some(output),
            error: None,
        }
    }

    /// A job that failed.
    pub fn failed(id: JobId, error: JobError) -> Self {
        let (status, error) = (JobStatus::Failed, Some(error.into()));
        Self {
            id,
            ok: true,
            status,
            output: Some(Vec::new()),
            error,
        }
    }
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct JobFailure {
    /// The kind: `ImageLoadError`, `InputValidationError`, `ContentModerationError`, `PoseError`,
    /// `ProcessingError`, `PipelineError`, `Timeout` or `Cancelled`.
    #[schema(value_type = String, example = "ImageLoadError")]
    pub name: JobErrorCode,
    /// A sentence that says what to do.
    pub message: String,
}

impl From<JobError> for JobFailure {
    fn from(JobError { name, message }: JobError) -> Self {
        Self { name, message }
    }
}

/// What an account holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct CreditAnswer {
    /// Always `true`.
    pub ok: bool,
    /// The figures.
    pub credits: Credits,
}

/// Credits; one buys one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Credits {
    /// What new jobs may use: `subscription + purchased − reserved`.
    pub on_demand: u64,
    /// Credits of the subscription.
    pub subscription: u64,
    /// Credits that were bought.
    pub purchased: u64,
    /// Credits set aside for jobs under way.
    pub reserved: u64,
}

impl From<Balance> for CreditAnswer {
    fn from(balance: Balance) -> Self {
        let Balance {
            subscription,
            purchased,
            reserved,
        } = balance;
        let on_demand = balance.available();
        Self {
            ok: true,
            credits: Credits {
                on_demand,
                subscription,
                purchased,
                reserved,
            },
        }
    }
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ErrorBody {
    /// The kind: `BadRequest`, `UnauthorizedAccess`, `NotFound`, `RateLimitExceeded`,
    /// `ConcurrencyLimitExceeded`, `OutOfCredits` or `InternalServerError`.
    #[schema(value_type = String, example = "BadRequest")]
    pub error: ApiErrorCode,
    /// A sentence that says what to do.
    pub message: String,
}
