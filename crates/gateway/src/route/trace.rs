//! One id, one log line and one span of a trace for each request, and an answer for one that panics.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures::FutureExt as _;
use tracing::Instrument as _;
use tryon_trace::{Span, Traced as _};

use super::path;
use crate::{app::App, callback, error::ApiError, metric::known};

/// Names a request in its answer and in the log.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Most characters of an id that a proxy in front gave.
const LONGEST: usize = 64;

/// What machines ask again and again, and nobody follows.
const QUIET: [&str; 7] = [
    path::HEALTH,
    path::READINESS,
    callback::path::METRICS,
    callback::path::JOB_COMPLETE,
    callback::path::JOB_COMPLETE_AT_ROOT,
    callback::path::NODES,
    callback::path::NODE,
];

/// Middleware around everything else.
pub(crate) async fn trace(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let id = given_id(&request).unwrap_or_else(|| fresh_id(&app));
    let logged = tracing::info_span!(
        "request",
        id = id.to_str().unwrap_or_default(),
        method = %request.method(),
        path = loggable(request.uri().path()),
    );
    let span = begin_span(&request, &id);
    let answer = answer(&app, request, next).instrument(logged);
    let mut response = answer.traced(&span).await;
    span.answered(response.status());
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The request's part of a trace.
fn begin_span(request: &Request, id: &HeaderValue) -> Span {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map(MatchedPath::as_str);
    if !tryon_trace::is_on() || route.is_some_and(|route| QUIET.contains(&route)) {
        return Span::default();
    }
    let method = known(request.method().as_str());
    let span = Span::answer(method, route, request.headers());
    span.set(
        "tryon.request.id",
        id.to_str().unwrap_or_default().to_owned(),
    );
    span
}

/// What may be logged of an address: not the query, as the signature of a link is a secret, and not
/// who is to be forgotten.
fn loggable(path: &str) -> &str {
    let (end_users, _) = path::END_USER
        .split_once('{')
        .expect("BUG: it has a parameter");
    if path.starts_with(end_users) {
        return path::END_USER;
    }
    path
}

async fn answer(app: &App, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let (status, took) = (response.status().as_u16(), start.elapsed());
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    app.metrics
        .count_answer(route, method.as_str(), status, took);
    let millis = took.as_millis();
    tracing::info!(status, millis, "answered");
    response
}

/// Middleware that answers for a handler that panics. It lies inside of those that add headers to
/// every answer.
pub(crate) async fn catch(request: Request, next: Next) -> Response {
    let caught = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    caught.unwrap_or_else(|panic| {
        ApiError::internal(format!("BUG: a handler panicked: {}", reason(&*panic))).into_response()
    })
}

fn reason(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

/// The id that a proxy in front gave, if it cannot do harm in a log.
fn given_id(request: &Request) -> Option<HeaderValue> {
    let id = request.headers().get(REQUEST_ID)?;
    let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let length = 1..=LONGEST;
    (length.contains(&id.len()) && id.as_bytes().iter().all(harmless)).then(|| id.clone())
}

fn fresh_id(app: &App) -> HeaderValue {
    let mut bytes = [0; 12];
    app.random.fill(&mut bytes);
    HeaderValue::try_from(hex::encode(bytes)).expect("BUG: hex digits are a header value")
}
