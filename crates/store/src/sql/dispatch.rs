//! Giving samples to nodes.
//!
//! Each update names the attempt and the states it starts from, so that whoever acts on an attempt
//! that is not the sample's current one changes nothing.

use tryon_core::{
    id::{AttemptId, SampleId},
    task::Provider,
    time::Timestamp,
};

use super::{
    node,
    statement::{Connection, Sql, query},
};
use crate::{
    matching::{self, IdleNode},
    record::Assignment,
    row::{DueRow, IdleNodeRow, Progress, ProgressRow},
    store::StoreError,
};

const LIST_IDLE: &str = "
    SELECT name, providers FROM nodes
    WHERE attempt IS NULL AND state = 'ready' AND hold_until <= $1 AND NOT drained
        AND (registered_until IS NULL OR registered_until > $1)
    ORDER BY assigned_at, name";

/// One claim at a time: one that passed over the nodes that another looks at would find none where
/// there are some.
const WAIT_FOR_CLAIMS: &str = "SELECT pg_advisory_xact_lock($1)";

/// The lock's key in its database: the bytes of `dispatch`.
const DISPATCH: i64 = 0x6469_7370_6174_6368;

/// PostgreSQL is left no choice but to follow the queue's index to the first samples. With a join
/// to reorder it may read every job there ever was; and it takes the two comparisons, which hold
/// for nearly the whole queue, for rare ones, but for the sums. The jobs are locked too, because
/// starting one must not wait for whoever ends it and waits for its samples; as that is known only
/// after the samples are chosen, there are a few to spare.
pub(crate) const LOCK_DUE: Sql = Sql {
    sqlite: "
    SELECT s.job_id, s.idx, s.created_at, s.attempt, s.seed, j.account_id, j.request, j.plan,
        j.inputs, j.deadline
    FROM samples AS s JOIN jobs AS j ON j.id = s.job_id
    WHERE s.provider = $1 AND s.due_at <= $2 AND j.deadline > $2
    ORDER BY s.created_at, s.job_id, s.idx LIMIT $3",
    postgres: "
    SELECT s.job_id, s.idx, s.created_at, s.attempt, s.seed, j.account_id, j.request, j.plan,
        j.inputs, j.deadline
    FROM (
        SELECT job_id, idx, created_at, attempt, seed FROM samples
        WHERE provider = $1 AND due_at IS NOT NULL AND due_at + 0 <= $2 AND deadline + 0 > $2
        ORDER BY created_at, job_id, idx LIMIT $3 + 8 FOR UPDATE SKIP LOCKED) AS s
    CROSS JOIN LATERAL (
        SELECT account_id, request, plan, inputs, deadline FROM jobs WHERE id = s.job_id
        FOR UPDATE SKIP LOCKED) AS j
    ORDER BY s.created_at, s.job_id, s.idx LIMIT $3",
};

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

macro_rules! progress {
    ($lock:literal) => {
        concat!(
            "SELECT idx, state, attempt, lost, error_name, error_message FROM samples
             WHERE job_id = $1 AND idx = $2",
            $lock
        )
    };
}

pub(crate) const PROGRESS: Sql = Sql {
    sqlite: progress!(""),
    postgres: progress!(" FOR UPDATE"),
};

pub(super) async fn claim(
    connection: &mut Connection<'_>,
    now: Timestamp,
    lease_until: Timestamp,
    limit: u32,
) -> Result<Vec<Assignment>, StoreError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut idle = list_idle(connection, now).await?;
    if connection.is_shared() && !idle.is_empty() {
        let wait = query(WAIT_FOR_CLAIMS).bind(DISPATCH);
        wait.execute(connection).await?;
        idle = list_idle(connection, now).await?;
    }
    let due = lock_due(connection, &idle, limit, now).await?;

    let mut assignments = Vec::new();
    for (row, node) in matching::pair(due, idle, limit) {
        let assignment = row.into_assignment(node)?;
        if assign(connection, &assignment, lease_until, now).await? {
            assignments.push(assignment);
        }
    }
    Ok(assignments)
}

/// The due samples that these nodes could be given, oldest first.
async fn lock_due(
    connection: &mut Connection<'_>,
    idle: &[IdleNode],
    limit: usize,
    now: Timestamp,
) -> Result<Vec<(Provider, DueRow)>, StoreError> {
    let mut due = Vec::new();
    for (provider, nodes) in matching::offered(idle) {
        let count = i64::try_from(nodes.min(limit)).unwrap_or(i64::MAX);
        let rows: Vec<DueRow> = query(LOCK_DUE)
            .bind(provider.as_str())
            .bind(now)
            .bind(count)
            .fetch_all(connection)
            .await?;
        due.extend(rows.into_iter().map(|row| (provider, row)));
    }
    due.sort_by_cached_key(|(_, row)| row.age());
    Ok(due)
}

async fn list_idle(
    connection: &mut Connection<'_>,
    now: Timestamp,
) -> Result<Vec<IdleNode>, StoreError> {
    let rows: Vec<IdleNodeRow> = query(LIST_IDLE).bind(now).fetch_all(connection).await?;
    Ok(rows.into_iter().map(IdleNode::from).collect())
}

/// False, and nothing changed, when the node was taken out of the configuration meanwhile.
async fn assign(
    connection: &mut Connection<'_>,
    assignment: &Assignment,
    lease_until: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let AttemptId { sample, number } = assignment.attempt;
    if !node::assign(connection, &assignment.node, assignment.attempt, now).await? {
        return Ok(false);
    }
    let leased = query(LEASE)
        .bind(sample.job.to_string())
        .bind(sample.index)
        .bind(number)
        .bind(lease_until)
        .bind(assignment.node.as_str())
        .execute(connection)
        .await?;
    if leased != 1 {
        // It was locked in this transaction; never give out a node without a sample.
        return Err(StoreError::Database(sqlx::Error::RowNotFound));
    }
    query(START_JOB)
        .bind(sample.job.to_string())
        .execute(connection)
        .await?;
    Ok(true)
}

pub(super) async fn confirm(
    connection: &mut Connection<'_>,
    attempt: AttemptId,
    lease_until: Timestamp,
) -> Result<bool, StoreError> {
    let done = query(CONFIRM)
        .bind(attempt.sample.job.to_string())
        .bind(attempt.sample.index)
        .bind(attempt.number)
        .bind(lease_until)
        .execute(connection)
        .await?;
    Ok(done == 1)
}

pub(super) async fn defer(
    connection: &mut Connection<'_>,
    attempt: AttemptId,
    due_at: Timestamp,
) -> Result<bool, StoreError> {
    requeue(connection, attempt, due_at, false).await
}

/// Queues the sample again and frees the node. False when the attempt is not the current one.
pub(super) async fn requeue(
    connection: &mut Connection<'_>,
    attempt: AttemptId,
    due_at: Timestamp,
    lost: bool,
) -> Result<bool, StoreError> {
    let done = query(REQUEUE)
        .bind(attempt.sample.job.to_string())
        .bind(attempt.sample.index)
        .bind(attempt.number)
        .bind(due_at)
        .bind(i64::from(lost))
        .execute(connection)
        .await?;
    if done == 0 {
        return Ok(false);
    }
    node::free(connection, attempt).await?;
    Ok(true)
}

pub(super) async fn find_progress(
    connection: &mut Connection<'_>,
    sample: SampleId,
) -> Result<Option<Progress>, StoreError> {
    let row: Option<ProgressRow> = query(PROGRESS)
        .bind(sample.job.to_string())
        .bind(sample.index)
        .fetch_optional(connection)
        .await?;
    row.map(Progress::try_from).transpose()
}
