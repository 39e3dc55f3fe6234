//! What fell due: leases, deadlines, pictures to erase.

use tryon_core::{id::JobId, time::Timestamp};

use super::statement::{Connection, query};
use crate::{
    record::{Erasable, ExpiredLease, Source, Work},
    row::{InputsRow, LeaseRow, OutputRow, parse},
    store::StoreError,
};

pub(crate) const EXPIRED_LEASES: &str = "
    SELECT job_id, idx, attempt, state, node FROM samples WHERE lease_until <= $1
    ORDER BY lease_until LIMIT $2";

pub(crate) const OVERDUE_JOBS: &str = "
    SELECT id FROM jobs WHERE ended_at IS NULL AND deadline <= $1
    ORDER BY deadline, id LIMIT $2";

pub(crate) const ERASABLE_INPUTS: &str = "
    SELECT id, sources, inputs FROM jobs
    WHERE ended_at IS NOT NULL AND inputs_erased_at IS NULL
    ORDER BY ended_at LIMIT $1";

pub(crate) const ERASABLE_OUTPUTS: &str = "
    SELECT s.job_id, s.output
    FROM (
        SELECT id, ended_at + output_retention AS kept_until FROM jobs
        WHERE state = 'completed' AND outputs_erased_at IS NULL AND ended_at + output_retention < $1
        ORDER BY ended_at + output_retention LIMIT $2) AS j
    JOIN samples AS s ON s.job_id = j.id
    WHERE s.output IS NOT NULL
    ORDER BY j.kept_until, s.job_id, s.idx";

const INPUTS_ERASED: &str = "
    UPDATE jobs SET inputs_erased_at = $2
    WHERE id = $1 AND ended_at IS NOT NULL AND inputs_erased_at IS NULL";

const OUTPUTS_ERASED: &str = "
    UPDATE jobs SET outputs_erased_at = $2
    WHERE id = $1 AND ended_at IS NOT NULL AND outputs_erased_at IS NULL";

/// When the next of this kind falls due after a moment.
pub(crate) const fn next_due_of(work: Work) -> &'static str {
    match work {
        Work::Dispatch => {
            "SELECT MIN(at) FROM (
                SELECT MIN(due_at) AS at FROM samples WHERE due_at > $1
                UNION ALL
                SELECT MIN(hold_until) FROM nodes WHERE hold_until > 0 AND hold_until > $1) AS due"
        }
        Work::Leases => "SELECT MIN(lease_until) FROM samples WHERE lease_until > $1",
        Work::Deadlines => {
            "SELECT MIN(deadline) FROM jobs WHERE ended_at IS NULL AND deadline > $1"
        }
        Work::Preparation => {
            "SELECT MIN(preparation_lease) FROM jobs
             WHERE state = 'accepted' AND preparation_lease > $1"
        }
        Work::Delivery => "SELECT MIN(due_at) FROM webhooks WHERE due_at > $1",
        Work::Erasures => "SELECT MIN(due_at) FROM erasures WHERE due_at > $1",
    }
}

pub(super) async fn list_expired_leases(
    connection: &mut Connection<'_>,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<ExpiredLease>, StoreError> {
    let rows: Vec<LeaseRow> = query(EXPIRED_LEASES)
        .bind(now)
        .bind(limit)
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(ExpiredLease::try_from).collect()
}

pub(super) async fn list_overdue_jobs(
    connection: &mut Connection<'_>,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<JobId>, StoreError> {
    let ids: Vec<(String,)> = query(OVERDUE_JOBS)
        .bind(now)
        .bind(limit)
        .fetch_all(connection)
        .await?;
    ids.iter().map(|(id,)| parse("jobs.id", id)).collect()
}

pub(super) async fn list_erasable_inputs(
    connection: &mut Connection<'_>,
    limit: u32,
) -> Result<Vec<Erasable>, StoreError> {
    let rows: Vec<InputsRow> = query(ERASABLE_INPUTS)
        .bind(limit)
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(kept_inputs).collect()
}

/// What was sent along with the request, and what was made of it.
fn kept_inputs(row: InputsRow) -> Result<Erasable, StoreError> {
    let sent = [Some(row.sources.person), row.sources.garment];
    let sent = sent
        .into_iter()
        .flatten()
        .filter_map(|source| match source {
            Source::Blob(key) => Some(key),
            Source::Url(_) | Source::Erased => None,
        });
    let prepared = row
        .inputs
        .into_iter()
        .flat_map(|inputs| [Some(inputs.person), inputs.garment])
        .flatten();
    Ok(Erasable {
        job: parse("jobs.id", &row.id)?,
        keys: sent.chain(prepared).collect(),
    })
}

pub(super) async fn list_erasable_outputs(
    connection: &mut Connection<'_>,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Erasable>, StoreError> {
    let rows: Vec<OutputRow> = query(ERASABLE_OUTPUTS)
        .bind(now)
        .bind(limit)
        .fetch_all(connection)
        .await?;
    gather_outputs(rows)
}

fn gather_outputs(rows: Vec<OutputRow>) -> Result<Vec<Erasable>, StoreError> {
    let mut erasable: Vec<Erasable> = Vec::new();
    for OutputRow { job_id, output } in rows {
        let job = parse("samples.job_id", &job_id)?;
        match erasable.last_mut().filter(|last| last.job == job) {
            Some(last) => last.keys.push(output.key),
            None => erasable.push(Erasable {
                job,
                keys: vec![output.key],
            }),
        }
    }
    Ok(erasable)
}

pub(super) async fn mark_inputs_erased(
    connection: &mut Connection<'_>,
    job: JobId,
    now: Timestamp,
) -> Result<(), StoreError> {
    mark(connection, INPUTS_ERASED, job, now).await
}

pub(super) async fn mark_outputs_erased(
    connection: &mut Connection<'_>,
    job: JobId,
    now: Timestamp,
) -> Result<(), StoreError> {
    mark(connection, OUTPUTS_ERASED, job, now).await
}

async fn mark(
    connection: &mut Connection<'_>,
    sql: &'static str,
    job: JobId,
    now: Timestamp,
) -> Result<(), StoreError> {
    query(sql)
        .bind(job.to_string())
        .bind(now)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn next_due(
    connection: &mut Connection<'_>,
    work: Work,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let next = query(next_due_of(work)).bind(now);
    let (at,): (Option<i64>,) = next.fetch_one(connection).await?;
    Ok(at.map(Timestamp::from_millis))
}
