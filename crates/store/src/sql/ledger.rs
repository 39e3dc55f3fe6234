//! Credit movements: a row for the history, and its effect on the account.

use tryon_core::{
    id::{AccountId, JobId},
    ledger::{Balance, Movement},
    time::Timestamp,
};

use super::statement::{Connection, query};
use crate::{row::BalanceRow, store::StoreError};

const INSERT: &str = "
    INSERT INTO ledger (account_id, job_id, kind, subscription, purchased, reserved, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";

const APPLY: &str = "
    UPDATE accounts SET subscription = subscription + $2, purchased = purchased + $3,
        reserved = reserved + $4
    WHERE id = $1
    RETURNING subscription, purchased, reserved";

/// Applies the movement and writes it down; returns the balance afterwards. The schema refuses one that overdraws the account and
/// a second settlement of the same job.
pub(super) async fn record(
    connection: &mut Connection<'_>,
    account: AccountId,
    job: Option<JobId>,
    movement: &Movement,
    now: Timestamp,
) -> Result<Balance, StoreError> {
    let row: Option<BalanceRow> = query(APPLY)
        .bind(account.to_string())
        .bind(movement.subscription)
        .bind(movement.purchased)
        .bind(movement.reserved)
        .fetch_optional(connection)
        .await?;
    let balance = row.ok_or(StoreError::NoSuchAccount(account))?.try_into()?;
    query(INSERT)
        .bind(account.to_string())
        .bind(job.map(|job| job.to_string()))
        .bind(movement.kind.as_str())
        .bind(movement.subscription)
        .bind(movement.purchased)
        .bind(movement.reserved)
        .bind(now)
        .execute(connection)
        .await?;
    Ok(balance)
}
