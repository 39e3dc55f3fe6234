//! The outbox: messages about the ends of jobs.

use tryon_core::{
    id::{AccountId, JobId},
    time::Timestamp,
};

use super::statement::{Connection, Sql, json, query};
use crate::{
    row::{WebhookClaimRow, WebhookRow, gather_webhooks},
    store::StoreError,
    webhook::{
        WEBHOOK_LIFE, Webhook, WebhookAnswer, WebhookClaim, WebhookPage, WebhookState, WebhookTry,
        WebhookVerdict,
    },
};

/// Nothing is sent to an address that is gone.
const WRITE: &str = "
    INSERT INTO webhooks (job_id, account_id, url, state, due_at, created_at, ended_at)
    SELECT $1, $2, $3, state,
        CASE state WHEN 'pending' THEN $4 END, $4, CASE state WHEN 'disabled' THEN $4 END
    FROM (
        SELECT CASE WHEN EXISTS (
            SELECT 1 FROM webhook_addresses_gone WHERE account_id = $2 AND url = $3)
        THEN 'disabled' ELSE 'pending' END AS state) AS now";

/// A try that is never heard of again is counted all the same, so that what ends its sender is not
/// sent for ever.
pub(crate) const CLAIM: Sql = Sql {
    sqlite: "
    UPDATE webhooks SET due_at = $2, tries = tries + 1 WHERE job_id = (
        SELECT job_id FROM webhooks
        WHERE due_at <= $1 AND +account_id NOT IN (SELECT value FROM json_each($3))
        ORDER BY due_at, job_id LIMIT 1)
    RETURNING job_id, account_id, url, created_at, tries, earlier_tries",
    postgres: "
    UPDATE webhooks SET due_at = $2, tries = tries + 1 WHERE job_id = (
        SELECT job_id FROM webhooks
        WHERE due_at <= $1 AND account_id NOT IN (SELECT jsonb_array_elements_text($3))
        ORDER BY due_at, job_id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING job_id, account_id, url, created_at, tries, earlier_tries",
};

/// A late try changes nothing any more, also one from before the message was sent anew, unless it
/// was the one that was taken.
const RECORD: &str = "
    UPDATE webhooks SET state = $3, due_at = $4, ended_at = $5
    WHERE job_id = $1 AND due_at IS NOT NULL
        AND ((tries = $2 AND tries > earlier_tries) OR $3 = 'delivered')";

const LOG: &str = "
    INSERT INTO webhook_tries (job_id, number, at, took_ms, status, fault)
    SELECT job_id, $2, $3, $4, $5, $6 FROM webhooks WHERE job_id = $1
    ON CONFLICT (job_id, number) DO NOTHING";

const GONE: &str = "
    INSERT INTO webhook_addresses_gone (account_id, url, since)
    SELECT account_id, url, $2 FROM webhooks WHERE job_id = $1
    ON CONFLICT (account_id, url) DO NOTHING";

/// What else waits for that address.
pub(crate) const DISABLE: &str = "
    UPDATE webhooks SET state = 'disabled', due_at = NULL, ended_at = $2
    WHERE due_at IS NOT NULL
        AND (account_id, url) = (SELECT account_id, url FROM webhooks WHERE job_id = $1)";

const REPLAY: &str = "
    UPDATE webhooks SET state = 'pending', due_at = $3, ended_at = NULL, earlier_tries = tries
    WHERE job_id = $1 AND account_id = $2";

pub(super) const BACK: &str = "
    DELETE FROM webhook_addresses_gone
    WHERE (account_id, url) = (SELECT account_id, url FROM webhooks WHERE job_id = $1)";

/// The columns of a [`WebhookRow`] of `webhooks AS w` joined with `webhook_tries AS t`.
macro_rules! webhook_columns {
    () => {
        "w.job_id, w.account_id, w.url, w.state, w.due_at, w.created_at, w.ended_at,
         t.number, t.at, t.took_ms, t.status, t.fault"
    };
}

pub(crate) const FIND: &str = concat!(
    "SELECT ",
    webhook_columns!(),
    " FROM webhooks AS w LEFT JOIN webhook_tries AS t ON t.job_id = w.job_id
      WHERE w.job_id = $1 AND w.account_id = $2 ORDER BY t.number"
);

macro_rules! list_webhooks {
    ($condition:literal) => {
        concat!(
            "SELECT ",
            webhook_columns!(),
            " FROM (SELECT * FROM webhooks WHERE ",
            $condition,
            " ORDER BY created_at DESC, job_id DESC LIMIT $2) AS w
              LEFT JOIN webhook_tries AS t ON t.job_id = w.job_id
              ORDER BY w.created_at DESC, w.job_id DESC, t.number"
        )
    };
}

pub(crate) const LIST: &str = list_webhooks!("account_id = $1");

pub(crate) const LIST_AFTER: &str = list_webhooks!(
    "account_id = $1 AND (created_at, job_id) < (
        SELECT created_at, job_id FROM webhooks WHERE job_id = $3 AND account_id = $1)"
);

/// The jobs first, as whoever erases one has them.
pub(crate) const FORGET_URLS: &str = "
    UPDATE jobs SET webhook_url = NULL WHERE id IN (
        SELECT job_id FROM webhooks WHERE ended_at <= $1 ORDER BY ended_at LIMIT $2)
    RETURNING id";

