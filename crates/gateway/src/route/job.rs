//! An account's jobs: which there are, and ending one.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use tryon_api::public::{ErrorBody, JobPage, ListedJob, StatusAnswer};
use tryon_core::{
    error::{JobError, JobErrorCode},
    job::SampleState,
};
use tryon_store::{Job, StoreError};

use super::{
    extract::UrlPath,
    page::{Page, PageQuery},
    refusal,
    status::{describe, find_own},
};
use crate::{app::App, auth::Caller, dispatch::Outcomes, error::ApiError};

/// Lists the account's jobs, newest first.
#[utoipa::path(
    get,
    path = super::path::JOBS,
    tag = "jobs",
    security(("key" = [])),
    params(PageQuery),
    responses(
        (status = 200, description = "A page of them", body = JobPage),
        (status = 400, description = "`BadRequest`: a parameter is wrong", body = ErrorBody),
        refusal::Limited,
    )
)]
pub(super) async fn list_jobs(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    page: Page,
) -> Result<Json<JobPage>, ApiError> {
    let jobs = app.store.list_jobs(tryon_store::JobPage {
        account: caller.account.id,
        after: page.after,
        limit: page.limit,
    });
    let jobs = jobs.await?;
    let next = page.next(&jobs, |job| job.id);
    let jobs: Result<_, _> = jobs.into_iter().map(|job| list(&app, job)).collect();
    Ok(Json(JobPage {
        ok: true,
        jobs: jobs?,
        next,
    }))
}

fn list(app: &App, job: Job) -> Result<ListedJob, StoreError> {
    let delivered = job
        .samples
        .iter()
        .filter(|sample| sample.state == SampleState::Succeeded);
    let credits = if job.state.is_terminal() {
        delivered.count()
    } else {
        0
    };
    let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(ListedJob {
        answer: describe(app, &job)?,
        task: job.request.options.task(),
        mode: job.request.mode,
        provider: job.plan.provider,
        output_format: job.request.output_format,
        num_samples: count(job.samples.len()),
        person_image: job.history.person,
        garment_image: job.history.garment,
        credits: count(credits),
        created_at: job.created_at,
        ended_at: job.ended_at,
    })
}

/// Cancels a job. Pictures that were delivered before are kept, and paid: a job of which there is
/// one is `completed`, another one `failed` with `Cancelled`, and costs nothing. One that has ended
/// stays as it is.
#[utoipa::path(
    post,
    path = super::path::CANCEL,
    tag = "jobs",
    security(("key" = [])),
    params(("id" = String, Path, description = "The job's id")),
    responses(
        (status = 200, description = "How it stands, which is for ever", body = StatusAnswer),
        (status = 404, description = "`NotFound`: the account has no such job", body = ErrorBody),
        refusal::Limited,
    )
)]
pub(super) async fn cancel_job(
    State(outcomes): State<Outcomes>,
    Extension(caller): Extension<Caller>,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<StatusAnswer>, ApiError> {
    let app = &outcomes.app;
    let mut job = find_own(app, &caller, &id).await?;
    if !job.state.is_terminal() {
        let nodes = app.store.list_nodes().await?;
        let error = JobError::new(JobErrorCode::Cancelled, "the job was cancelled");
        outcomes.end_job(job.id, error, &nodes).await?;
        job = find_own(app, &caller, &id).await?;
    }
    Ok(Json(describe(app, &job)?))
}
