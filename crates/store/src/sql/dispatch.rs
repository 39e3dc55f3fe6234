//! Giving samples to nodes.
//!
//! Each update names the attempt and the states it starts from, so that whoever acts on an attempt
//! that is not the sample's current one changes nothing.
//!
//! Accounts that wait for a provider are served by turns: each has one, the lowest is served and
//! raised by one, and who comes anew joins at the latest that was served. This is start-time fair
//! queueing (P. Goyal, H. M. Vin, H. Cheng, SIGCOMM 1996) with a sample as the unit of service.

use std::collections::BTreeSet;

use tryon_core::{
    id::{AttemptId, SampleId},
    task::Provider,
    time::Timestamp,
};

use super::{
    node,
    statement::{Connection, Sql, json, query},
};
use crate::{
    matching::{self, IdleNode, Waiting},
    record::Assignment,
    row::{DueRow, IdleNodeRow, Progress, ProgressRow, parse},
    store::StoreError,
};

macro_rules! list_due {
    ($elements:literal) => {
        concat!(
            "SELECT due.value FROM ",
            $elements,
            "($1) AS due LEFT JOIN served_turns AS served ON served.provider = due.value
             WHERE EXISTS (SELECT 1 FROM turns WHERE provider = due.value AND due_at <= $2)
             ORDER BY COALESCE(served.served_at, 0)"
        )
    };
}

/// Which of these providers somebody waits for; the one that was served longest ago comes first.
pub(crate) const LIST_DUE: Sql = Sql {
    sqlite: list_due!("json_each"),
    postgres: list_due!("jsonb_array_elements_text"),
};

macro_rules! list_idle {
    ($length:literal, $offers:literal) => {
        concat!(
            "SELECT faults, providers, pace, assigned_at, name FROM nodes
             WHERE attempt IS NULL AND state = 'ready' AND NOT drained AND hold_until <= $2
                AND (registered_until IS NULL OR registered_until > $2) AND ",
            $offers,
            " ORDER BY faults, ",
            $length,
            "(providers), pace, assigned_at, name LIMIT $3"
        )
    };
}

/// The order is that of [`IdleNode`].
pub(crate) const LIST_IDLE: Sql = Sql {
    sqlite: list_idle!(
        "json_array_length",
        "EXISTS (SELECT 1 FROM json_each(providers) WHERE value = $1)"
    ),
    postgres: list_idle!("jsonb_array_length", "providers ? $1"),
};

/// One claim at a time: one that passed over the nodes that another looks at would find none where
/// there are some.
const WAIT_FOR_CLAIMS: &str = "SELECT pg_advisory_xact_lock($1)";

/// The lock's key in its database: the bytes of `dispatch`.
const DISPATCH: i64 = 0x6469_7370_6174_6368;

