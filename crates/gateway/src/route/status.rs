//! How a job stands.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use tryon_api::public::{ErrorBody, StatusAnswer};
use tryon_blob::Key;
use tryon_core::{
    error::{JobError, JobErrorCode},
    id::JobId,
    job::JobState,
};
use tryon_store::{Job, StoreError};

use super::{extract::UrlPath, path, refusal};
use crate::{app::App, auth::Caller, error::ApiError};

/// Says how a job stands. A job of another account is not found, exactly like one that never was.
#[utoipa::path(
    get,
    path = super::path::STATUS,
    tag = "jobs",
    security(("key" = [])),
    params(("id" = String, Path, description = "The job's id")),
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
) -> Result<Json<StatusAnswer>, ApiError> {
    let absent = || ApiError::not_found("you have no job of this id");
    // What is not shaped like an id names no job.
    let id: JobId = id.parse().map_err(|_| absent())?;
    let job = app.store.find_job(id).await?;
    let job = job
        .filter(|job| job.account == caller.account.id)
        .ok_or_else(absent)?;
    Ok(Json(describe(&app, job)?))
}

/// What is told of a job.
pub(crate) fn describe(app: &App, job: Job) -> Result<StatusAnswer, StoreError> {
    match job.state {
        JobState::Accepted | JobState::Prepared | JobState::Running => {
            Ok(StatusAnswer::processing(job.id))
        }
        JobState::Completed => Ok(StatusAnswer::completed(job.id, links(app, &job)?)),
        JobState::Failed => {
            let unknown = || JobError::new(JobErrorCode::PipelineError, "the job was not run");
            Ok(StatusAnswer::failed(
                job.id,
                job.error.unwrap_or_else(unknown),
            ))
        }
    }
}

/// Links to the pictures that were delivered, in the order of their samples. They are the same
/// each time, and stay in the answer when they have expired: what a job delivered does not change.
fn links(app: &App, job: &Job) -> Result<Vec<String>, StoreError> {
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
