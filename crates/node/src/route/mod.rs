//! The routes.

mod cancel;
mod check;
mod infer;
mod metrics;
mod openapi;
mod status;
mod trace;
mod tryon;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{MethodRouter, delete, get, post},
};
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};
use tryon_api::node::Detail;

use crate::{app::App, auth, lingering, refusal::Refusal, refusal::RefusalName};

/// Everything a node answers.
pub(crate) fn router(app: Arc<App>) -> Router {
    let guarded = Router::new()
        .route("/tryon", traced(post(tryon::create_tryon)))
        .route("/tryon/{job_id}", traced(delete(cancel::cancel_tryon)))
        .route("/infer", traced(post(infer::create_picture)))
        .route("/check", traced(post(check::check_photo)))
        .route("/gpu/status", get(status::get_gpu_status))
        .route_layer(from_fn_with_state(Arc::clone(&app), auth::require_token));
    let open = Router::new()
        .route("/health", get(status::get_health))
        .route("/test", get(status::get_test))
        .route("/version", get(status::get_version))
        .route("/metrics", get(metrics::get_metrics))
        .route("/openapi.json", get(openapi::get_openapi));
    guarded
        .merge(open)
        .fallback(async || Refusal::NoRoute)
        .method_not_allowed_fallback(async || Refusal::NoMethod)
        .layer(from_fn(lingering::linger))
        .layer(CatchPanicLayer::custom(|_| on_panic()))
        .layer(from_fn_with_state(Arc::clone(&app), count_refusals))
        .layer(TraceLayer::new_for_http())
        .with_state(app)
}

fn traced(route: MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>> {
    route.route_layer(from_fn(trace::trace))
}

async fn count_refusals(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if let Some(RefusalName(name)) = response.extensions().get() {
        app.metrics.count_refusal(name);
    }
    response
}

fn on_panic() -> Response {
    let body = Detail::new("internal error");
    (StatusCode::INTERNAL_SERVER_ERROR, axum::Json(body)).into_response()
}
