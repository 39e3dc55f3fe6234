//! What people look back at: who changed what, where credits went, and what was used each day.

use tryon_core::{id::AccountId, time::Timestamp};

use super::statement::{Connection, query};
use crate::{
    row::{ActionRow, EntryRow, UsageRow},
    store::StoreError,
    user::{Action, Before, Entry, NewAction, UsageDay},
};

const RECORD: &str = "
    INSERT INTO actions (at, actor, account_id, action, detail, form)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (form) DO NOTHING";

pub(crate) const LIST_ACTIONS: &str = "
    SELECT id, at, actor, account_id, action, detail FROM actions
    WHERE id < $1 ORDER BY id DESC LIMIT $2";

pub(crate) const LIST_ENTRIES: &str = "
    SELECT id, job_id, kind, subscription, purchased, reserved, created_at FROM ledger
    WHERE account_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";

pub(crate) const LIST_USAGE: &str = "
    SELECT day, pictures, completed, failed FROM usage_days
    WHERE account_id = $1 AND day >= $2 ORDER BY day";

pub(super) async fn record_action(
    connection: &mut Connection<'_>,
    action: NewAction,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let recorded = query(RECORD)
        .bind(now)
        .bind(action.actor)
        .bind(action.account.map(|id| id.to_string()))
        .bind(action.action)
        .bind(action.detail)
        .bind(action.form)
        .execute(connection)
        .await?;
    Ok(recorded == 1)
}

pub(super) async fn list_actions(
    connection: &mut Connection<'_>,
    page: Before,
) -> Result<Vec<Action>, StoreError> {
    let rows: Vec<ActionRow> = query(LIST_ACTIONS)
        .bind(page.before.unwrap_or(i64::MAX))
        .bind(page.limit)
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(Action::try_from).collect()
}

pub(super) async fn list_entries(
    connection: &mut Connection<'_>,
    account: AccountId,
    page: Before,
) -> Result<Vec<Entry>, StoreError> {
    let rows: Vec<EntryRow> = query(LIST_ENTRIES)
        .bind(account.to_string())
        .bind(page.before.unwrap_or(i64::MAX))
        .bind(page.limit)
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(Entry::try_from).collect()
}

pub(super) async fn list_usage(
    connection: &mut Connection<'_>,
    account: AccountId,
    since_day: i64,
) -> Result<Vec<UsageDay>, StoreError> {
    let rows: Vec<UsageRow> = query(LIST_USAGE)
        .bind(account.to_string())
        .bind(since_day)
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(UsageDay::try_from).collect()
}
