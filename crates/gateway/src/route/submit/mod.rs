//! Accepting jobs.

use std::sync::Arc;

use axum::{Extension, Json, body::Body, extract::State};
use futures::future::OptionFuture;
use tryon_api::public::{ClothesRequest, HairstyleRequest, Submitted, TattooRequest};
use tryon_blob::{Blobs, Key, Role};
use tryon_core::{id::JobId, ledger::OutOfCredits, task::Task};
use tryon_store::{Account, NewJob, Pair, Source, SubmitError};

use self::wanted::{Picture, Wanted};
use super::{body, refusal};
use crate::{app::App, auth::Caller, config::find_plan, error::ApiError, failpoint};

mod wanted;

/// Puts a garment or accessory on a person.
#[utoipa::path(
    post,
    path = super::path::CLOTHES,
    tag = "try-on",
    security(("key" = [])),
    request_body = ClothesRequest<'_>,
    responses((status = 200, description = "The job was accepted", body = Submitted), refusal::Submission)
)]
pub(super) async fn submit_clothes(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Json<Submitted>, ApiError> {
    submit(&app, &caller.account, Task::Clothes, body).await
}

/// Puts a haircut on a face.
#[utoipa::path(
    post,
    path = super::path::HAIRSTYLE,
    tag = "try-on",
    security(("key" = [])),
    request_body = HairstyleRequest<'_>,
    responses((status = 200, description = "The job was accepted", body = Submitted), refusal::Submission)
)]
pub(super) async fn submit_hairstyle(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Json<Submitted>, ApiError> {
    submit(&app, &caller.account, Task::Hairstyle, body).await
}

/// Puts a design on skin.
#[utoipa::path(
    post,
    path = super::path::TATTOO,
    tag = "try-on",
    security(("key" = [])),
    request_body = TattooRequest<'_>,
    responses((status = 200, description = "The job was accepted", body = Submitted), refusal::Submission)
)]
pub(super) async fn submit_tattoo(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Json<Submitted>, ApiError> {
    submit(&app, &caller.account, Task::Tattoo, body).await
}

async fn submit(
    app: &App,
    account: &Account,
    task: Task,
    body: Body,
) -> Result<Json<Submitted>, ApiError> {
    refuse_hopeless(account, 1)?;
    let body = body::read(body, account, &app.config.limits, &app.bodies).await?;
    // The body's share of the memory is held until the pictures in it are stored.
    let (bytes, _share) = body.into_parts();
    let wanted = wanted::read(task, bytes, app.config.limits.picture_bytes).await?;
    let mode = wanted.request.mode;
    let plan = find_plan(&app.config.tasks, task, mode).ok_or_else(|| {
        let reason =
            format!("`{task}` in mode `{mode}` is not offered here: no provider serves it");
        ApiError::bad_request(reason)
    })?;
    refuse_hopeless(account, wanted.samples)?;
    let id = app.random.job_id();
    let sources = store_pictures(&app.blobs, id, &wanted.pictures).await?;
    failpoint::reach("gateway::after-blob").await;
    let job = NewJob {
        id,
        account: account.id,
        seeds: seeds(app, &wanted),
        request: wanted.request,
        plan,
        sources,
        deadline: app.clock.now() + app.config.jobs.deadline.duration(),
    };
    accept(app, job).await
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

async fn accept(app: &App, job: NewJob) -> Result<Json<Submitted>, ApiError> {
    let id = job.id;
    if let Err(refusal) = app.store.submit_job(job, app.clock.now()).await {
        // Of a store that fails it is not known whether it took the job: the sweep finds out.
        if !matches!(refusal, SubmitError::Store(_)) {
            erase_pictures(app, id).await;
        }
        return Err(refusal.into());
    }
    failpoint::reach("gateway::after-commit").await;
    tracing::info!(job = %id, "accepted");
    Ok(Json(id.into()))
}

/// Erases what was stored for a job that was refused. What is left is swept later.
async fn erase_pictures(app: &App, job: JobId) {
    let keys = Role::ALL.map(|role| Key::upload(job, role));
    if let Err(error) = app.blobs.delete(&keys).await {
        tracing::warn!(%job, %error, "pictures of a refused job are left to the sweep");
    }
}
