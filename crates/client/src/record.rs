//! What is kept of jobs, messages and erasures.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, de};
use tryon_api::public::{DeliveryState, ErasureStatus, Masking, Rectangle};
use tryon_core::{
    id::{ErasureId, JobId, UploadId},
    task::{Mode, OutputFormat, Provider, Task},
};

use crate::{
    answer::{JobFailure, Status},
    picture::Picture,
};

/// Which page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paging {
    /// How many entries at most, 1 to 100; 20 where absent.
    pub limit: Option<u8>,
    /// The `next` of the page before.
    pub after: Option<JobId>,
}

impl Paging {
    pub(crate) fn query(&self) -> String {
        let limit = self.limit.map(|limit| format!("limit={limit}"));
        let after = self.after.map(|after| format!("after={after}"));
        let query: Vec<_> = limit.into_iter().chain(after).collect();
        query.join("&")
    }
}

/// A page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Page<T> {
    /// The entries.
    #[serde(alias = "jobs", alias = "deliveries")]
    pub entries: Vec<T>,
    /// Where the next page begins, which may be empty; `None` when there is none.
    pub next: Option<JobId>,
}

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ListedJob {
    /// The job.
    pub id: JobId,
    /// How it stands.
    #[serde(flatten)]
    pub status: Status,
    /// What was asked for.
    pub task: Task,
    /// How it weighs speed against quality.
    pub mode: Mode,
    /// The model that serves it.
    pub provider: Provider,
    /// The format of its pictures.
    pub output_format: OutputFormat,
    /// Pictures that were asked for.
    pub num_samples: u32,
    /// The picture of the person: its URL, `<base64>` for one that was sent along, or `<erased>`.
    pub person_image: String,
    /// The picture of the garment or design; `None` for a hairstyle.
    pub garment_image: Option<String>,
    /// Credits that it cost; 0 while it has not ended.
    pub credits: u32,
    /// When it was accepted.
    #[serde(deserialize_with = "moment")]
    pub created_at: SystemTime,
    /// When it ended.
    #[serde(deserialize_with = "moment_or_none")]
    pub ended_at: Option<SystemTime>,
}

/// A picture that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Upload {
    /// What it is erased by.
    pub id: UploadId,
    /// What submissions of the same account take.
    #[serde(rename = "url")]
    pub picture: Picture,
    /// Until when they do.
    #[serde(deserialize_with = "moment")]
    pub expires_at: SystemTime,
}

/// What would become of a picture.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Checked {
    /// Whether a job with it would come as far as making pictures.
    pub usable: bool,
    /// What a job would fail with, where it is not usable.
    #[serde(rename = "error")]
    pub failure: Option<JobFailure>,
    /// What tells which part of the person is dressed; `None` where nobody is.
    pub masking: Option<Masking>,
    /// Which part, where it is marked or a node's person parser found it.
    pub mask: Option<Masked>,
}

/// The region of a picture that is dressed.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Masked {
    /// Its share of the picture's pixels, 0 to 1.
    pub share: f64,
    /// The rectangle around it.
    pub region: Rectangle,
}

/// The message about a job's end, and its log, which is kept for 30 days.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Delivery {
    /// The job.
    pub job: JobId,
    /// Where it goes.
    pub url: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// When the job ended.
    #[serde(deserialize_with = "moment")]
    pub created_at: SystemTime,
    /// When it is tried next.
    #[serde(deserialize_with = "moment_or_none")]
    pub next_try_at: Option<SystemTime>,
    /// What came of each try, oldest first. One whose number is missing was cut short.
    pub tries: Vec<DeliveryTry>,
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DeliveryTry {
    /// Its number, from 1.
    pub number: u32,
    /// When it began.
    #[serde(deserialize_with = "moment")]
    pub at: SystemTime,
    /// How long it took.
    #[serde(rename = "took_ms", deserialize_with = "millis")]
    pub took: Duration,
    /// The status that the receiver answered; `None` when it did not.
    pub status: Option<u16>,
    /// Why it did not; `None` when it did.
    pub error: Option<String>,
}

/// A receipt of an erasure. It names no person, and is kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Receipt {
    /// Its id, to ask for it again.
    pub id: ErasureId,
    /// How far the erasure is.
    pub status: ErasureStatus,
    /// The job, where it is of one and not of an end user.
    #[serde(default)]
    pub job: Option<JobId>,
    /// When it was asked for first.
    #[serde(deserialize_with = "moment")]
    pub requested_at: SystemTime,
    /// When the last of it was gone.
    #[serde(deserialize_with = "moment_or_none")]
    pub finished_at: Option<SystemTime>,
    /// Jobs that were erased.
    pub jobs: u64,
    /// What was deleted of them.
    pub deleted: Deleted,
    /// What stays of them, and why.
    pub kept: Vec<Kept>,
}

/// What was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Deleted {
    /// Pictures that were there still, by their kind.
    pub pictures: Vec<DeletedPictures>,
    /// What the database said.
    pub database: Vec<DeletedColumns>,
}

/// Pictures of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DeletedPictures {
    /// Where they were: `disk`, `bucket` or `memory`.
    pub storage: String,
    /// `uploads`: inputs as they were sent; `prepared`: inputs made ready; `outputs`: results.
    pub folder: String,
    /// How many there were.
    pub count: u64,
}

/// Columns of a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DeletedColumns {
    /// The table.
    pub table: String,
    /// Its columns; what was in them, where that is less than all.
    pub columns: Vec<String>,
}

/// What stays.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Kept {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
}

fn moment<'de, D: Deserializer<'de>>(source: D) -> Result<SystemTime, D::Error> {
    read_moment(&String::deserialize(source)?)
}

fn moment_or_none<'de, D: Deserializer<'de>>(source: D) -> Result<Option<SystemTime>, D::Error> {
    let text = Option::<String>::deserialize(source)?;
    text.as_deref().map(read_moment).transpose()
}

fn read_moment<E: de::Error>(text: &str) -> Result<SystemTime, E> {
    humantime::parse_rfc3339(text).map_err(E::custom)
}

fn millis<'de, D: Deserializer<'de>>(source: D) -> Result<Duration, D::Error> {
    u64::deserialize(source).map(Duration::from_millis)
}
