//! How an account's webhooks were delivered.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse as _, Redirect, Response},
};
use tryon_api::public::parse_webhook_url;
use tryon_core::{id::JobId, limit::RateClass};
use tryon_store::{Webhook, WebhookAnswer, WebhookPage, WebhookTry};
use url::Url;

use super::super::{
    assets,
    form::After,
    frame::{Frame, Notice, PAGE, moment},
    path, render,
};
use crate::{
    app::App,
    error::ApiError,
    route::{UrlPath, refuse_readable},
    session::{Posted, Session},
    webhook::{self, signature},
};

/// A delivery in a list.
struct DeliveryRow {
    job: JobId,
    url: String,
    state: &'static str,
    created: String,
    next_try: Option<String>,
    tries: Vec<TryRow>,
}

/// A try of it.
struct TryRow {
    number: u32,
    at: String,
    took: u128,
    answer: String,
}

impl DeliveryRow {
    fn new(webhook: &Webhook) -> Self {
        Self {
            job: webhook.job,
            url: webhook.url.clone(),
            state: webhook.state.as_str(),
            created: moment(webhook.created_at),
            next_try: webhook.due_at.map(moment),
            tries: webhook.tries.iter().map(TryRow::new).collect(),
        }
    }
}

impl TryRow {
    fn new(tried: &WebhookTry) -> Self {
        Self {
            number: tried.number,
            at: moment(tried.at),
            took: tried.took.as_millis(),
            answer: match &tried.answer {
                WebhookAnswer::Status(status) => status.to_string(),
                WebhookAnswer::Fault(fault) => fault.clone(),
            },
        }
    }
}

#[derive(Template)]
#[template(path = "app/webhooks.html")]
struct Webhooks {
    here: &'static str,
    frame: Frame,
    secret: String,
    deliveries: Vec<DeliveryRow>,
    next: Option<JobId>,
    /// What was typed into the form.
    url: String,
}

async fn webhooks(
    app: &App,
    session: &Session,
    after: Option<JobId>,
) -> Result<Webhooks, ApiError> {
    let account = session.visitor.account.id;
    let found = app.store.list_webhooks(WebhookPage {
        account,
        after,
        limit: PAGE,
    });
    let found = found.await?;
    let full = found.len() == PAGE as usize;
    Ok(Webhooks {
        here: path::WEBHOOKS,
        frame: Frame::of(app, session),
        secret: signature::key(&app.config.secrets, account).to_text(),
        next: found.last().filter(|_| full).map(|it| it.job),
        deliveries: found.iter().map(DeliveryRow::new).collect(),
        url: String::new(),
    })
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    After(after): After<JobId>,
    session: Session,
) -> Result<Response, ApiError> {
    Ok(render(&webhooks(&app, &session, after).await?))
}

pub(super) async fn replay(
    State(app): State<Arc<App>>,
    UrlPath(job): UrlPath<String>,
    Posted { by, .. }: Posted,
) -> Result<Response, ApiError> {
    let absent = || ApiError::not_found("you have no delivery for a job of this id");
    let job = job.parse().map_err(|_| absent())?;
    let (account, now) = (by.visitor.account.id, app.clock.now());
    let found = app.store.find_webhook(account, job).await?;
    found.ok_or_else(absent)?;
    let detail = format!("{job}");
    by.note(&app, Some(account), "webhook.replay", detail)
        .await?;
    if !app.store.replay_webhook(account, job, now).await? {
        return Err(absent());
    }
    Ok(Redirect::to(path::WEBHOOKS).into_response())
}

/// Sends a message as a job's end would, and says what was answered.
pub(super) async fn test(
    State(app): State<Arc<App>>,
    Posted { by, fields }: Posted,
) -> Result<Response, ApiError> {
    let (account, url) = (&by.visitor.account, fields.get("url"));
    let limit = account.limits.tryon_per_minute;
    let now = app.clock.now();
    let allowance = app.rates.take(account.id, RateClass::Tryon, limit, now);
    let allowance = allowance.await;
    if !allowance.granted {
        return Err(ApiError::rate_limited(limit, allowance.reset));
    }
    let url = match read_url(&app, url) {
        Ok(url) => url,
        Err(reason) => return tested(&app, &by, url, Notice::Failed(reason)).await,
    };
    let url = url.as_str();
    let notice = match webhook::send_test(&app, account.id, url).await {
        Ok(status) if status.is_success() => {
            Notice::Done(format!("It was delivered: the receiver answered {status}."))
        }
        Ok(status) => Notice::Failed(format!("The receiver answered {status}.")),
        Err(fault) => Notice::Failed(format!("It was not delivered: {fault}.")),
    };
    tested(&app, &by, url, notice).await
}

/// An address that a job may name too.
fn read_url(app: &App, text: &str) -> Result<Url, String> {
    let url = parse_webhook_url(text).map_err(|fault| format!("Its address: {fault}."))?;
    let refused = refuse_readable(&url, &app.config.fetch);
    refused.map_err(|error| format!("Its address: {}.", error.message()))?;
    Ok(url)
}

async fn tested(app: &App, by: &Session, url: &str, notice: Notice) -> Result<Response, ApiError> {
    let page = webhooks(app, by, None).await?;
    let page = Webhooks {
        frame: page.frame.saying(notice),
        url: url.to_owned(),
        ..page
    };
    Ok(render(&page))
}
