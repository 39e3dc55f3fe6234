//! Accepting jobs.

use std::{borrow::Cow, sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures::{FutureExt as _, future::OptionFuture};
use serde::Serialize;
use tracing::Instrument as _;
use tryon_api::public::{
    self, ClothesRequest, HairstyleRequest, RequestFault, Submitted, TattooRequest,
};
use tryon_blob::{Blobs, Key, Role};
use tryon_core::{
    id::JobId,
    ledger::OutOfCredits,
    task::{Mode, Task},
};
use tryon_store::{
    Account, Idempotency, NewJob, Pair, Plan, Retention, Source, StoreError, Submission,
    SubmitError,
};
use tryon_trace::{Kind, Span, TraceContext, Traced as _};
use url::Url;

use self::wanted::{Picture, Wanted};
use super::{
    body, erasure,
    follow::{self, PREFER, read_patience},
    refusal,
    status::describe,
};
use crate::{
    app::App,
    auth::Caller,
    config::{FetchConfig, JobConfig, find_plan},
    error::{ApiError, Chain},
    failpoint,
    fetch::is_opened,
    upload,
};

pub(crate) mod idempotency;
pub(super) mod wanted;

/// What the reference says of the client's name for a submission.
pub(super) const NAMED: &str = "1 to 255 printable ASCII characters that name this submission. Sent again with \
                     the same body within 24 hours it is answered with the same job.";

/// Puts a garment or accessory on a person.
#[utoipa::path(
    post,
    path = super::path::CLOTHES,
    tag = "try-on",
    security(("key" = [])),
    params(
        ("Idempotency-Key" = Option<String>, Header, description = NAMED, min_length = 1, max_length = 255),
        ("Prefer" = Option<String>, Header, description = PREFER),
    ),
    request_body = ClothesRequest<'_>,
    responses((status = 200, description = "The job was accepted", body = Submitted), refusal::Submission)
)]
pub(super) async fn submit_clothes(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    submit_task(&app, &caller, Task::Clothes, &headers, body).await
}

/// Puts a haircut on a face.
#[utoipa::path(
    post,
    path = super::path::HAIRSTYLE,
    tag = "try-on",
    security(("key" = [])),
    params(
        ("Idempotency-Key" = Option<String>, Header, description = NAMED, min_length = 1, max_length = 255),
        ("Prefer" = Option<String>, Header, description = PREFER),
    ),
    request_body = HairstyleRequest<'_>,
    responses((status = 200, description = "The job was accepted", body = Submitted), refusal::Submission)
)]
pub(super) async fn submit_hairstyle(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    submit_task(&app, &caller, Task::Hairstyle, &headers, body).await
}

/// Puts a design on skin.
#[utoipa::path(
    post,
    path = super::path::TATTOO,
    tag = "try-on",
    security(("key" = [])),
    params(
        ("Idempotency-Key" = Option<String>, Header, description = NAMED, min_length = 1, max_length = 255),
        ("Prefer" = Option<String>, Header, description = PREFER),
    ),
    request_body = TattooRequest<'_>,
    responses((status = 200, description = "The job was accepted", body = Submitted), refusal::Submission)
)]
pub(super) async fn submit_tattoo(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    submit_task(&app, &caller, Task::Tattoo, &headers, body).await
}

async fn submit_task(
    app: &Arc<App>,
    caller: &Caller,
    task: Task,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let form = Form::Task(task);
    let accepted = submit(app, &caller.account, form, headers, body).await?;
    let Some(patience) = read_patience(headers) else {
        return Ok(accepted.answer::<Submitted>());
    };
    // What was accepted is never answered as a failure: a client would submit it again.
    match wait(app, &accepted, patience).await {
        Ok(Some(response)) => Ok(response),
        Ok(None) => Ok(accepted.answer::<Submitted>()),
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "a job that was accepted is not waited for");
            Ok(accepted.answer::<Submitted>())
        }
    }
}

/// The answer once the job has ended, or stands as it does after so long.
async fn wait(
    app: &App,
    accepted: &Accepted,
    patience: Duration,
) -> Result<Option<Response>, StoreError> {
    let Some(job) = app.store.find_job(accepted.id).await? else {
        return Ok(None);
    };
    let (job, applied) = follow::wait(app, job, Some(patience)).await;
    let answer = Submitted::from(describe(app, &job)?);
    Ok(Some(
        (applied, accepted.replayed(), Json(answer)).into_response(),
    ))
}

/// What a body is read as.
#[derive(Debug)]
pub(super) enum Form {
    /// A request for this task.
    Task(Task),
    /// One of the other dialect, which tells the webhook's address beside the body.
    Run {
        /// It, not looked at yet.
        webhook_url: Option<String>,
    },
}

impl Form {
    const fn task(&self) -> Task {
        match self {
            Self::Task(task) => *task,
            Self::Run { .. } => Task::Clothes,
        }
    }