macro_rules! lock_waiting {
    ($value:literal, $elements:literal, $lock:literal) => {
        concat!(
            "SELECT account_id, turn FROM turns
             WHERE provider = $1 AND due_at <= $2
                AND account_id NOT IN (SELECT ",
            $value,
            " FROM ",
            $elements,
            "($3)) ORDER BY turn, account_id LIMIT $4",
            $lock
        )
    };
}

/// Whoever puts a sample into the queue at the same time is passed over, and tells when it is done.
pub(crate) const LOCK_WAITING: Sql = Sql {
    sqlite: lock_waiting!("value", "json_each", ""),
    postgres: lock_waiting!(
        "value",
        "jsonb_array_elements_text",
        " FOR UPDATE SKIP LOCKED"
    ),
};

/// PostgreSQL is left no choice but to follow the queue's index to the first samples. With a join
/// to reorder it may read every job there ever was; and it takes the two comparisons, which hold
/// for nearly the whole queue, for rare ones, but for the sums. The jobs are locked too, because
/// starting one must not wait for whoever ends it and waits for its samples; as that is known only
/// after the samples are chosen, there are a few to spare.
pub(crate) const LOCK_DUE: Sql = Sql {
    sqlite: "
    SELECT s.job_id, s.idx, s.attempt, s.seed, j.account_id, j.request, j.plan, j.inputs, s.due_at,
        j.deadline, j.trace
    FROM samples AS s JOIN jobs AS j ON j.id = s.job_id
    WHERE s.provider = $1 AND s.account_id = $2 AND s.due_at <= $3 AND j.deadline > $3
    ORDER BY s.created_at, s.job_id, s.idx LIMIT $4",
    postgres: "
    SELECT s.job_id, s.idx, s.attempt, s.seed, j.account_id, j.request, j.plan, j.inputs, s.due_at,
        j.deadline, j.trace
    FROM (
        SELECT job_id, idx, created_at, attempt, seed, due_at FROM samples
        WHERE provider = $1 AND account_id = $2 AND due_at IS NOT NULL AND due_at + 0 <= $3
            AND deadline + 0 > $3
        ORDER BY created_at, job_id, idx LIMIT $4 + 8 FOR UPDATE SKIP LOCKED) AS s
    CROSS JOIN LATERAL (
        SELECT account_id, request, plan, inputs, deadline, trace FROM jobs WHERE id = s.job_id
        FOR UPDATE SKIP LOCKED) AS j
    ORDER BY s.created_at, s.job_id, s.idx LIMIT $4",
};

/// What its account has due next is looked up only where all that was due is given out: those that
/// are left are few, and due later.
const TAKE_TURNS: &str = "
    UPDATE turns SET turn = $3, due_at = CASE WHEN $4 THEN due_at ELSE (
        SELECT MIN(due_at) FROM samples
        WHERE provider = $2 AND account_id = $1 AND due_at IS NOT NULL) END
    WHERE account_id = $1 AND provider = $2";

const SERVE_TURN: &str = "
    INSERT INTO served_turns (provider, turn, served_at) VALUES ($1, $2, $3)
    ON CONFLICT (provider) DO UPDATE SET served_at = excluded.served_at,
        turn = CASE WHEN served_turns.turn < excluded.turn THEN excluded.turn
            ELSE served_turns.turn END";

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
    let providers = list_due(connection, now).await?;
    let mut idle = list_idle(connection, &providers, now, limit).await?;
    if connection.is_shared() && !idle.is_empty() {
        let wait = query(WAIT_FOR_CLAIMS).bind(DISPATCH);
        wait.execute(connection).await?;
        idle = list_idle(connection, &providers, now, limit).await?;
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut queues = Vec::new();
    for (provider, nodes) in matching::offered(&providers, &idle) {
        queues.push(lock_queue(connection, provider, nodes.min(limit), now).await?);
    }
    let due = queues.iter_mut().map(|queue| {
        let due = std::mem::take(&mut queue.due);
        due.into_iter().map(|row| (queue.provider, row)).collect()
    });
    let due = matching::merge(due.collect());

    let mut assignments = Vec::new();
    for ((provider, row), node) in matching::pair(due, idle, limit) {
        let assignment = row.into_assignment(node)?;
        if assign(connection, &assignment, lease_until, now).await? {
            let queue = queues.iter_mut().find(|queue| queue.provider == provider);
            queue.expect("BUG: it came of a queue").serve(&assignment);
            assignments.push(assignment);
        }
    }
    for queue in queues {
        end_turns(connection, queue, now).await?;
    }
    Ok(assignments)
}

/// Who waits for a provider, and what of it may be given out.
struct Queue {
    provider: Provider,
    accounts: Vec<Account>,
    due: Vec<DueRow>,
}

/// An account that waits. It is locked, where that is needed.
struct Account {
    id: String,
    turn: i64,
    /// How many of its samples were given out.
    served: i64,
    /// Whether it has more than was looked at.
    has_more: bool,
}

impl Queue {
    fn serve(&mut self, assignment: &Assignment) {
        let id = assignment.account.to_string();
        let account = self.accounts.iter_mut().find(|account| account.id == id);
        account.expect("BUG: it waits").served += 1;
    }
}

/// The next `count` samples by the turns of their accounts, or all that are due.
async fn lock_queue(
    connection: &mut Connection<'_>,
    provider: Provider,
    count: usize,
    now: Timestamp,
) -> Result<Queue, StoreError> {
    let (mut accounts, mut waiting) = (Vec::<Account>::new(), Vec::new());
    while waiting.len() < count {
        let seen: Vec<_> = accounts.iter().map(|account| &account.id).collect();
        let next: Vec<(String, i64)> = query(LOCK_WAITING)
            .bind(provider.as_str())
            .bind(now)
            .bind(json(&seen))
            .bind(i64::try_from(count - waiting.len()).unwrap_or(i64::MAX))
            .fetch_all(connection)
            .await?;
        if next.is_empty() {
            break;
        }
        for (account, turn) in next {
            let rows = lock_due(connection, provider, &account, count, now).await?;
            accounts.push(Account {
                id: account.clone(),
                turn,
                served: 0,
                has_more: rows.len() == count,
            });
            // What it waited for may have ended meanwhile.
            if !rows.is_empty() {
                waiting.push(Waiting {
                    account,
                    turn,
                    due: rows.into(),
                });
            }
        }
    }
    Ok(Queue {
        provider,
        accounts,
        due: matching::by_turns(&mut waiting, count),
    })
}

/// The oldest samples of an account that are due.
async fn lock_due(
    connection: &mut Connection<'_>,
    provider: Provider,
    account: &str,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<DueRow>, StoreError> {
    let rows = query(LOCK_DUE)
        .bind(provider.as_str())
        .bind(account)
        .bind(now)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await?;
    Ok(rows)
}

/// Notes which turns were served.
async fn end_turns(
    connection: &mut Connection<'_>,
    queue: Queue,
    now: Timestamp,
) -> Result<(), StoreError> {
    let provider = queue.provider.as_str();
    let served = queue.accounts.iter().filter(|account| account.served > 0);
    let latest = served
        .map(|account| account.turn + account.served - 1)
        .max();
    for account in queue.accounts {
        query(TAKE_TURNS)
            .bind(account.id)
            .bind(provider)
            .bind(account.turn + account.served)
            .bind(account.has_more)
            .execute(connection)
            .await?;
    }
    if let Some(turn) = latest {
        let serve = query(SERVE_TURN).bind(provider).bind(turn).bind(now);
        serve.execute(connection).await?;
    }
    Ok(())
}

/// The providers that somebody waits for.
async fn list_due(
    connection: &mut Connection<'_>,
    now: Timestamp,
) -> Result<Vec<Provider>, StoreError> {
    let rows: Vec<(String,)> = query(LIST_DUE)
        .bind(json(&Provider::ALL))
        .bind(now)
        .fetch_all(connection)
        .await?;
    let parse = |(name,): (String,)| parse("turns.provider", &name);
    rows.into_iter().map(parse).collect()
}

/// The idle nodes that offer these providers: of each, those that come first.
async fn list_idle(
    connection: &mut Connection<'_>,
    providers: &[Provider],
    now: Timestamp,
    limit: u32,
) -> Result<BTreeSet<IdleNode>, StoreError> {
    let mut idle = BTreeSet::new();
    for provider in providers {
        let rows: Vec<IdleNodeRow> = query(LIST_IDLE)
            .bind(provider.as_str())
            .bind(now)
            .bind(limit)
            .fetch_all(connection)
            .await?;
        idle.extend(rows.into_iter().map(IdleNode::from));
    }
    Ok(idle)
}

/// False, and nothing changed, when the node was taken out of the configuration meanwhile.
async fn assign(
    connection: &mut Connection<'_>,
    assignment: &Assignment,
    lease_until: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let AttemptId { sample, number } = assignment.attempt;
    if !node::assign(connection, assignment, now).await? {
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
