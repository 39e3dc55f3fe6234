//! What clients called their submissions.

use tryon_core::{id::AccountId, time::Timestamp};

use super::statement::{Connection, query};
use crate::{
    record::{Idempotency, KEY_LIFE, NewJob, Submission},
    row::SubmissionRow,
    store::{StoreError, SubmitError},
};

pub(crate) const FIND: &str = "
    SELECT request, job_id FROM idempotency_keys
    WHERE account_id = $1 AND key = $2 AND created_at > $3";

/// A key that is not known any more may be used again.
pub(crate) const REMEMBER: &str = "
    INSERT INTO idempotency_keys (account_id, key, request, job_id, created_at)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (account_id, key) DO UPDATE
    SET request = excluded.request, job_id = excluded.job_id, created_at = excluded.created_at";

pub(crate) const FORGET: &str = "
    DELETE FROM idempotency_keys WHERE (account_id, key) IN (
        SELECT account_id, key FROM idempotency_keys WHERE created_at <= $1
        ORDER BY created_at LIMIT $2)";

/// Whether the account used this key before, and for what.
pub(super) async fn find(
    connection: &mut Connection<'_>,
    account: AccountId,
    key: String,
    now: Timestamp,
) -> Result<Option<Submission>, StoreError> {
    let row: Option<SubmissionRow> = query(FIND)
        .bind(account.to_string())
        .bind(key)
        .bind(now - KEY_LIFE)
        .fetch_optional(connection)
        .await?;
    row.map(Submission::try_from).transpose()
}

/// Refuses a job whose key was used before. The caller holds the account's row, so that of two
/// with one key the second finds the first.
pub(super) async fn refuse_known(
    connection: &mut Connection<'_>,
    account: AccountId,
    submitted: &Idempotency,
    now: Timestamp,
) -> Result<(), SubmitError> {
    match find(connection, account, submitted.key.clone(), now).await? {
        None => Ok(()),
        Some(known) if known.request == submitted.request => {
            Err(SubmitError::AcceptedBefore(known.job))
        }
        Some(_) => Err(SubmitError::OtherRequest),
    }
}

pub(super) async fn remember(
    connection: &mut Connection<'_>,
    job: &NewJob,
    submitted: &Idempotency,
    now: Timestamp,
) -> Result<(), StoreError> {
    query(REMEMBER)
        .bind(job.account.to_string())
        .bind(submitted.key.as_str())
        .bind(&submitted.request)
        .bind(job.id.to_string())
        .bind(now)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn forget(
    connection: &mut Connection<'_>,
    now: Timestamp,
    limit: u32,
) -> Result<u64, StoreError> {
    let forgotten = query(FORGET)
        .bind(now - KEY_LIFE)
        .bind(limit)
        .execute(connection)
        .await?;
    Ok(forgotten)
}