    /// What tells the same body in two forms apart.
    fn name(&self) -> Cow<'static, str> {
        match self {
            Self::Task(task) => task.as_str().into(),
            Self::Run { webhook_url: None } => "run".into(),
            Self::Run {
                webhook_url: Some(url),
            } => format!("run {}:{url}", url.len()).into(),
        }
    }

    fn parse<'a>(&'a self, body: &'a [u8]) -> Result<public::Submission<'a>, RequestFault> {
        match self {
            Self::Task(task) => public::parse(*task, body),
            Self::Run { webhook_url } => public::parse_run(body, webhook_url.as_deref()),
        }
    }
}

pub(super) async fn submit(
    app: &Arc<App>,
    account: &Account,
    form: Form,
    headers: &HeaderMap,
    body: Body,
) -> Result<Accepted, ApiError> {
    let key = idempotency::read_key(headers)?;
    let known = find_known(app, account, key.as_deref()).await?;
    // What was accepted has its credits and counts as a job already.
    if known.is_none() {
        refuse_hopeless(account, 1)?;
    }
    let body = body::read(body, account, &app.config.limits, &app.bodies).await?;
    // The body's share of the memory is held until the pictures in it are stored.
    let (bytes, held) = body.into_parts();
    let idempotency = name(&form, key, &bytes).await?;
    if let (Some(known), Some(named)) = (known, &idempotency) {
        return replay(known, named);
    }
    let task = form.task();
    let wanted = wanted::read(form, bytes, app.config.limits.picture_bytes).await?;
    let mode = wanted.request.mode;
    let plan = get_plan(app, task, mode)?;
    if let Some(url) = &wanted.webhook_url {
        refuse_readable(url, &app.config.fetch)?;
    }
    refuse_hopeless(account, wanted.samples)?;
    refuse_expired(app, account, task, &wanted.pictures).await?;
    let span = Span::new("submit", Kind::Producer);
    let keep = keep(Arc::clone(app), account.clone(), plan, wanted, idempotency).traced(&span);
    let keep = keep.inspect(move |kept| {
        tell(&span, kept);
        drop(held);
    });
    let keep = keep.in_current_span();
    // A client that hangs up now must not leave pictures behind that no job has.
    let kept = app.submissions.spawn(keep);
    kept.await.map_err(ApiError::internal)?
}

/// What serves this task in this mode.
pub(super) fn get_plan(app: &App, task: Task, mode: Mode) -> Result<Plan, ApiError> {
    find_plan(&app.config.tasks, task, mode).ok_or_else(|| {
        let reason =
            format!("`{task}` in mode `{mode}` is not offered here: no provider serves it");
        ApiError::bad_request(reason)
    })
}

/// Refuses an upload that cannot be used any more, before there is a job that fails for it.
async fn refuse_expired(
    app: &App,
    account: &Account,
    task: Task,
    pictures: &Pair<Picture>,
) -> Result<(), ApiError> {
    let (person, garment) = public::picture_fields(task);
    let fields = [
        (person, Some(&pictures.person)),
        (garment, pictures.garment.as_ref()),
    ];
    for (field, picture) in fields {
        let Some(Picture::Url(url)) = picture else {
            continue;
        };
        if let Some(key) = upload::find_named(app, account.id, url.as_str())
            && !upload::is_kept(app, &key).await?
        {
            let message = format!("`{field}` cannot be loaded: {}", upload::GONE);
            return Err(ApiError::bad_request(message));
        }
    }
    Ok(())
}

fn tell(span: &Span, kept: &Result<Accepted, ApiError>) {
    match kept {
        Ok(accepted) => {
            span.set("tryon.job.id", accepted.id.to_string());
            span.set("tryon.replayed", accepted.replayed);
        }
        Err(_) => span.fail("not accepted"),
    }
}

/// Stores the pictures of a job, and accepts it.
async fn keep(
    app: Arc<App>,
    account: Account,
    plan: Plan,
    wanted: Wanted,
    idempotency: Option<Idempotency>,
) -> Result<Accepted, ApiError> {
    let id = app.random.job_id();
    let stored = store_pictures(&app.blobs, id, &wanted.pictures).await;
    if stored.is_err() {
        erase_pictures(&app, id).await;
    }
    let sources = stored?;
    failpoint::reach("gateway::after-blob").await;
    let job = NewJob {
        id,
        account: account.id,
        seeds: seeds(&app, &wanted),
        request: wanted.request,
        plan,
        sources,
        webhook_url: wanted.webhook_url.map(String::from),
        deadline: app.clock.now() + app.config.jobs.deadline.duration(),
        idempotency,
        end_user: wanted
            .end_user
            .map(|name| erasure::digest(account.id, &name)),
        retention: retention(&app.config.jobs, &account),
        // Whatever becomes of it goes on after this.
        trace: TraceContext::current().map(|context| context.to_string()),
    };
    accept(&app, job).await
}

/// The job that answers a submission.
pub(super) struct Accepted {
    id: JobId,
    replayed: bool,
}

