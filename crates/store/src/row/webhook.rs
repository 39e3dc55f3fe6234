//! Rows of the outbox.

use std::time::Duration;

use sqlx_macros::FromRow;
use tryon_core::time::Timestamp;

use super::{named, number, parse, time};
use crate::{
    store::StoreError,
    webhook::{Webhook, WebhookAnswer, WebhookClaim, WebhookState, WebhookTry},
};

#[derive(FromRow)]
pub(crate) struct WebhookClaimRow {
    job_id: String,
    account_id: String,
    url: String,
    created_at: i64,
    tries: i64,
    earlier_tries: i64,
}

impl TryFrom<WebhookClaimRow> for WebhookClaim {
    type Error = StoreError;

    fn try_from(row: WebhookClaimRow) -> Result<Self, StoreError> {
        Ok(Self {
            job: parse("webhooks.job_id", &row.job_id)?,
            account: parse("webhooks.account_id", &row.account_id)?,
            url: row.url,
            created_at: Timestamp::from_millis(row.created_at),
            number: number("webhooks.tries", row.tries)?,
            round: number("webhooks.earlier_tries", row.tries - row.earlier_tries)?,
        })
    }
}

/// A message with one of its tries, or with none.
#[derive(FromRow)]
pub(crate) struct WebhookRow {
    job_id: String,
    account_id: String,
    url: String,
    state: String,
    due_at: Option<i64>,
    created_at: i64,
    ended_at: Option<i64>,
    #[sqlx(flatten)]
    tried: WebhookTryRow,
}

#[derive(FromRow)]
struct WebhookTryRow {
    number: Option<i64>,
    at: Option<i64>,
    took_ms: Option<i64>,
    status: Option<i64>,
    fault: Option<String>,
}

impl WebhookTryRow {
    fn read(self) -> Result<Option<WebhookTry>, StoreError> {
        let (Some(count), Some(at), Some(took)) = (self.number, self.at, self.took_ms) else {
            return Ok(None);
        };
        let answer = match self.status {
            Some(status) => WebhookAnswer::Status(number("webhook_tries.status", status)?),
            None => WebhookAnswer::Fault(self.fault.unwrap_or_default()),
        };
        Ok(Some(WebhookTry {
            number: number("webhook_tries.number", count)?,
            at: Timestamp::from_millis(at),
            took: Duration::from_millis(number("webhook_tries.took_ms", took)?),
            answer,
        }))
    }
}

/// The messages of rows that have those of one message side by side.
pub(crate) fn gather_webhooks(rows: Vec<WebhookRow>) -> Result<Vec<Webhook>, StoreError> {
    let mut webhooks: Vec<Webhook> = Vec::new();
    for row in rows {
        let job = parse("webhooks.job_id", &row.job_id)?;
        let tried = row.tried.read()?;
        match webhooks.last_mut().filter(|last| last.job == job) {
            Some(last) => last.tries.extend(tried),
            None => webhooks.push(Webhook {
                job,
                account: parse("webhooks.account_id", &row.account_id)?,
                url: row.url,
                state: named("webhooks.state", &row.state, WebhookState::from_name)?,
                due_at: time(row.due_at),
                created_at: Timestamp::from_millis(row.created_at),
                ended_at: time(row.ended_at),
                tries: tried.into_iter().collect(),
            }),
        }
    }
    Ok(webhooks)
}
