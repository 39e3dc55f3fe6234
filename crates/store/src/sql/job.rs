//! Reading jobs, and preparing their inputs.

use tryon_core::{id::JobId, time::Timestamp};

use super::statement::{Connection, Sql, json, query};
use crate::{
    record::{Job, JobPage, Pair, Preparation},
    row::{JobSampleRow, PreparationRow, gather_jobs},
    store::StoreError,
};

/// The columns of a [`JobSampleRow`] of `jobs AS j` joined with `samples AS s`.
macro_rules! job_sample_columns {
    () => {
        "j.id, j.account_id, j.state, j.request, j.plan, j.sources, j.error_name, j.error_message,
         j.created_at, j.deadline, j.ended_at, j.output_retention, j.outputs_once,
         j.outputs_erased_at, j.trace, s.idx,
         s.state AS sample_state, s.seed, s.attempt, s.node, s.output, s.error_name AS sample_error_name,
         s.error_message AS sample_error_message"
    };
}

pub(crate) const FIND: &str = concat!(
    "SELECT ",
    job_sample_columns!(),
    " FROM jobs AS j JOIN samples AS s ON s.job_id = j.id WHERE j.id = $1 ORDER BY s.idx"
);

macro_rules! find_many {
    ($elements:literal) => {
        concat!(
            "SELECT ",
            job_sample_columns!(),
            " FROM ",
            $elements,
            "($1) AS wanted JOIN jobs AS j ON j.id = wanted.value
              JOIN samples AS s ON s.job_id = j.id ORDER BY j.id, s.idx"
        )
    };
}

pub(crate) const FIND_MANY: Sql = Sql {
    sqlite: find_many!("json_each"),
    postgres: find_many!("jsonb_array_elements_text"),
};

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

pub(crate) const LIST: &str = list_jobs!("account_id = $1");

pub(crate) const LIST_AFTER: &str = list_jobs!(
    "account_id = $1 AND (created_at, id) < (
        SELECT created_at, id FROM jobs WHERE id = $3 AND account_id = $1)"
);

/// SQLite's signs keep its planner from every index but the one that has the oldest job first.
pub(crate) const CLAIM_PREPARATION: Sql = Sql {
    sqlite: "
    UPDATE jobs SET preparation_lease = $2 WHERE id = (
        SELECT id FROM jobs
        WHERE state = 'accepted' AND +preparation_lease <= $1 AND +deadline > $1
            AND +account_id NOT IN (SELECT value FROM json_each($3))
        ORDER BY created_at, id LIMIT 1)
    RETURNING id, account_id, sources, request, plan, deadline, trace",
    postgres: "
    UPDATE jobs SET preparation_lease = $2 WHERE id = (
        SELECT id FROM jobs
        WHERE state = 'accepted' AND preparation_lease <= $1 AND deadline > $1
            AND account_id NOT IN (SELECT jsonb_array_elements_text($3))
        ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING id, account_id, sources, request, plan, deadline, trace",
};

/// Whoever ends a sample looks at its siblings to know whether it was the last one.
const LOCK: &str = "SELECT id FROM jobs WHERE id = $1 FOR UPDATE";

const FINISH_PREPARATION: &str = "
    UPDATE jobs SET state = 'prepared', inputs = $2 WHERE id = $1 AND state = 'accepted'";

const QUEUE_SAMPLES: &str = "
    UPDATE samples SET due_at = $2 WHERE job_id = $1 AND state = 'queued'";

pub(super) async fn find(
    connection: &mut Connection<'_>,
    id: JobId,
) -> Result<Option<Job>, StoreError> {
    let rows: Vec<JobSampleRow> = query(FIND)
        .bind(id.to_string())
        .fetch_all(connection)
        .await?;
    Ok(gather_jobs(rows)?.pop())
}

pub(super) async fn find_many(
    connection: &mut Connection<'_>,
    ids: Vec<String>,
) -> Result<Vec<Job>, StoreError> {
    let find = query(FIND_MANY).bind(json(&ids));
    let rows: Vec<JobSampleRow> = find.fetch_all(connection).await?;
    gather_jobs(rows)
}

pub(super) async fn list(
    connection: &mut Connection<'_>,
    page: JobPage,
) -> Result<Vec<Job>, StoreError> {
    let account = page.account.to_string();
    let query = match page.after {
        None => query(LIST).bind(account).bind(page.limit),
        Some(after) => query(LIST_AFTER)
            .bind(account)
            .bind(page.limit)
            .bind(after.to_string()),
    };
    let rows: Vec<JobSampleRow> = query.fetch_all(connection).await?;
    gather_jobs(rows)
}

/// Keeps a job, and with it how many samples and attempts it has, as it is until the transaction
/// ends.
pub(super) async fn lock(connection: &mut Connection<'_>, id: JobId) -> Result<(), StoreError> {
    if connection.is_shared() {
        query(LOCK).bind(id.to_string()).execute(connection).await?;
    }
    Ok(())
}

pub(super) async fn claim_preparation(
    connection: &mut Connection<'_>,
    now: Timestamp,
    lease_until: Timestamp,
    passed_over: Vec<String>,
) -> Result<Option<Preparation>, StoreError> {
    let row: Option<PreparationRow> = query(CLAIM_PREPARATION)
        .bind(now)
        .bind(lease_until)
        .bind(json(&passed_over))
        .fetch_optional(connection)
        .await?;
    row.map(Preparation::try_from).transpose()
}

pub(super) async fn finish_preparation(
    connection: &mut Connection<'_>,
    job: JobId,
    inputs: Pair<String>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = query(FINISH_PREPARATION)
        .bind(job.to_string())
        .bind(json(&inputs))
        .execute(connection)
        .await?;
    if done == 0 {
        return Ok(false);
    }
    query(QUEUE_SAMPLES)
        .bind(job.to_string())
        .bind(now)
        .execute(connection)
        .await?;
    Ok(true)
}
