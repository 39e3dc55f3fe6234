//! `GET /metrics`.

use std::sync::Arc;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};

use tryon_api::public::ErrorBody;

use super::Reports;
use crate::{error::ApiError, metric::Moment};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Tells what was counted, and how the queue and the nodes stand.
#[utoipa::path(
    get,
    path = super::path::METRICS,
    tag = "metrics",
    responses(
        (status = 200, description = "Figures", body = String, content_type = "application/openmetrics-text"),
        (status = 500, description = "`InternalServerError`: the store does not answer", body = ErrorBody),
    )
)]
pub(super) async fn get_metrics(State(reports): State<Reports>) -> Result<Response, ApiError> {
    let app = Arc::clone(&reports.outcomes.app);
    let moment = Moment {
        now: app.clock.now(),
        queues: app.store.list_queues().await?,
        credits: app.store.sum_balances().await?,
        nodes: app.store.list_nodes().await?,
        followed: app.following.count(),
    };
    let text = app.metrics.expose(&moment);
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}
