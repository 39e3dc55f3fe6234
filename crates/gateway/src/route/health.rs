//! Whether the gateway runs, and whether it can work.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};
use serde::Serialize;
use tokio::time::timeout;
use tryon_api::public::ErrorBody;
use utoipa::ToSchema;

use crate::{
    app::App,
    error::{ApiError, Chain},
};

/// How long the store may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// That it is well.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// Always `ok`.
    status: &'static str,
}

const WELL: Health = Health { status: "ok" };

/// Says that the process runs and answers.
#[utoipa::path(
    get,
    path = super::path::HEALTH,
    tag = "health",
    responses((status = 200, body = Health))
)]
pub(super) async fn get_health() -> Json<Health> {
    Json(WELL)
}

/// Says that the gateway can work: its store answers, and it was not told to end.
#[utoipa::path(
    get,
    path = super::path::READINESS,
    tag = "health",
    responses(
        (status = 200, body = Health),
        (status = 503, description = "InternalServerError: not now", body = ErrorBody),
    )
)]
pub(super) async fn get_readiness(State(app): State<Arc<App>>) -> Result<Json<Health>, ApiError> {
    if app.draining.is_cancelled() {
        return Err(ApiError::unavailable("the gateway is about to end"));
    }
    let unreachable = || ApiError::unavailable("the store does not answer");
    match timeout(PATIENCE, app.store.list_nodes()).await {
        Ok(Ok(_)) => Ok(Json(WELL)),
        Ok(Err(error)) => {
            tracing::warn!(error = %Chain(&error), "the store does not answer");
            Err(unreachable())
        }
        Err(_) => Err(unreachable()),
    }
}

/// Middleware that has connections closed once the gateway was told to end, each with an answer, so
/// that what its client asks next goes elsewhere.
pub(super) async fn part(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if app.draining.is_cancelled() {
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
