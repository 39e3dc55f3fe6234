//! What nodes report.
//!
//! `POST /internal/v1/results` takes the result of an attempt, `POST …/job_complete` the hint that
//! a device is free, and `POST /internal/v1/nodes` a node that makes itself known. All want the
//! shared token, which is checked before the body is read; only `GET /metrics` and `GET /openapi.json`
//! do not.
//!
//! Every result that is understood is answered 200, also one that comes twice, too late, or for
//! something unknown: a node offers again what was not answered 2xx, for a day, and there is
//! nothing about such a result that offering it again would mend. A failure of ours is answered
//! 500 or 503, so that the node does offer it again.

mod auth;
mod failure;
mod form;
#[doc(hidden)]
pub mod fuzz;
mod hint;
mod image;
mod metrics;
mod node;
mod openapi;
mod settle;

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::{DefaultBodyLimit, State},
    http::HeaderMap,
    middleware,
    routing::{delete, get, post},
};
use serde::Serialize;
use tokio_util::task::TaskTracker;
use tryon_api::{callback::ResultForm, public::ErrorBody};
use tryon_trace::Traced as _;
use utoipa::ToSchema;

use crate::{
    dispatch::Outcomes,
    error::ApiError,
    route::{lingering, trace},
};

/// Where the routes of the internal listener are.
pub mod path {
    /// Takes the results of attempts.
    pub const RESULTS: &str = "/internal/v1/results";
    /// Takes hints that a device is free, below `/internal/v1`.
    pub const JOB_COMPLETE: &str = "/internal/v1/job_complete";
    /// The same for nodes that are given the listener's address alone.
    pub const JOB_COMPLETE_AT_ROOT: &str = "/job_complete";
    /// Tells figures to whoever watches over gateways.
    pub const METRICS: &str = "/metrics";
    /// Describes all of this.
    pub const OPENAPI: &str = "/openapi.json";
    /// Takes nodes that make themselves known.
    pub const NODES: &str = tryon_api::node::REGISTRATION_PATH;
    /// Takes that one ends.
    pub const NODE: &str = "/internal/v1/nodes/{name}";
}

/// What the routes of the internal listener share.
#[derive(Clone)]
pub(crate) struct Reports {
    pub(crate) outcomes: Outcomes,
    /// Where results are worked on: a node that goes away does not stop that.
    pub(crate) tasks: TaskTracker,
}

/// That a report was understood.
#[derive(Serialize, ToSchema)]
struct Received {
    /// Always `true`.
    ok: bool,
}

const RECEIVED: Json<Received> = Json(Received { ok: true });

/// The internal listener's routes.
pub(crate) fn router(reports: Reports) -> Router {
    let app = Arc::clone(&reports.outcomes.app);
    Router::new()
        .route(path::RESULTS, post(receive_result))
        .route(path::JOB_COMPLETE, post(hint::receive_hint))
        .route(path::JOB_COMPLETE_AT_ROOT, post(hint::receive_hint))
        .route(path::NODES, post(node::register_node))
        .route(path::NODE, delete(node::remove_node))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        // Bodies are read within limits of their own.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(
            Arc::clone(&app),
            auth::admit,
        ))
        // Of the figures nothing is secret to those who reach this listener.
        .route(path::METRICS, get(metrics::get_metrics))
        .route(path::OPENAPI, get(openapi::get_openapi))
        .layer(middleware::from_fn(lingering::linger))
        .layer(middleware::from_fn(trace::catch))
        .layer(middleware::from_fn_with_state(app, trace::trace))
        .with_state(reports)
}

async fn no_route() -> ApiError {
    ApiError::not_found("there is no such route: results go to `/internal/v1/results`")
}

async fn no_method() -> ApiError {
    ApiError::no_method()
}

/// Takes the result of an attempt. It is answered when it is settled, or needs no settling; one that
/// comes twice, too late or for something unknown is answered alike.
#[utoipa::path(
    post,
    path = path::RESULTS,
    tag = "results",
    security(("token" = [])),
    request_body(content(
        (ResultForm = "multipart/form-data"),
        (ResultForm = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 200, description = "It was understood, and is not to be sent again", body = Received),
        (status = 400, description = "`BadRequest`: it cannot be read", body = ErrorBody),
        (status = 401, description = "`UnauthorizedAccess`: no token, or a wrong one", body = ErrorBody),
        (status = 500, description = "`InternalServerError`: send it again", body = ErrorBody),
        (status = 503, description = "`InternalServerError`: too many at once; send it again", body = ErrorBody),
    )
)]
async fn receive_result(
    State(reports): State<Reports>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Received>, ApiError> {
    let app = Arc::clone(&reports.outcomes.app);
    // The body's share of the memory is held until its picture is stored.
    let (report, share) = form::read(&headers, body, &app).await?;
    let outcomes = reports.outcomes.clone();
    let settled = async move {
        let _share = share;
        settle::settle(&outcomes, report).await
    };
    let settled = reports.tasks.spawn(settled.traced_here());
    settled.await.map_err(ApiError::internal)??;
    Ok(RECEIVED)
}
