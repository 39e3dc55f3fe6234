//! What an account sees of its webhooks.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use tryon_api::public::{
    Delivery, DeliveryPage, DeliveryState, DeliveryTry, ErrorBody, WebhookSecret,
};
use tryon_core::id::JobId;
use tryon_store::{Webhook, WebhookAnswer, WebhookPage, WebhookState, WebhookTry};

use super::{
    extract::UrlPath,
    page::{Page, PageQuery},
    refusal,
};
use crate::{app::App, auth::Caller, error::ApiError, webhook::signature};

/// Says what the account's webhooks are signed with.
#[utoipa::path(
    get,
    path = super::path::WEBHOOK_SECRET,
    tag = "webhooks",
    security(("key" = [])),
    responses(
        (status = 200, description = "The secret", body = WebhookSecret),
        refusal::Limited,
    )
)]
pub(super) async fn get_webhook_secret(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Json<WebhookSecret> {
    let key = signature::key(&app.config.secrets, caller.account.id);
    Json(WebhookSecret {
        ok: true,
        secret: key.to_text(),
    })
}

/// Lists the deliveries of the account's webhooks, newest first.
#[utoipa::path(
    get,
    path = super::path::DELIVERIES,
    tag = "webhooks",
    security(("key" = [])),
    params(PageQuery),
    responses(
        (status = 200, description = "A page of them", body = DeliveryPage),
        (status = 400, description = "`BadRequest`: a parameter is wrong", body = ErrorBody),
        refusal::Limited,
    )
)]
pub(super) async fn list_deliveries(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    page: Page,
) -> Result<Json<DeliveryPage>, ApiError> {
    let webhooks = app.store.list_webhooks(WebhookPage {
        account: caller.account.id,
        after: page.after,
        limit: page.limit,
    });
    let webhooks = webhooks.await?;
    Ok(Json(DeliveryPage {
        ok: true,
        next: page.next(&webhooks, |webhook| webhook.job),
        deliveries: webhooks.into_iter().map(describe).collect(),
    }))
}

/// Says how a job's webhook was delivered.
#[utoipa::path(
    get,
    path = super::path::DELIVERY,
    tag = "webhooks",
    security(("key" = [])),
    params(("job" = String, Path, description = "The job's id")),
    responses(
        (status = 200, description = "The delivery and its log", body = Delivery),
        (status = 404, description = "`NotFound`: no such delivery", body = ErrorBody),
        refusal::Limited,
    )
)]
pub(super) async fn get_delivery(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    UrlPath(job): UrlPath<String>,
) -> Result<Json<Delivery>, ApiError> {
    let job = job.parse().map_err(|_| absent())?;
    find(&app, &caller, job).await
}

/// Sends a job's webhook anew, at once and with all its tries, however it ended. An address that
/// answered 410 is sent to again.
#[utoipa::path(
    post,
    path = super::path::REPLAY,
    tag = "webhooks",
    security(("key" = [])),
    params(("job" = String, Path, description = "The job's id")),
    responses(
        (status = 200, description = "The delivery, pending again", body = Delivery),
        (status = 404, description = "`NotFound`: no such delivery", body = ErrorBody),
        refusal::Limited,
    )
)]
pub(super) async fn replay_delivery(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    UrlPath(job): UrlPath<String>,
) -> Result<Json<Delivery>, ApiError> {
    let job = job.parse().map_err(|_| absent())?;
    let (account, now) = (caller.account.id, app.clock.now());
    if !app.store.replay_webhook(account, job, now).await? {
        return Err(absent());
    }
    find(&app, &caller, job).await
}

async fn find(app: &App, caller: &Caller, job: JobId) -> Result<Json<Delivery>, ApiError> {
    let found = app.store.find_webhook(caller.account.id, job).await?;
    found.map(describe).map(Json).ok_or_else(absent)
}

fn absent() -> ApiError {
    ApiError::not_found(
        "you have no delivery for a job of this id: there is one from the end of a job with a \
         `webhook_url` on, for 30 days",
    )
}

fn describe(webhook: Webhook) -> Delivery {
    let state = match webhook.state {
        WebhookState::Pending => DeliveryState::Pending,
        WebhookState::Delivered => DeliveryState::Delivered,
        WebhookState::Failed => DeliveryState::Failed,
        WebhookState::Disabled => DeliveryState::Disabled,
    };
    Delivery {
        job: webhook.job,
        url: webhook.url,
        state,
        created_at: webhook.created_at,
        next_try_at: webhook.due_at,
        tries: webhook.tries.into_iter().map(describe_try).collect(),
    }
}

fn describe_try(tried: WebhookTry) -> DeliveryTry {
    let (status, error) = match tried.answer {
        WebhookAnswer::Status(status) => (Some(status), None),
        WebhookAnswer::Fault(fault) => (None, Some(fault)),
    };
    DeliveryTry {
        number: tried.number,
        at: tried.at,
        took_ms: u64::try_from(tried.took.as_millis()).unwrap_or(u64::MAX),
        status,
        error,
    }
}
