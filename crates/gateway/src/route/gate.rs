//! Who may come in: key, then request limit, both before the body is read.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tryon_core::limit::RateClass;

use crate::{
    app::App,
    auth,
    error::{ApiError, whole_seconds},
    rate::Allowance,
};

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// What tells a client how it stands.
pub(super) const HEADERS: [HeaderName; 3] = [LIMIT, REMAINING, RESET];

/// What a limited route's gate needs.
#[derive(Clone)]
pub(super) struct Gate {
    /// The app.
    pub(super) app: Arc<App>,
    /// What its requests are counted as.
    pub(super) class: RateClass,
}

/// Middleware that lets a request in with its [`Caller`](auth::Caller), and tells how it stands in
/// every answer.
pub(super) async fn admit(
    State(Gate { app, class }): State<Gate>,
    mut request: Request,
    next: Next,
) -> Response {
    let now = app.clock.now();
    let caller = match auth::authenticate(request.headers(), &*app.store, now).await {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    let account = &caller.account;
    tracing::debug!(account = %account.id, key = %caller.key, "authenticated");
    let limit = account.limits.per_window(class);
    let allowance = app.rates.take(account.id, class, limit, now).await;
    let mut response = if allowance.granted {
        request.extensions_mut().insert(caller);
        next.run(request).await
    } else {
        ApiError::rate_limited(limit, allowance.reset).into_response()
    };
    describe(&allowance, response.headers_mut());
    response
}

fn describe(allowance: &Allowance, headers: &mut HeaderMap) {
    headers.insert(LIMIT, allowance.limit.into());
    headers.insert(REMAINING, allowance.remaining.into());
    headers.insert(RESET, whole_seconds(allowance.reset).into());
}