impl Accepted {
    /// The answer with this body.
    pub(super) fn answer<T: From<JobId> + Serialize>(self) -> Response {
        (self.replayed(), Json(T::from(self.id))).into_response()
    }

    fn replayed(&self) -> Option<[(HeaderName, &'static str); 1]> {
        self.replayed.then_some([(idempotency::REPLAYED, "true")])
    }
}

async fn find_known(
    app: &App,
    account: &Account,
    key: Option<&str>,
) -> Result<Option<Submission>, ApiError> {
    let Some(key) = key else { return Ok(None) };
    let now = app.clock.now();
    Ok(app.store.find_submission(account.id, key, now).await?)
}

async fn name(
    form: &Form,
    key: Option<String>,
    body: &Bytes,
) -> Result<Option<Idempotency>, ApiError> {
    let Some(key) = key else { return Ok(None) };
    let request = idempotency::digest(form, body.clone()).await?;
    Ok(Some(Idempotency { key, request }))
}

/// The answer that the submission had before.
fn replay(known: Submission, named: &Idempotency) -> Result<Accepted, ApiError> {
    if known.request != named.request {
        return Err(ApiError::other_request());
    }
    Ok(Accepted {
        id: known.job,
        replayed: true,
    })
}

/// Spares reading, and storing, the pictures of a job that has no chance. The transaction decides.
fn refuse_hopeless(account: &Account, samples: u8) -> Result<(), ApiError> {
    let (open, limit) = (account.open_jobs, account.limits.concurrent_jobs);
    if open >= limit {
        return Err(ApiError::too_many_jobs(open, limit));
    }
    let (needed, available) = (u64::from(samples), account.balance.available());
    if needed > available {
        return Err(ApiError::out_of_credits(OutOfCredits { needed, available }));
    }
    Ok(())
}

/// A message holds links to pictures: it goes nowhere where others can read it.
pub(crate) fn refuse_readable(url: &Url, config: &FetchConfig) -> Result<(), ApiError> {
    if url.scheme() == "https" || is_opened(url, config) {
        return Ok(());
    }
    Err(ApiError::bad_request(
        "`webhook_url` is wrong: an `https://` URL is needed",
    ))
}

/// How long the outputs of a job of this account are kept.
fn retention(jobs: &JobConfig, account: &Account) -> Retention {
    let once = account.output_retention == Some(Duration::ZERO);
    let longest = match account.output_retention {
        _ if once => jobs.download_grace.duration(),
        Some(own) => own,
        None => jobs.output_retention.duration(),
    };
    Retention { longest, once }
}

/// Each sample's seed is the number after the one before.
fn seeds(app: &App, wanted: &Wanted) -> Vec<u64> {
    let first = wanted.seed.unwrap_or_else(|| app.random.seed());
    (0..u64::from(wanted.samples))
        .map(|index| first.wrapping_add(index))
        .collect()
}

async fn store_pictures(
    blobs: &Blobs,
    job: JobId,
    pictures: &Pair<Picture>,
) -> Result<Pair<Source>, ApiError> {
    let person = store_picture(blobs, Key::upload(job, Role::Person), &pictures.person);
    let garment = pictures.garment.as_ref();
    let garment =
        garment.map(|picture| store_picture(blobs, Key::upload(job, Role::Garment), picture));
    let (person, garment) = tokio::join!(person, OptionFuture::from(garment));
    Ok(Pair {
        person: person?,
        garment: garment.transpose()?,
    })
}

async fn store_picture(blobs: &Blobs, key: Key, picture: &Picture) -> Result<Source, ApiError> {
    match picture {
        Picture::Url(url) => Ok(Source::Url(url.to_string())),
        Picture::Bytes(bytes) => {
            blobs.put(&key, bytes.clone()).await?;
            Ok(Source::Blob(key.to_string()))
        }
    }
}

async fn accept(app: &App, job: NewJob) -> Result<Accepted, ApiError> {
    let (id, named) = (job.id, job.idempotency.is_some());
    let accepted = app.store.submit_job(job, app.clock.now()).await;
    // Of a store that fails it is not known whether it took the job: the sweep finds out.
    if !matches!(accepted, Ok(()) | Err(SubmitError::Store(_))) {
        erase_pictures(app, id).await;
    }
    match accepted {
        // Two that were sent at once.
        Err(SubmitError::AcceptedBefore(id)) => return Ok(Accepted { id, replayed: true }),
        Err(SubmitError::Store(error)) if !named => return Err(ApiError::perhaps_accepted(error)),
        accepted => accepted?,
    }
    failpoint::reach("gateway::after-commit").await;
    tracing::info!(job = %id, "accepted");
    Ok(Accepted {
        id,
        replayed: false,
    })
}

/// Erases what was stored for a job that was refused. What is left is swept later.
async fn erase_pictures(app: &App, job: JobId) {
    let keys = Role::ALL.map(|role| Key::upload(job, role));
    if let Err(error) = app.blobs.delete(&keys).await {
        tracing::warn!(%job, error = %Chain(&error), "pictures of a refused job are left to the sweep");
    }
}
