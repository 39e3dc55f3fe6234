//! Rows of users, their sessions and what they look at.

use sqlx_macros::FromRow;
use tryon_core::{
    ledger::{EntryKind, Movement},
    time::Timestamp,
};

use super::{AccountRow, named, number, parse, time};
use crate::{
    store::StoreError,
    user::{Action, Entry, UsageDay, User, Visitor},
};

#[derive(FromRow)]
pub(crate) struct UserRow {
    user_id: String,
    login: String,
    of_account: String,
    is_operator: bool,
    password: Option<String>,
    user_created_at: i64,
    disabled_at: Option<i64>,
}

impl TryFrom<UserRow> for User {
    type Error = StoreError;

    fn try_from(row: UserRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("users.id", &row.user_id)?,
            login: row.login,
            account: parse("users.account_id", &row.of_account)?,
            is_operator: row.is_operator,
            password: row.password,
            created_at: Timestamp::from_millis(row.user_created_at),
            disabled_at: time(row.disabled_at),
        })
    }
}

/// A user, and the account that they look after.
#[derive(FromRow)]
pub(crate) struct VisitorRow {
    #[sqlx(flatten)]
    user: UserRow,
    #[sqlx(flatten)]
    account: AccountRow,
}

impl TryFrom<VisitorRow> for Visitor {
    type Error = StoreError;

    fn try_from(row: VisitorRow) -> Result<Self, StoreError> {
        Ok(Self {
            user: row.user.try_into()?,
            account: row.account.try_into()?,
        })
    }
}

#[derive(FromRow)]
pub(crate) struct ActionRow {
    id: i64,
    at: i64,
    actor: String,
    account_id: Option<String>,
    action: String,
    detail: String,
}

impl TryFrom<ActionRow> for Action {
    type Error = StoreError;

    fn try_from(row: ActionRow) -> Result<Self, StoreError> {
        let account = row.account_id.as_deref();
        Ok(Self {
            id: row.id,
            at: Timestamp::from_millis(row.at),
            actor: row.actor,
            account: account
                .map(|id| parse("actions.account_id", id))
                .transpose()?,
            action: row.action,
            detail: row.detail,
        })
    }
}

#[derive(FromRow)]
pub(crate) struct EntryRow {
    id: i64,
    job_id: Option<String>,
    kind: String,
    subscription: i64,
    purchased: i64,
    reserved: i64,
    created_at: i64,
}

impl TryFrom<EntryRow> for Entry {
    type Error = StoreError;

    fn try_from(row: EntryRow) -> Result<Self, StoreError> {
        let job = row.job_id.as_deref();
        Ok(Self {
            id: row.id,
            at: Timestamp::from_millis(row.created_at),
            job: job.map(|id| parse("ledger.job_id", id)).transpose()?,
            movement: Movement {
                kind: named("ledger.kind", &row.kind, EntryKind::from_name)?,
                subscription: row.subscription,
                purchased: row.purchased,
                reserved: row.reserved,
            },
        })
    }
}

#[derive(FromRow)]
pub(crate) struct UsageRow {
    day: i64,
    pictures: i64,
    completed: i64,
    failed: i64,
}

impl TryFrom<UsageRow> for UsageDay {
    type Error = StoreError;

    fn try_from(row: UsageRow) -> Result<Self, StoreError> {
        Ok(Self {
            day: row.day,
            pictures: number("usage_days.pictures", row.pictures)?,
            completed: number("usage_days.completed", row.completed)?,
            failed: number("usage_days.failed", row.failed)?,
        })
    }
}
