//! What was erased, and what was not.

use serde::{Deserialize, Serialize};
use tryon_core::{
    id::{ErasureId, JobId},
    time::Timestamp,
};
use utoipa::ToSchema;

use super::moment::{rfc3339, rfc3339_or_null};

/// How far an erasure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ErasureStatus {
    /// It goes on by itself: ask for the receipt again.
    UnderWay,
    /// Nothing is left to erase.
    Finished,
}

/// A receipt of an erasure. It names no person, and is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Receipt {
    /// Always `true`.
    pub ok: bool,
    /// Its id, to ask for it again.
    #[schema(value_type = String, example = "64b7f1a9d9a3b8e5c7f9a123")]
    pub id: ErasureId,
    /// How far it is.
    pub status: ErasureStatus,
    /// The job, where it is of one and not of an end user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "64b7f1a9d9a3b8e5c7f9a123")]
    pub job: Option<JobId>,
    /// When it was asked for first.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub requested_at: Timestamp,
    /// When the last of it was gone.
    #[serde(serialize_with = "rfc3339_or_null")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// Jobs that were erased.
    pub jobs: u64,
    /// What was deleted of them.
    pub deleted: Deleted,
    /// What stays of them, and why.
    pub kept: Vec<Kept>,
}

/// What was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Deleted {
    /// Pictures that were there still, by their kind.
    pub pictures: Vec<DeletedPictures>,
    /// What the database said.
    pub database: Vec<DeletedColumns>,
}

/// Pictures of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DeletedPictures {
    /// Where they were: `disk`, `bucket` or `memory`.
    pub storage: &'static str,
    /// `uploads`: inputs as they were sent; `prepared`: inputs made ready; `outputs`: results.
    pub folder: &'static str,
    /// How many there were.
    pub count: u64,
}

/// Columns of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DeletedColumns {
    /// The table.
    pub table: &'static str,
    /// Its columns; what was in them, where that is less than all.
    pub columns: Vec<&'static str>,
}

/// What stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Kept {
    /// What.
    pub what: &'static str,
    /// Why.
    pub why: &'static str,
}

/// What an erased job leaves blank in the database.
pub fn deleted_columns() -> Vec<DeletedColumns> {
    let jobs = [
        "request: texts and region",
        "sources",
        "error_message",
        "end_user",
        "webhook_url",
        "trace",
    ];
    [
        ("jobs", &jobs[..]),
        ("samples", &["output", "error_message"]),
        (
            "idempotency_keys",
            &["account_id", "key", "request", "job_id", "created_at"],
        ),
        (
            "webhooks",
            &[
                "job_id",
                "account_id",
                "url",
                "state",
                "tries",
                "earlier_tries",
                "due_at",
                "created_at",
                "ended_at",
            ],
        ),
        ("webhook_addresses_gone", &["account_id", "url", "since"]),
        (
            "webhook_tries",
            &["job_id", "number", "at", "took_ms", "status", "fault"],
        ),
    ]
    .map(|(table, columns)| DeletedColumns {
        table,
        columns: columns.to_vec(),
    })
    .into()
}

/// What an erased job keeps.
pub fn kept() -> Vec<Kept> {
    let kept = |(what, why)| Kept { what, why };
    [
        (
            "ids, state, times, price and ledger rows",
            "what was paid for has to add up",
        ),
        (
            "task, choices among those that everybody has, provider and seeds",
            "they say what was paid for, and name nobody",
        ),
        (
            "pictures that were uploaded ahead (`POST /api/v1/uploads`)",
            "they are of no job, and expire by themselves, or with `DELETE /api/v1/uploads/{id}`",
        ),
        ("this receipt", "it shows that this was done"),
    ]
    .map(kept)
    .into()
}
