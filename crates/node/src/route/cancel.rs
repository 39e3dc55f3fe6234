//! `DELETE /tryon/{job_id}`: the job stops at its next step.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use tryon_api::node::Accepted;

use super::tryon::accept;
use crate::{app::App, refusal::Refusal};

/// Asks the running job to stop. Its error callback says `cancelled`.
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
