//! Telling clients that their jobs ended.
//!
//! The store has a message for each ended job that somebody is to be told of. A gateway claims it,
//! sends what the status route answers, and records what came of it. Whoever is killed in between
//! leaves a message that falls due again, so a receiver may get one twice, and tells by its
//! `webhook-id` that it is the same.
//!
//! A receiver is a stranger's: it is connected to as pictures' servers are, no redirect is
//! followed, and nothing of its answer but the status and `Retry-After` is read.

mod schedule;
pub(crate) mod signature;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tryon_api::public::StatusAnswer;
use tryon_core::{
    id::{AccountId, JobId},
    time::Timestamp,
};
use tryon_store::{Job, StoreError, WebhookAnswer, WebhookClaim, WebhookTry, WebhookVerdict, Work};
use tryon_trace::{Kind, Span, TraceContext, Traced as _};

use self::signature::Stamp;
use crate::{
    app::App,
    config::SecretConfig,
    error::Chain,
    fetch::{FetchError, Posted, Poster},
    metric, page,
    place::Places,
    route::status,
};

/// Messages that are sent at the same time. Most of that time is spent waiting for receivers.
const PLACES: usize = 64;

/// What a try may take beside waiting for its receiver.
const MARGIN: Duration = Duration::from_secs(15);

/// Why a message was not sent: it is tried again when its lease ends.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a message is about a job that is not there")]
    NoJob,
    #[error("a message is no JSON")]
    Body(#[from] serde_json::Error),
}

/// Sends messages.
#[derive(Clone)]
pub(crate) struct Messenger {
    app: Arc<App>,
    poster: Poster,
    places: Arc<Places>,
}

impl Messenger {
    pub(crate) fn new(app: Arc<App>) -> reqwest::Result<Self> {
        let timeout = app.config.webhooks.timeout.duration();
        Ok(Self {
            poster: Poster::new(&app.config.fetch, timeout)?,
            places: Places::new(
                Arc::clone(&app),
                PLACES,
                (Work::Delivery, |wake| &wake.webhook),
            ),
            app,
        })
    }

    /// Sends messages that are due until it is told to stop. Those under way are `tasks`.
    pub(crate) async fn run(self, tasks: TaskTracker, stop: CancellationToken) {
        let claim = |sated| self.claim(sated);
        let start = |claim, place| self.start(claim, place, &tasks);
        self.places.hand_out(&stop, claim, start).await;
    }

    async fn claim(&self, sated: Vec<AccountId>) -> Result<Option<WebhookClaim>, StoreError> {
        let now = self.app.clock.now();
        let lease_until = now + self.app.config.webhooks.timeout.duration() + MARGIN;
        let store = &self.app.store;
        store.claim_webhook(now, lease_until, &sated).await
    }

    fn start(&self, claim: WebhookClaim, place: OwnedSemaphorePermit, tasks: &TaskTracker) {
        let place = self.places.hold(place, claim.account);
        let messenger = self.clone();
        tasks.spawn(async move {
            let _held = place;
            let job = claim.job;
            if let Err(error) = messenger.tell(claim).await {
                tracing::error!(%job, error = %Chain(&error), "a webhook is sent again when its lease ends");
            }
        });
    }

    async fn tell(&self, claim: WebhookClaim) -> Result<(), SendError> {
        if schedule::is_over(claim.round) {
            return self.give_up(&claim).await;
        }
        let job = self.app.store.find_job(claim.job).await?;
        let job = job.ok_or(SendError::NoJob)?;
        let body = self.write(&job)?;
        let at = self.app.clock.now();
        let about = (claim.account, claim.job);
        let headers = head(&self.app.config.secrets, about, at, &body);
        let began = Instant::now();
        let span = begin_span(&claim, &job);
        let post = self.poster.post(&claim.url, headers, body);
        let posted = post.traced(&span).await;
        let took = began.elapsed();
        let verdict = self.judge(&claim, at, &posted);
        end_span(&span, &posted, verdict);
        log_try(&claim, &posted, verdict);
        self.app.metrics.count_webhook(verdict);
        let tried = WebhookTry {
            number: claim.number,
            at,
            took,
            answer: answer(posted),
        };
        let store = &self.app.store;
        store.record_webhook_try(claim.job, tried, verdict).await?;
        Ok(())
    }

    /// A message whose tries were cut short: what ends its sender must not be sent for ever.
    async fn give_up(&self, claim: &WebhookClaim) -> Result<(), SendError> {
        let tried = WebhookTry {
            number: claim.number,
            at: self.app.clock.now(),
            took: Duration::ZERO,
            answer: WebhookAnswer::Fault("every try of it was cut short".to_owned()),
        };
        let failed = WebhookVerdict::Failed;
        let store = &self.app.store;
        store.record_webhook_try(claim.job, tried, failed).await?;
        tracing::warn!(job = %claim.job, "a webhook was given up: its tries were cut short");
        Ok(())
    }

