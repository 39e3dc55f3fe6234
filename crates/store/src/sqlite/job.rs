//! Reading jobs, and preparing their inputs.

use sqlx::{SqliteConnection, SqlitePool, types::Json};
use tryon_core::{id::JobId, time::Timestamp};

use crate::{
    record::{Job, JobPage, Pair, Preparation},
    row::{JobSampleRow, PreparationRow, gather_jobs},
    store::StoreError,
};

/// The columns of a [`JobSampleRow`] of `jobs AS j` joined with `samples AS s`.
macro_rules! job_sample_columns {
    () => {
        "j.id, j.account_id, j.state, j.request, j.plan, j.sources, j.error_name, j.error_message,
         j.created_at, j.deadline, j.ended_at, j.outputs_erased_at, s.idx,
         s.state AS sample_state, s.seed, s.attempt, s.output, s.error_name AS sample_error_name,
         s.error_message AS sample_error_message"
    };
}

pub(super) const FIND: &str = concat!(
    "SELECT ",
    job_sample_columns!(),
    " FROM jobs AS j JOIN samples AS s ON s.job_id = j.id WHERE j.id = $1 ORDER BY s.idx"
);

macro_rules! list_jobs {
    ($condition:literal) => {
        concat!(
            "SELECT ",
            job_sample_columns!(),
            " FROM (SELECT * FROM jobs WHERE ",
            $condition,
            " ORDER BY created_at DESC, id DESC LIMIT $2) AS j
              JOIN samples AS s ON s.job_id = j.id
              ORDER BY j.created_at DESC, j.id DESC, s.idx"
        )
    };
}

pub(super) const LIST: &str = list_jobs!("account_id = $1");

pub(super) const LIST_AFTER: &str = list_jobs!(
    "account_id = $1 AND (created_at, id) < (SELECT created_at, id FROM jobs WHERE id = $3)"
);

/// The signs keep the planner from every index but the one that has the oldest job first.
pub(super) const CLAIM_PREPARATION: &str = "
    UPDATE jobs SET preparation_lease = $2 WHERE id = (
        SELECT id FROM jobs
        WHERE state = 'accepted' AND +preparation_lease <= $1 AND +deadline > $1
            AND +account_id NOT IN (SELECT value FROM json_each($3))
        ORDER BY created_at, id LIMIT 1)
    RETURNING id, account_id, sources, request, plan, deadline";

const FINISH_PREPARATION: &str = "
    UPDATE jobs SET state = 'prepared', inputs = $2 WHERE id = $1 AND state = 'accepted'";

const QUEUE_SAMPLES: &str = "
    UPDATE samples SET due_at = $2 WHERE job_id = $1 AND state = 'queued'";

pub(super) async fn find(pool: &SqlitePool, id: JobId) -> Result<Option<Job>, StoreError> {
    let rows: Vec<JobSampleRow> = sqlx::query_as(FIND)
        .bind(id.to_string())
        .fetch_all(pool)
        .await?;
    Ok(gather_jobs(rows)?.pop())
}

pub(super) async fn list(pool: &SqlitePool, page: JobPage) -> Result<Vec<Job>, StoreError> {
    let account = page.account.to_string();
    let query = match page.after {
        None => sqlx::query_as(LIST).bind(account).bind(page.limit),
        Some(after) => sqlx::query_as(LIST_AFTER)
            .bind(account)
            .bind(page.limit)
            .bind(after.to_string()),
    };
    let rows: Vec<JobSampleRow> = query.fetch_all(pool).await?;
    gather_jobs(rows)
}

pub(super) async fn claim_preparation(
    connection: &mut SqliteConnection,
    now: Timestamp,
    lease_until: Timestamp,
    passed_over: Vec<String>,
) -> Result<Option<Preparation>, StoreError> {
    let row: Option<PreparationRow> = sqlx::query_as(CLAIM_PREPARATION)
        .bind(now.as_millis())
        .bind(lease_until.as_millis())
        .bind(Json(passed_over))
        .fetch_optional(connection)
        .await?;
    row.map(Preparation::try_from).transpose()
}

pub(super) async fn finish_preparation(
    connection: &mut SqliteConnection,
    job: JobId,
    inputs: Pair<String>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query(FINISH_PREPARATION)
        .bind(job.to_string())
        .bind(Json(inputs))
        .execute(&mut *connection)
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query(QUEUE_SAMPLES)
        .bind(job.to_string())
        .bind(now.as_millis())
        .execute(connection)
        .await?;
    Ok(true)
}