/// One that is sent anew meanwhile stays.
const FORGET: Sql = Sql {
    sqlite: "
    DELETE FROM webhooks
    WHERE job_id IN (SELECT value FROM json_each($1)) AND ended_at IS NOT NULL",
    postgres: "
    DELETE FROM webhooks
    WHERE job_id IN (SELECT jsonb_array_elements_text($1)) AND ended_at IS NOT NULL",
};

const FORGET_GONE: &str = "DELETE FROM webhook_addresses_gone WHERE since <= $1";

/// Writes the message about a job that ends in this transaction.
pub(super) async fn write(
    connection: &mut Connection<'_>,
    job: JobId,
    account: AccountId,
    url: String,
    now: Timestamp,
) -> Result<(), StoreError> {
    query(WRITE)
        .bind(job.to_string())
        .bind(account.to_string())
        .bind(url)
        .bind(now)
        .execute(connection)
        .await?;
    Ok(())
}

/// Claims the message that is due longest.
pub(super) async fn claim(
    connection: &mut Connection<'_>,
    now: Timestamp,
    lease_until: Timestamp,
    passed_over: Vec<String>,
) -> Result<Option<WebhookClaim>, StoreError> {
    let row: Option<WebhookClaimRow> = query(CLAIM)
        .bind(now)
        .bind(lease_until)
        .bind(json(&passed_over))
        .fetch_optional(connection)
        .await?;
    row.map(WebhookClaim::try_from).transpose()
}

pub(super) async fn record(
    connection: &mut Connection<'_>,
    job: JobId,
    tried: WebhookTry,
    verdict: WebhookVerdict,
) -> Result<bool, StoreError> {
    let ended = tried.at + tried.took;
    let (state, due_at) = match verdict {
        WebhookVerdict::Delivered => (WebhookState::Delivered, None),
        WebhookVerdict::Again(due_at) => (WebhookState::Pending, Some(due_at)),
        WebhookVerdict::Failed => (WebhookState::Failed, None),
        WebhookVerdict::Gone => (WebhookState::Disabled, None),
    };
    let recorded = query(RECORD)
        .bind(job.to_string())
        .bind(tried.number)
        .bind(state.as_str())
        .bind(due_at)
        .bind(due_at.is_none().then_some(ended))
        .execute(connection)
        .await?;
    log(connection, job, tried).await?;
    if verdict == WebhookVerdict::Gone && recorded > 0 {
        for gone in [GONE, DISABLE] {
            let gone = query(gone).bind(job.to_string()).bind(ended);
            gone.execute(connection).await?;
        }
    }
    Ok(recorded > 0)
}

async fn log(
    connection: &mut Connection<'_>,
    job: JobId,
    tried: WebhookTry,
) -> Result<(), StoreError> {
    let (status, fault) = match tried.answer {
        WebhookAnswer::Status(status) => (Some(i64::from(status)), None),
        WebhookAnswer::Fault(fault) => (None, Some(fault)),
    };
    query(LOG)
        .bind(job.to_string())
        .bind(tried.number)
        .bind(tried.at)
        .bind(i64::try_from(tried.took.as_millis()).unwrap_or(i64::MAX))
        .bind(status)
        .bind(fault)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn replay(
    connection: &mut Connection<'_>,
    account: AccountId,
    job: JobId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let replayed = query(REPLAY)
        .bind(job.to_string())
        .bind(account.to_string())
        .bind(now)
        .execute(connection)
        .await?;
    if replayed > 0 {
        query(BACK)
            .bind(job.to_string())
            .execute(connection)
            .await?;
    }
    Ok(replayed > 0)
}

pub(super) async fn find(
    connection: &mut Connection<'_>,
    account: AccountId,
    job: JobId,
) -> Result<Option<Webhook>, StoreError> {
    let rows: Vec<WebhookRow> = query(FIND)
        .bind(job.to_string())
        .bind(account.to_string())
        .fetch_all(connection)
        .await?;
    Ok(gather_webhooks(rows)?.pop())
}

pub(super) async fn list(
    connection: &mut Connection<'_>,
    page: WebhookPage,
) -> Result<Vec<Webhook>, StoreError> {
    let account = page.account.to_string();
    let query = match page.after {
        None => query(LIST).bind(account).bind(page.limit),
        Some(after) => query(LIST_AFTER)
            .bind(account)
            .bind(page.limit)
            .bind(after.to_string()),
    };
    let rows: Vec<WebhookRow> = query.fetch_all(connection).await?;
    gather_webhooks(rows)
}

pub(super) async fn forget(
    connection: &mut Connection<'_>,
    now: Timestamp,
    limit: u32,
) -> Result<u64, StoreError> {
    let ended_before = now - WEBHOOK_LIFE;
    let ended: Vec<(String,)> = query(FORGET_URLS)
        .bind(ended_before)
        .bind(limit)
        .fetch_all(connection)
        .await?;
    let jobs: Vec<&String> = ended.iter().map(|(job,)| job).collect();
    query(FORGET).bind(json(&jobs)).execute(connection).await?;
    query(FORGET_GONE)
        .bind(ended_before)
        .execute(connection)
        .await?;
    Ok(ended.len() as u64)
}
