//! Hints that a device is free.

use axum::{Json, body::Body, extract::State};
use futures::StreamExt as _;

use super::{RECEIVED, Received, Reports, form};
use crate::error::ApiError;

/// The longest hint, in bytes.
const LONGEST: usize = 64 * 1024;

/// Wakes the dispatcher. What the hint says does not matter, not even whether it is true: the
/// dispatcher looks into the store, and knows more.
pub(super) async fn receive_hint(
    State(reports): State<Reports>,
    body: Body,
) -> Result<Json<Received>, ApiError> {
    let app = &reports.outcomes.app;
    let mut chunks = form::chunks(body, &app.config.limits);
    let mut length = 0;
    while let Some(chunk) = chunks.next().await {
        length += chunk.map_err(ApiError::from)?.len();
        if length > LONGEST {
            return Err(ApiError::too_large("the request's body", LONGEST));
        }
    }
    app.wake.dispatch.notify_one();
    Ok(RECEIVED)
}
