//! Credit movements: a row for the history, and its effect on the account.

use sqlx::SqliteConnection;
use tryon_core::{
    id::{AccountId, JobId},
    ledger::Movement,
    time::Timestamp,
};

use crate::store::StoreError;

const INSERT: &str = "
    INSERT INTO ledger (account_id, job_id, kind, subscription, purchased, reserved, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";

const APPLY: &str = "
    UPDATE accounts SET subscription = subscription + $2, purchased = purchased + $3,
        reserved = reserved + $4
    WHERE id = $1";

/// Writes the movement down and applies it. The schema refuses one that overdraws the account and
/// a second settlement of the same job.
pub(super) async fn record(
    connection: &mut SqliteConnection,
    account: AccountId,
    job: Option<JobId>,
    movement: &Movement,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(INSERT)
        .bind(account.to_string())
        .bind(job.map(|job| job.to_string()))
        .bind(movement.kind.as_str())
        .bind(movement.subscription)
        .bind(movement.purchased)
        .bind(movement.reserved)
        .bind(now.as_millis())
        .execute(&mut *connection)
        .await?;
    sqlx::query(APPLY)
        .bind(account.to_string())
        .bind(movement.subscription)
        .bind(movement.purchased)
        .bind(movement.reserved)
        .execute(connection)
        .await?;
    Ok(())
}
