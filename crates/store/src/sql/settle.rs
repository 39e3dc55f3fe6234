//! Ending samples and jobs, and paying for them.

use tryon_core::{
    error::JobError,
    id::{AttemptId, JobId},
    job::{JobEnd, SampleState},
    ledger::Balance,
    time::Timestamp,
};

use super::{
    dispatch, job, ledger, node,
    statement::{Connection, json, query},
    webhook,
};
use crate::{
    record::{Lost, Output, Settled},
    row::{BalanceRow, Progress, ProgressRow, ReservationRow},
    store::StoreError,
};

const SUCCEED: &str = "
    UPDATE samples SET state = 'succeeded', output = $4, due_at = NULL, lease_until = NULL,
        node = NULL
    WHERE job_id = $1 AND idx = $2 AND attempt = $3
        AND state IN ('queued', 'dispatched', 'running')";

const FAIL: &str = "
    UPDATE samples SET state = 'failed', error_name = $4, error_message = $5, lost = lost + $6,
        due_at = NULL, lease_until = NULL, node = NULL
    WHERE job_id = $1 AND idx = $2 AND attempt = $3
        AND state IN ('queued', 'dispatched', 'running')";

pub(crate) const JOB_PROGRESS: &str = "
    SELECT idx, state, attempt, lost, error_name, error_message FROM samples
    WHERE job_id = $1 ORDER BY idx";

const END_JOB: &str = "
    UPDATE jobs SET state = $2, error_name = $3, error_message = $4, ended_at = $5
    WHERE id = $1 AND ended_at IS NULL
    RETURNING account_id, price, webhook_url";

const CLOSE_JOB: &str = "
    UPDATE accounts SET open_jobs = open_jobs - 1 WHERE id = $1
    RETURNING subscription, purchased, reserved";

const IS_OPEN: &str = "SELECT COUNT(*) FROM jobs WHERE id = $1 AND ended_at IS NULL";

pub(super) async fn complete_sample(
    connection: &mut Connection<'_>,
    attempt: AttemptId,
    output: Output,
    now: Timestamp,
) -> Result<Settled, StoreError> {
    let Some(progress) = find_attempted(connection, attempt).await? else {
        return Ok(Settled::Unknown);
    };
    if progress.state.is_terminal() {
        return Ok(Settled::Ignored);
    }
    // An earlier attempt's image ends the current one, so it is the current one's node that is
    // done with this sample.
    let current = attempt.sample.attempt(progress.attempt);
    let inference_ms = output.inference_ms;
    let done = query(SUCCEED)
        .bind(current.sample.job.to_string())
        .bind(current.sample.index)
        .bind(current.number)
        .bind(json(&output))
        .execute(connection)
        .await?;
    expect_one(done)?;
    if current == attempt {
        node::finish(connection, attempt, inference_ms).await?;
    } else {
        node::free(connection, current).await?;
    }
    let job_end = settle_if_ended(connection, attempt.sample.job, now).await?;
    Ok(Settled::Recorded { job_end })
}

pub(super) async fn fail_sample(
    connection: &mut Connection<'_>,
    attempt: AttemptId,
    error: JobError,
    now: Timestamp,
) -> Result<Settled, StoreError> {
    let Some(progress) = find_attempted(connection, attempt).await? else {
        return Ok(Settled::Unknown);
    };
    if !progress.is_current(attempt.number) {
        return Ok(Settled::Ignored);
    }
    fail(connection, attempt, &error, false).await?;
    let job_end = settle_if_ended(connection, attempt.sample.job, now).await?;
    Ok(Settled::Recorded { job_end })
}

/// An attempt that came to nothing.
#[derive(Debug, Clone)]
pub(super) struct Loss {
    pub(super) attempt: AttemptId,
    /// When the sample may be dispatched again.
    pub(super) due_at: Timestamp,
    /// With this many lost attempts the sample fails.
    pub(super) max_lost: u32,
    /// What it then fails with.
    pub(super) error: JobError,
}

pub(super) async fn lose_attempt(
    connection: &mut Connection<'_>,
    loss: Loss,
    now: Timestamp,
) -> Result<Lost, StoreError> {
    let attempt = loss.attempt;
    job::lock(connection, attempt.sample.job).await?;
    let progress = dispatch::find_progress(connection, attempt.sample).await?;
    let Some(current) = progress.filter(|progress| progress.is_current(attempt.number)) else {
        return Ok(Lost::Stale);
    };
    if current.lost + 1 < loss.max_lost {
        dispatch::requeue(connection, attempt, loss.due_at, true).await?;
        return Ok(Lost::Requeued);
    }
    fail(connection, attempt, &loss.error, true).await?;
    let job_end = settle_if_ended(connection, attempt.sample.job, now).await?;
    Ok(Lost::GivenUp { job_end })
}

