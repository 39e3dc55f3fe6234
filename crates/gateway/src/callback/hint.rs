//! Hints that a device is free.

use axum::{Json, body::Body, extract::State};

use super::{RECEIVED, Received, Reports, form};
use crate::error::ApiError;

/// Wakes the dispatcher. What the hint says does not matter, not even whether it is true: the
/// dispatcher looks into the store, and knows more.
pub(super) async fn receive_hint(
    State(reports): State<Reports>,
    body: Body,
) -> Result<Json<Received>, ApiError> {
    let app = &reports.outcomes.app;
    form::read_small(body, &app.config.limits).await?;
    app.wake.dispatch.notify_one();
    Ok(RECEIVED)
}
