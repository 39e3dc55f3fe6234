//! Giving samples to nodes.
//!
//! Each update names the attempt and the states it starts from, so that whoever acts on an attempt
//! that is not the sample's current one changes nothing.

use sqlx::SqliteConnection;
use tryon_core::{
    id::{AttemptId, SampleId},
    task::Provider,
    time::Timestamp,
};

use super::node;
use crate::{
    matching::{self, IdleNode},
    record::Assignment,
    row::{DueRow, IdleNodeRow, Progress, ProgressRow},
    store::StoreError,
};

pub(super) const LIST_IDLE: &str = "
    SELECT name, providers FROM nodes
    WHERE attempt IS NULL AND state = 'ready' AND hold_until <= $1
    ORDER BY assigned_at, name";

pub(super) const LIST_DUE: &str = "
    SELECT s.job_id, s.idx, s.created_at, s.attempt, s.seed, j.account_id, j.request, j.plan,
        j.inputs, j.deadline
    FROM samples AS s JOIN jobs AS j ON j.id = s.job_id
    WHERE s.provider = $1 AND s.due_at <= $2 AND j.deadline > $2
    ORDER BY s.created_at, s.job_id, s.idx LIMIT $3";

const LEASE: &str = "
    UPDATE samples SET state = 'dispatched', attempt = $3, due_at = NULL, lease_until = $4,
        node = $5
    WHERE job_id = $1 AND idx = $2 AND attempt = $3 - 1 AND state = 'queued'";

const START_JOB: &str = "UPDATE jobs SET state = 'running' WHERE id = $1 AND state = 'prepared'";

const CONFIRM: &str = "
    UPDATE samples SET state = 'running', lease_until = $4
    WHERE job_id = $1 AND idx = $2 AND attempt = $3 AND state IN ('dispatched', 'running')";

const REQUEUE: &str = "
    UPDATE samples SET state = 'queued', due_at = $4, lost = lost + $5, lease_until = NULL,
        node = NULL
    WHERE job_id = $1 AND idx = $2 AND attempt = $3 AND state IN ('dispatched', 'running')";

pub(super) const PROGRESS: &str = "
    SELECT idx, state, attempt, lost, error_name, error_message FROM samples
    WHERE job_id = $1 AND idx = $2";

pub(super) async fn claim(
    connection: &mut SqliteConnection,
    now: Timestamp,
    lease_until: Timestamp,
    limit: u32,
) -> Result<Vec<Assignment>, StoreError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let idle = list_idle(connection, now).await?;
    let mut due = Vec::new();
    for (provider, nodes) in matching::offered(&idle) {
        let rows = list_due(connection, provider, nodes.min(limit), now).await?;
        due.extend(rows.into_iter().map(|row| (provider, row)));
    }
    due.sort_by_cached_key(|(_, row)| row.age());

    let mut assignments = Vec::new();
    for (row, node) in matching::pair(due, idle, limit) {
        let assignment = row.into_assignment(node)?;
        assign(connection, &assignment, lease_until, now).await?;
        assignments.push(assignment);
    }
    Ok(assignments)
}

async fn list_idle(
    connection: &mut SqliteConnection,
    now: Timestamp,
) -> Result<Vec<IdleNode>, StoreError> {
    let rows: Vec<IdleNodeRow> = sqlx::query_as(LIST_IDLE)
        .bind(now.as_millis())
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(IdleNode::from).collect())
}

async fn list_due(
    connection: &mut SqliteConnection,
    provider: Provider,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<DueRow>, StoreError> {
    let rows = sqlx::query_as(LIST_DUE)
        .bind(provider.as_str())
        .bind(now.as_millis())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await?;
    Ok(rows)
}

async fn assign(
    connection: &mut SqliteConnection,
    assignment: &Assignment,
    lease_until: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let AttemptId { sample, number } = assignment.attempt;
    let leased = sqlx::query(LEASE)
        .bind(sample.job.to_string())
        .bind(sample.index)
        .bind(number)
        .bind(lease_until.as_millis())
        .bind(&assignment.node)
        .execute(&mut *connection)
        .await?;
    let marked = node::assign(connection, &assignment.node, assignment.attempt, now).await?;
    if leased.rows_affected() != 1 || !marked {
        // Both were read in this transaction; never give out one without the other.
        return Err(StoreError::Database(sqlx::Error::RowNotFound));
    }
    sqlx::query(START_JOB)
        .bind(sample.job.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn confirm(
    connection: &mut SqliteConnection,
    attempt: AttemptId,
    lease_until: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query(CONFIRM)
        .bind(attempt.sample.job.to_string())
        .bind(attempt.sample.index)
        .bind(attempt.number)
        .bind(lease_until.as_millis())
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn defer(
    connection: &mut SqliteConnection,
    attempt: AttemptId,
    due_at: Timestamp,
) -> Result<bool, StoreError> {
    requeue(connection, attempt, due_at, false).await
}

/// Queues the sample again and frees the node. False when the attempt is not the current one.
pub(super) async fn requeue(
    connection: &mut SqliteConnection,
    attempt: AttemptId,
    due_at: Timestamp,
    lost: bool,
) -> Result<bool, StoreError> {
    let done = sqlx::query(REQUEUE)
        .bind(attempt.sample.job.to_string())
        .bind(attempt.sample.index)
        .bind(attempt.number)
        .bind(due_at.as_millis())
        .bind(i64::from(lost))
        .execute(&mut *connection)
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    node::free(connection, attempt).await?;
    Ok(true)
}

pub(super) async fn find_progress(
    connection: &mut SqliteConnection,
    sample: SampleId,
) -> Result<Option<Progress>, StoreError> {
    let row: Option<ProgressRow> = sqlx::query_as(PROGRESS)
        .bind(sample.job.to_string())
        .bind(sample.index)
        .fetch_optional(connection)
        .await?;
    row.map(Progress::try_from).transpose()
}
