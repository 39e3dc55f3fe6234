//! How a job stands.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse as _, Response},
};
use tryon_api::public::{ErrorBody, StatusAnswer};
use tryon_blob::Key;
use tryon_core::{
    error::{JobError, JobErrorCode},
    id::JobId,
    job::JobState,
};
use tryon_store::{Job, StoreError};

use super::{
    extract::UrlPath,
    follow::{self, PREFER, read_patience},
    path, refusal,
};
use crate::{app::App, auth::Caller, error::ApiError};

/// Says how a job stands. A job of another account is not found, exactly like one that never was.
#[utoipa::path(
    get,
    path = super::path::STATUS,
    tag = "jobs",
    security(("key" = [])),
    params(
        ("id" = String, Path, description = "The job's id"),
        ("Prefer" = Option<String>, Header, description = PREFER),
    ),
    responses(
        (status = 200, description = "In every state of the job", body = StatusAnswer),
        (status = 404, description = "`NotFound`: the account has no such job", body = ErrorBody),
        refusal::Limited,
    )
)]
pub(super) async fn get_status(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    UrlPath(id): UrlPath<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let job = find_own(&app, &caller, &id).await?;
    let (job, applied) = follow::wait(&app, job, read_patience(&headers)).await;
    Ok((applied, Json(describe(&app, &job)?)).into_response())
}

/// The caller's job of this id.
pub(super) async fn find_own(app: &App, caller: &Caller, id: &str) -> Result<Job, ApiError> {
    let absent = || ApiError::not_found("you have no job of this id");
    // What is not shaped like an id names no job.
    let id: JobId = id.parse().map_err(|_| absent())?;
    let job = app.store.find_job(id).await?;
    job.filter(|job| job.account == caller.account.id)
        .ok_or_else(absent)
}

/// What is told of a job.
pub(crate) fn describe(app: &App, job: &Job) -> Result<StatusAnswer, StoreError> {
    match job.state {
        JobState::Accepted | JobState::Prepared | JobState::Running => {
            Ok(StatusAnswer::processing(job.id))
        }
        JobState::Completed => Ok(StatusAnswer::completed(job.id, links(app, job)?)),
        JobState::Failed => Ok(StatusAnswer::failed(job.id, failure(job))),
    }
}

/// Why it failed.
pub(super) fn failure(job: &Job) -> JobError {
    let unknown = || JobError::new(JobErrorCode::PipelineError, "the job was not run");
    job.error.clone().unwrap_or_else(unknown)
}

/// Links to the pictures that were delivered, in the order of their samples. They are the same
/// each time, and stay in the answer when they have expired: what a job delivered does not change.
pub(crate) fn links(app: &App, job: &Job) -> Result<Vec<String>, StoreError> {
    let ended_at = job.ended_at.unwrap_or(job.deadline);
    let expires_at = ended_at + job.retention.longest;
    let base = app.config.server.link_base();
    let outputs = job
        .samples
        .iter()
        .filter_map(|sample| sample.output.as_ref());
    outputs
        .map(|output| {
            let key: Key = output.key.parse().map_err(|error| StoreError::Corrupt {
                column: "samples.output",
                source: Box::new(error),
            })?;
            Ok(format!(
                "{base}{}{}",
                path::FILES,
                app.links.sign(&key, expires_at)
            ))
        })
        .collect()
}
