//! Accounts.

use std::time::Duration;

use tryon_core::{
    id::AccountId,
    ledger::{Balance, Pool},
    limit::Limits,
    time::Timestamp,
};

use super::{
    ledger,
    statement::{Connection, query},
};
use crate::{
    record::Account,
    row::{AccountRow, BalanceRow},
    store::StoreError,
};

/// The columns of an [`AccountRow`] of `accounts AS a`.
macro_rules! account_columns {
    () => {
        "a.id AS account_id, a.name, a.subscription, a.purchased, a.reserved, a.open_jobs,
         a.tryon_per_minute, a.status_per_minute, a.credits_per_minute, a.concurrent_jobs,
         a.output_retention, a.created_at"
    };
}
pub(super) use account_columns;

const CREATE: &str = "
    INSERT INTO accounts (id, name, tryon_per_minute, status_per_minute, credits_per_minute,
        concurrent_jobs, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";

const FIND: &str = concat!(
    "SELECT ",
    account_columns!(),
    " FROM accounts AS a WHERE a.id = $1"
);

const LIST: &str = concat!(
    "SELECT ",
    account_columns!(),
    " FROM accounts AS a ORDER BY a.created_at, a.id"
);

/// What all of them hold together.
const SUM: &str = "
    SELECT CAST(COALESCE(SUM(subscription), 0) AS BIGINT) AS subscription,
        CAST(COALESCE(SUM(purchased), 0) AS BIGINT) AS purchased,
        CAST(COALESCE(SUM(reserved), 0) AS BIGINT) AS reserved
    FROM accounts";

const SET_LIMITS: &str = "
    UPDATE accounts SET tryon_per_minute = $2, status_per_minute = $3, credits_per_minute = $4,
        concurrent_jobs = $5
    WHERE id = $1";

const SET_RETENTION: &str = "UPDATE accounts SET output_retention = $2 WHERE id = $1";

pub(super) async fn create(
    connection: &mut Connection<'_>,
    id: AccountId,
    name: String,
    limits: Limits,
    now: Timestamp,
) -> Result<(), StoreError> {
    query(CREATE)
        .bind(id.to_string())
        .bind(name)
        .bind(limits.tryon_per_minute)
        .bind(limits.status_per_minute)
        .bind(limits.credits_per_minute)
        .bind(limits.concurrent_jobs)
        .bind(now)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn find(
    connection: &mut Connection<'_>,
    id: AccountId,
) -> Result<Option<Account>, StoreError> {
    let row: Option<AccountRow> = query(FIND)
        .bind(id.to_string())
        .fetch_optional(connection)
        .await?;
    row.map(Account::try_from).transpose()
}

pub(super) async fn list(connection: &mut Connection<'_>) -> Result<Vec<Account>, StoreError> {
    let rows: Vec<AccountRow> = query(LIST).fetch_all(connection).await?;
    rows.into_iter().map(Account::try_from).collect()
}

pub(super) async fn sum(connection: &mut Connection<'_>) -> Result<Balance, StoreError> {
    let row: BalanceRow = query(SUM).fetch_one(connection).await?;
    row.try_into()
}

pub(super) async fn set_limits(
    connection: &mut Connection<'_>,
    id: AccountId,
    limits: Limits,
) -> Result<(), StoreError> {
    let done = query(SET_LIMITS)
        .bind(id.to_string())
        .bind(limits.tryon_per_minute)
        .bind(limits.status_per_minute)
        .bind(limits.credits_per_minute)
        .bind(limits.concurrent_jobs)
        .execute(connection)
        .await?;
    match done {
        0 => Err(StoreError::NoSuchAccount(id)),
        _ => Ok(()),
    }
}

pub(super) async fn set_output_retention(
    connection: &mut Connection<'_>,
    id: AccountId,
    retention: Option<Duration>,
) -> Result<(), StoreError> {
    let done = query(SET_RETENTION)
        .bind(id.to_string())
        .bind(retention)
        .execute(connection)
        .await?;
    match done {
        0 => Err(StoreError::NoSuchAccount(id)),
        _ => Ok(()),
    }
}

pub(super) async fn grant(
    connection: &mut Connection<'_>,
    id: AccountId,
    pool: Pool,
    amount: u32,
    now: Timestamp,
) -> Result<Balance, StoreError> {
    ledger::record(connection, id, None, &Balance::grant(pool, amount), now).await
}
