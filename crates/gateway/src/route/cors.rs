//! What browsers of other origins may do.

use std::time::Duration;

use axum::http::{HeaderName, Method, header};
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

use super::{fashn, follow, gate, submit::idempotency, trace};
use crate::error::SHOULD_RETRY;

/// How long a browser may remember the answer to its preflight request.
const MAX_AGE: Duration = Duration::from_hours(24);

/// Any origin may use a key that it has: keys are not cookies, nothing is sent by itself.
pub(super) fn layer() -> CorsLayer {
    let limits: [HeaderName; 3] = gate::HEADERS;
    let others = [
        trace::REQUEST_ID,
        header::RETRY_AFTER,
        SHOULD_RETRY,
        idempotency::REPLAYED,
        fashn::CREDITS_USED,
        follow::APPLIED,
    ];
    let exposed = others.into_iter().chain(limits);
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE])
        // A wildcard would not cover `Authorization`.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed.collect::<Vec<_>>())
        .max_age(MAX_AGE)
}
