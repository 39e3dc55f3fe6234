//! `GET /metrics`: JSON, or the exposition format for those who ask for it.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};

use tryon_api::node::MetricsSummary;

use crate::{app::App, metric::to_older_format};

const OPEN_METRICS: &str = "application/openmetrics-text";
const OPEN_METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain";
const TEXT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What was counted, in the form that `Accept` names.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "state",
    params(("Accept" = Option<String>, Header, description = "`text/plain` or `application/openmetrics-text` for the exposition format")),
    responses(
        (
            status = 200,
            description = "What was counted",
            content(
                (MetricsSummary = "application/json"),
                (String = "text/plain"),
                (String = "application/openmetrics-text"),
            ),
        ),
    )
)]
pub(super) async fn get_metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let gpu = app.meter.find_gpu();
    match find_exposition(&headers) {
        Some(content_type) => {
            let text = app.metrics.expose(&app.moment(), gpu.as_ref());
            let text = match content_type {
                TEXT_TYPE => to_older_format(&text),
                _ => text,
            };
            ([(header::CONTENT_TYPE, content_type)], text).into_response()
        }
        None => Json(app.metrics.summarize(gpu.as_ref())).into_response(),
    }
}

/// The exposition format's type, if one is asked for.
fn find_exposition(headers: &HeaderMap) -> Option<&'static str> {
    let accepts = |name| {
        let values = headers.get_all(header::ACCEPT).iter();
        values
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.contains(name))
    };
    match () {
        () if accepts(OPEN_METRICS) => Some(OPEN_METRICS_TYPE),
        () if accepts(TEXT) => Some(TEXT_TYPE),
        () => None,
    }
}
