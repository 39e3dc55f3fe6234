//! What is told of a job.

use std::fmt;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tryon_api::public::Progress;
use tryon_core::{error::JobErrorCode, id::JobId};

/// How a job stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Told")]
pub enum Status {
    /// It has not ended.
    Processing,
    /// It delivered at least one picture.
    Completed {
        /// Links to them, for [`Client::download`](crate::Client::download), without a key and for a
        /// limited time.
        outputs: Vec<String>,
    },
    /// It delivered none, and cost nothing.
    Failed(JobFailure),
}

impl Status {
    /// Whether it stays so.
    pub const fn is_terminal(&self) -> bool {
        !matches!(self, Self::Processing)
    }

    /// What came of the job: links to its pictures, or why there are none. `None` while it has not
    /// ended.
    pub fn into_outcome(self) -> Option<Result<Vec<String>, JobFailure>> {
        match self {
            Self::Processing => None,
            Self::Completed { outputs } => Some(Ok(outputs)),
            Self::Failed(failure) => Some(Err(failure)),
        }
    }
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JobFailure {
    /// The kind, such as `ImageLoadError`.
    pub name: String,
    /// A sentence that says what to do.
    pub message: String,
}

impl JobFailure {
    /// The kind, if this client knows it.
    pub fn code(&self) -> Option<JobErrorCode> {
        JobErrorCode::from_name(&self.name)
    }
}

impl fmt::Display for JobFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

/// A job and how it stands: what its webhook says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Job {
    /// The job.
    pub id: JobId,
    /// How it stands.
    #[serde(flatten)]
    pub status: Status,
}

/// How a followed job stands, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Event {
    /// How it stands.
    #[serde(flatten)]
    pub status: Status,
    /// How far it is; `None` once it has ended, and where nobody says.
    #[serde(default, deserialize_with = "progress_or_none")]
    pub progress: Option<Progress>,
}

/// A job that completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The job.
    pub job: JobId,
    /// Links to its pictures, at least one.
    pub outputs: Vec<String>,
}

/// How a job stands, on the wire.
#[derive(Deserialize)]
struct Told {
    status: String,
    #[serde(default)]
    output: Option<Vec<String>>,
    #[serde(default)]
    error: Option<JobFailure>,
}

/// What is told of a job makes no sense to this client.
#[derive(Debug, thiserror::Error)]
enum StatusFault {
    #[error("unknown job status `{}`", .0.chars().take(64).collect::<String>())]
    Unknown(String),
    #[error("a failed job without `error`")]
    NoError,
    #[error("a completed job without `output`")]
    NoOutput,
}

impl TryFrom<Told> for Status {
    type Error = StatusFault;

    fn try_from(told: Told) -> Result<Self, StatusFault> {
        match told.status.as_str() {
            "processing" => Ok(Self::Processing),
            "completed" => {
                let outputs = told.output.filter(|outputs| !outputs.is_empty());
                let outputs = outputs.ok_or(StatusFault::NoOutput)?;
                Ok(Self::Completed { outputs })
            }
            "failed" => told.error.map(Self::Failed).ok_or(StatusFault::NoError),
            _ => Err(StatusFault::Unknown(told.status)),
        }
    }
}

/// A newer gateway may tell of stages that this client does not know, which is no reason to stop
/// waiting for the end.
fn progress_or_none<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Progress>, D::Error> {
    let value = Value::deserialize(source)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_of_three_and_its_parts_are_there() {
        let read = |text| serde_json::from_str::<Status>(text).map_err(|error| error.to_string());
        let processing = r#"{"id": "x", "ok": true, "status": "processing", "error": null}"#;
        assert_eq!(read(processing), Ok(Status::Processing));
        let completed = r#"{"status": "completed", "output": ["https://a"], "error": null}"#;
        let outputs = vec!["https://a".to_owned()];
        assert_eq!(read(completed), Ok(Status::Completed { outputs }));
        let failed = r#"{"status": "failed", "error": {"name": "New", "message": "odd"}}"#;
        let Ok(Status::Failed(failure)) = read(failed) else {
            panic!("it failed")
        };
        assert_eq!(
            (failure.to_string().as_str(), failure.code()),
            ("New: odd", None)
        );
        for (wrong, why) in [
            (r#"{"status": "asleep"}"#, "unknown job status `asleep`"),
            (r#"{"status": "failed"}"#, "a failed job without `error`"),
            (
                r#"{"status": "completed", "output": []}"#,
                "a completed job without `output`",
            ),
            ("{}", "missing field `status`"),
        ] {
            assert!(read(wrong).unwrap_err().contains(why), "{wrong}");
        }
    }

    #[test]
    fn a_stage_that_is_new_is_not_an_end() {
        let event = |stage: &str| {
            let text = format!(
                r#"{{"status": "processing", "progress": {{"stage": "{stage}", "queue_position": 3,
                    "remaining_ms": null, "samples": []}}}}"#
            );
            serde_json::from_str::<Event>(&text).unwrap()
        };
        let queued = event("queued").progress.unwrap();
        assert_eq!(queued.queue_position, Some(3));
        let new = event("dreaming");
        assert_eq!((new.status, new.progress), (Status::Processing, None));
    }
}
