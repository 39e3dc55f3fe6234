//! Following a job, and listing jobs.

use serde::{Deserialize, Serialize};
use tryon_core::{
    id::JobId,
    job::SampleState,
    task::{Mode, OutputFormat, Provider, Task},
    time::Timestamp,
};
use utoipa::ToSchema;

use super::{
    StatusAnswer,
    moment::{rfc3339, rfc3339_or_null},
};

/// How a followed job stands: what its status route answers, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct JobEvent {
    /// What the status route answers.
    #[serde(flatten)]
    pub answer: StatusAnswer,
    /// How far it is; `null` once it has ended.
    pub progress: Option<Progress>,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// What it is at.
    pub stage: Stage,
    /// The place in the queue of the first of its pictures that waits: 1 is next, and 101 stands for
    /// whatever is behind a hundred others. `null` where none waits, or it is not known yet.
    #[schema(example = 3)]
    pub queue_position: Option<u32>,
    /// Milliseconds until it is expected to end, by how long such pictures took lately. `null` where
    /// nobody knows.
    #[schema(example = 4200)]
    pub remaining_ms: Option<u64>,
    /// Its pictures, in the order of their seeds.
    pub samples: Vec<SampleProgress>,
}

/// What a job is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The pictures that were sent are fetched and looked at.
    Preparing,
    /// It waits for a node.
    Queued,
    /// At least one of its pictures was given to a node.
    Running,
}

/// How far one of its pictures is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SampleProgress {
    /// Where it is.
    pub status: SampleStatus,
    /// Steps that its node has done; `null` where the node does not say.
    pub step: Option<u32>,
    /// Steps in all.
    pub steps: Option<u32>,
}

/// Where a picture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SampleStatus {
    /// It waits.
    Queued,
    /// A node has it.
    Running,
    /// It was delivered.
    Completed,
    /// It ended without a picture, and cost nothing.
    Failed,
}

impl From<SampleState> for SampleStatus {
    fn from(state: SampleState) -> Self {
        match state {
            SampleState::Queued => Self::Queued,
            SampleState::Dispatched | SampleState::Running => Self::Running,
            SampleState::Succeeded => Self::Completed,
            SampleState::Failed => Self::Failed,
        }
    }
}

/// A page of the account's jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct JobPage {
    /// Always `true`.
    pub ok: bool,
    /// The jobs, newest first.
    pub jobs: Vec<ListedJob>,
    /// What to send as `after` for the next page, which may be empty; `null` when there is none.
    #[schema(value_type = Option<String>)]
    pub next: Option<JobId>,
}

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ListedJob {
    /// What the status route answers.
    #[serde(flatten)]
    pub answer: StatusAnswer,
    /// What was asked for: `clothes`, `hairstyle` or `tattoo`.
    #[schema(value_type = String, example = "clothes")]
    pub task: Task,
    /// `performance`, `balanced` or `quality`.
    #[schema(value_type = String, example = "balanced")]
    pub mode: Mode,
    /// The model that serves it.
    #[schema(value_type = String, example = "qwen")]
    pub provider: Provider,
    /// `png` or `jpeg`.
    #[schema(value_type = String, example = "png")]
    pub output_format: OutputFormat,
    /// Pictures that were asked for.
    pub num_samples: u32,
    /// The picture of the person: its URL, `<base64>` for one that was sent along, or `<erased>`.
    #[schema(example = "https://example.org/person.jpg")]
    pub person_image: String,
    /// The picture of the garment or design; `null` for a hairstyle.
    #[schema(example = "<base64>")]
    pub garment_image: Option<String>,
    /// Credits that it cost; 0 while it has not ended.
    pub credits: u32,
    /// When it was accepted.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it ended.
    #[serde(serialize_with = "rfc3339_or_null")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
}