pub(super) async fn end_job(
    connection: &mut Connection<'_>,
    job: JobId,
    error: JobError,
    now: Timestamp,
) -> Result<Option<JobEnd>, StoreError> {
    job::lock(connection, job).await?;
    if !is_open(connection, job).await? {
        return Ok(None);
    }
    let samples = list_progress(connection, job).await?;
    let mut delivered = 0;
    for sample in samples {
        let current = job.sample(sample.index).attempt(sample.attempt);
        match sample.state {
            SampleState::Succeeded => delivered += 1,
            SampleState::Failed => {}
            _ => fail(connection, current, &error, false).await?,
        }
    }
    let end = match delivered {
        0 => JobEnd::Failed(error),
        _ => JobEnd::Completed { delivered },
    };
    settle(connection, job, &end, now).await?;
    Ok(Some(end))
}

/// How far the sample of an attempt is; `None` where there never was such an attempt. Its job is
/// locked.
async fn find_attempted(
    connection: &mut Connection<'_>,
    attempt: AttemptId,
) -> Result<Option<Progress>, StoreError> {
    job::lock(connection, attempt.sample.job).await?;
    let progress = dispatch::find_progress(connection, attempt.sample).await?;
    Ok(progress.filter(|progress| (1..=progress.attempt).contains(&attempt.number)))
}

/// Ends a sample that has not ended, and frees the node that works on it.
async fn fail(
    connection: &mut Connection<'_>,
    current: AttemptId,
    error: &JobError,
    lost: bool,
) -> Result<(), StoreError> {
    let done = query(FAIL)
        .bind(current.sample.job.to_string())
        .bind(current.sample.index)
        .bind(current.number)
        .bind(error.name.as_str())
        .bind(error.message.as_str())
        .bind(i64::from(lost))
        .execute(connection)
        .await?;
    expect_one(done)?;
    node::free(connection, current).await
}

/// The row was read in this transaction: it cannot have changed since.
fn expect_one(changed: u64) -> Result<(), StoreError> {
    match changed {
        1 => Ok(()),
        _ => Err(StoreError::Database(sqlx::Error::RowNotFound)),
    }
}

async fn is_open(connection: &mut Connection<'_>, job: JobId) -> Result<bool, StoreError> {
    let (open,): (i64,) = query(IS_OPEN)
        .bind(job.to_string())
        .fetch_one(connection)
        .await?;
    Ok(open == 1)
}

async fn list_progress(
    connection: &mut Connection<'_>,
    job: JobId,
) -> Result<Vec<Progress>, StoreError> {
    let rows: Vec<ProgressRow> = query(JOB_PROGRESS)
        .bind(job.to_string())
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(Progress::try_from).collect()
}

async fn settle_if_ended(
    connection: &mut Connection<'_>,
    job: JobId,
    now: Timestamp,
) -> Result<Option<JobEnd>, StoreError> {
    let samples = list_progress(connection, job).await?;
    let states = samples
        .iter()
        .map(|sample| (sample.state, sample.error.as_ref()));
    let Some(end) = JobEnd::of_samples(states) else {
        return Ok(None);
    };
    settle(connection, job, &end, now).await?;
    Ok(Some(end))
}

/// Ends the job and its reservation: what was delivered is captured, the rest released. Whoever is
/// to be told gets a message.
async fn settle(
    connection: &mut Connection<'_>,
    job: JobId,
    end: &JobEnd,
    now: Timestamp,
) -> Result<(), StoreError> {
    let error = match end {
        JobEnd::Failed(error) => Some(error),
        JobEnd::Completed { .. } => None,
    };
    let ended: ReservationRow = query(END_JOB)
        .bind(job.to_string())
        .bind(end.state().as_str())
        .bind(error.map(|error| error.name.as_str().to_owned()))
        .bind(error.map(|error| error.message.clone()))
        .bind(now)
        .fetch_one(connection)
        .await?;
    let (account, price) = ended.read()?;
    let row: BalanceRow = query(CLOSE_JOB)
        .bind(account.to_string())
        .fetch_one(connection)
        .await?;
    let movement = Balance::try_from(row)?.settle(price, end.delivered());
    ledger::record(connection, account, Some(job), &movement, now).await?;
    if let Some(url) = ended.webhook_url {
        webhook::write(connection, job, account, url, now).await?;
    }
    Ok(())
}
