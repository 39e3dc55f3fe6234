//! `DELETE /tryon/{job_id}`: the job stops at its next step.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use tryon_api::node::{Accepted, Detail};

use super::tryon::accept;
use crate::{app::App, refusal::Refusal};

/// Asks the running job to stop. Its error callback says `cancelled`.
#[utoipa::path(
    delete,
    path = "/tryon/{job_id}",
    tag = "jobs",
    security(("token" = [])),
    params(("job_id" = String, Path, description = "The job's id")),
    responses(
        (status = 202, description = "It will be stopped at its next step", body = Accepted),
        (status = 401, description = "No token, or a wrong one", body = Detail),
        (status = 404, description = "It is not running", body = Detail),
    )
)]
pub(super) async fn cancel_tryon(
    State(app): State<Arc<App>>,
    job_id: Result<Path<String>, PathRejection>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    // What is no text in UTF-8 is nobody's id.
    let Path(job_id) = job_id.map_err(|_| Refusal::NoRoute)?;
    if app.slot.cancel(&job_id) {
        return Ok(accept(Accepted::cancelling(job_id)));
    }
    Err(Refusal::NotRunning { job_id })
}
