//! Accepting a job.

use std::time::Duration;

use tryon_core::{
    id::AccountId,
    ledger::{Balance, Movement},
    time::Timestamp,
};

use super::{
    idempotency, ledger,
    statement::{Connection, Sql, json, query},
};
use crate::{
    record::NewJob,
    row::{AllowanceRow, number},
    store::{StoreError, SubmitError},
};

/// Counts the job and locks the account's row; the refusals below undo it.
const OPEN_JOB: &str = "
    UPDATE accounts SET open_jobs = open_jobs + 1 WHERE id = $1
    RETURNING subscription, purchased, reserved, open_jobs, concurrent_jobs";

const INSERT_JOB: &str = "
    INSERT INTO jobs (id, account_id, state, request, plan, sources, price, created_at, deadline,
        webhook_url, end_user, output_retention, outputs_once, trace)
    VALUES ($1, $2, 'accepted', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";

const INSERT_SAMPLE: Sql = Sql {
    sqlite: "
    INSERT INTO samples (job_id, idx, state, provider, created_at, seed, account_id)
    VALUES ($1, $2, 'queued', $3, $4, $5, $6)",
    postgres: "
    INSERT INTO samples (job_id, idx, state, provider, created_at, seed, account_id, deadline)
    SELECT $1, $2, 'queued', $3, $4, $5, $6, deadline FROM jobs WHERE id = $1",
};

/// What no longer retention is told from, so that it can be added to a time.
const FOREVER: Duration = Duration::from_hours(24 * 365 * 1000);

pub(super) async fn submit(
    connection: &mut Connection<'_>,
    job: NewJob,
    now: Timestamp,
) -> Result<(), SubmitError> {
    let price = u32::try_from(job.seeds.len()).expect("BUG: a job has few samples");
    let allowance = open_job(connection, job.account).await?;
    // Before the limits: what was accepted counts against them already.
    if let Some(submitted) = &job.idempotency {
        idempotency::refuse_known(connection, job.account, submitted, now).await?;
    }
    let movement = reserve(allowance, price)?;
    insert_job(connection, &job, price, now).await?;
    if let Some(submitted) = &job.idempotency {
        idempotency::remember(connection, &job, submitted, now).await?;
    }
    for (index, seed) in (0_i64..).zip(&job.seeds) {
        insert_sample(connection, &job, (index, *seed), now).await?;
    }
    ledger::record(connection, job.account, Some(job.id), &movement, now).await?;
    Ok(())
}

/// The movement that pays for the job, if the account has the credits and may have one job more.
fn reserve(row: AllowanceRow, price: u32) -> Result<Movement, SubmitError> {
    let open: u32 = number("accounts.open_jobs", row.open_jobs - 1)?;
    let limit = number("accounts.concurrent_jobs", row.concurrent_jobs)?;
    if open >= limit {
        return Err(SubmitError::TooManyJobs { open, limit });
    }
    let balance = Balance::try_from(row.balance)?;
    Ok(balance.reserve(price)?)
}

async fn open_job(
    connection: &mut Connection<'_>,
    account: AccountId,
) -> Result<AllowanceRow, StoreError> {
    query(OPEN_JOB)
        .bind(account.to_string())
        .fetch_optional(connection)
        .await?
        .ok_or(StoreError::NoSuchAccount(account))
}

async fn insert_job(
    connection: &mut Connection<'_>,
    job: &NewJob,
    price: u32,
    now: Timestamp,
) -> Result<(), StoreError> {
    query(INSERT_JOB)
        .bind(job.id.to_string())
        .bind(job.account.to_string())
        .bind(json(&job.request))
        .bind(json(&job.plan))
        .bind(json(&job.sources))
        .bind(price)
        .bind(now)
        .bind(job.deadline)
        .bind(job.webhook_url.clone())
        .bind(job.end_user)
        .bind(job.retention.longest.min(FOREVER))
        .bind(job.retention.once)
        .bind(job.trace.clone())
        .execute(connection)
        .await?;
    Ok(())
}

async fn insert_sample(
    connection: &mut Connection<'_>,
    job: &NewJob,
    (index, seed): (i64, u64),
    now: Timestamp,
) -> Result<(), StoreError> {
    query(INSERT_SAMPLE)
        .bind(job.id.to_string())
        .bind(index)
        .bind(job.plan.provider.as_str())
        .bind(now)
        .bind(seed.cast_signed())
        .bind(job.account.to_string())
        .execute(connection)
        .await?;
    Ok(())
}
