//! Hints that a device is free.

use axum::{Json, body::Body, extract::State};
use tryon_api::{callback::JobComplete, public::ErrorBody};

use super::{RECEIVED, Received, Reports, form};
use crate::error::ApiError;

/// Wakes the dispatcher. What the hint says does not matter, not even whether it is true: the
/// dispatcher looks into the store, and knows more.
#[utoipa::path(
    post,
    path = super::path::JOB_COMPLETE,
    tag = "nodes",
    security(("token" = [])),
    request_body = JobComplete,
    responses(
        (status = 200, description = "It was heard", body = Received),
        (status = 400, description = "`BadRequest`: it cannot be read", body = ErrorBody),
        (status = 401, description = "`UnauthorizedAccess`: no token, or a wrong one", body = ErrorBody),
    )
)]
pub(super) async fn receive_hint(
    State(reports): State<Reports>,
    body: Body,
) -> Result<Json<Received>, ApiError> {
    let app = &reports.outcomes.app;
    form::read_small(body, &app.config.limits).await?;
    app.wake.dispatch.notify_one();
    Ok(RECEIVED)
}