    /// What the status route answers.
    fn write(&self, job: &Job) -> Result<Bytes, SendError> {
        let answer = status::describe(&self.app, job)?;
        Ok(serde_json::to_vec(&answer)?.into())
    }

    fn judge(
        &self,
        claim: &WebhookClaim,
        at: Timestamp,
        posted: &Result<Posted, FetchError>,
    ) -> WebhookVerdict {
        let asked = match posted {
            Ok(posted) if posted.status.is_success() => return WebhookVerdict::Delivered,
            Ok(posted) if posted.status == StatusCode::GONE => return WebhookVerdict::Gone,
            Ok(posted) => posted.retry_after,
            Err(_) => None,
        };
        let mut jitter = [0; 4];
        self.app.random.fill(&mut jitter);
        match schedule::wait(claim.round, asked, u32::from_le_bytes(jitter)) {
            Some(wait) => WebhookVerdict::Again(at + wait),
            None => WebhookVerdict::Failed,
        }
    }
}

/// Sends an account's receiver a message like that of a job's end, once, and says what it answered, or
/// in words why not.
pub(crate) async fn send_test(
    app: &App,
    account: AccountId,
    url: &str,
) -> Result<StatusCode, String> {
    let (job, at) = (app.random.job_id(), app.clock.now());
    let picture = format!("{}{}", app.config.server.link_base(), page::PICTURE);
    let answer = StatusAnswer::completed(job, vec![picture]);
    let body = serde_json::to_vec(&answer).expect("BUG: an answer is JSON");
    let headers = head(&app.config.secrets, (account, job), at, &body);
    let timeout = app.config.webhooks.timeout.duration();
    let poster = Poster::new(&app.config.fetch, timeout).map_err(|error| error.to_string())?;
    let answered = poster.post(url, headers, body.into()).await;
    answered
        .map(|answered| answered.status)
        .map_err(|error| explain(&error))
}

/// What is sent along with a message, so that its receiver knows it for ours.
fn head(
    secrets: &SecretConfig,
    (account, job): (AccountId, JobId),
    at: Timestamp,
    body: &[u8],
) -> HeaderMap {
    let stamp = Stamp::new(job, at, body, &signature::key(secrets, account));
    let json = HeaderValue::from_static("application/json");
    let mut headers = HeaderMap::from_iter([(header::CONTENT_TYPE, json)]);
    headers.extend(stamp.into_headers());
    headers
}

/// A try's part of the job's trace. Of where it goes nothing is told: an address may hold a secret.
fn begin_span(claim: &WebhookClaim, job: &Job) -> Span {
    let trace = job.trace.as_deref().and_then(TraceContext::parse);
    let span = Span::of(trace.as_ref(), "webhook", Kind::Client);
    if tryon_trace::is_on() {
        span.set("tryon.job.id", claim.job.to_string());
        span.set("tryon.try", i64::from(claim.number));
    }
    span
}

fn end_span(span: &Span, posted: &Result<Posted, FetchError>, verdict: WebhookVerdict) {
    if let Ok(posted) = posted {
        let status = i64::from(posted.status.as_u16());
        span.set("http.response.status_code", status);
    }
    span.set("tryon.outcome", metric::name(verdict));
    if verdict != WebhookVerdict::Delivered {
        span.fail("not delivered");
    }
}

fn log_try(claim: &WebhookClaim, posted: &Result<Posted, FetchError>, verdict: WebhookVerdict) {
    let WebhookClaim { job, number, .. } = claim;
    let status = posted.as_ref().ok().map(|posted| posted.status.as_u16());
    match verdict {
        WebhookVerdict::Delivered => tracing::info!(%job, number, "a webhook was delivered"),
        WebhookVerdict::Again(_) => tracing::info!(%job, number, status, "a webhook is sent again"),
        WebhookVerdict::Failed => tracing::warn!(%job, number, status, "a webhook was given up"),
        WebhookVerdict::Gone => tracing::info!(%job, number, "a webhook's address is gone"),
    }
}

fn answer(posted: Result<Posted, FetchError>) -> WebhookAnswer {
    match posted {
        Ok(posted) => WebhookAnswer::Status(posted.status.as_u16()),
        Err(error) => WebhookAnswer::Fault(explain(&error)),
    }
}

/// Why a receiver answered nothing, in words for who named it.
fn explain(error: &FetchError) -> String {
    match error {
        FetchError::NoPublicAddress => "its host has no public address".to_owned(),
        FetchError::Unreachable => {
            "it cannot be reached, or its certificate is not valid".to_owned()
        }
        FetchError::TimedOut { after } | FetchError::Silent { after } => {
            format!("it did not answer within {} seconds", after.as_secs_f32())
        }
        FetchError::Broken => "the connection broke before it answered".to_owned(),
        other => other.to_string(),
    }
}
