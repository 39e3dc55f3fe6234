//! Who may come in: address, key, request limit, then what the key is for, all before the body
//! is read.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use ipnet::IpNet;
use tryon_core::{limit::RateClass, scope::Scope, time::Timestamp};

use crate::{
    app::App,
    auth::{self, Caller, KeyHash},
    error::{ApiError, whole_seconds},
    origin,
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
    /// What a key has to be for.
    pub(super) scope: Scope,
    /// What requests are counted as.
    pub(super) class: RateClass,
}

/// Middleware that lets a request in with its [`Caller`], and tells how it stands in
/// every answer.
pub(super) async fn admit(
    State(Gate { app, scope, class }): State<Gate>,
    mut request: Request,
    next: Next,
) -> Response {
    let now = app.clock.now();
    let from = origin::find_network(&request, &app.config.server.trusted_proxies);
    let key = auth::read_key(request.headers());
    let caller = match authenticate(&app, from, key, now).await {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    let account = &caller.account;
    tracing::debug!(account = %account.id, key = %caller.key, "authenticated");
    let limit = account.limits.per_window(class);
    let allowance = app.rates.take(account.id, class, limit, now).await;
    let mut response = if !allowance.granted {
        ApiError::rate_limited(limit, allowance.reset).into_response()
    } else if !caller.scopes.allow(scope) {
        ApiError::out_of_scope(scope).into_response()
    } else {
        request.extensions_mut().insert(caller);
        next.run(request).await
    };
    describe(&allowance, response.headers_mut());
    response
}

/// Who a request comes from, unless its address has come too often without a valid key.
async fn authenticate(
    app: &App,
    from: IpNet,
    key: Result<KeyHash, ApiError>,
    now: Timestamp,
) -> Result<Caller, ApiError> {
    let hash = key.as_ref().ok().copied();
    let admitted = app.strangers.admit(from, hash.as_ref(), now);
    admitted.map_err(ApiError::too_many_failures)?;
    let caller = match key {
        Ok(key) => auth::find_caller(&key, &*app.store, now).await,
        Err(error) => Err(error),
    };
    match (&caller, hash) {
        (Ok(_), Some(key)) => app.strangers.know(key),
        (Err(error), _) if error.is_unauthorized() => {
            app.strangers.count(from, hash.as_ref(), now);
        }
        _ => {}
    }
    caller
}

fn describe(allowance: &Allowance, headers: &mut HeaderMap) {
    headers.insert(LIMIT, allowance.limit.into());
    headers.insert(REMAINING, allowance.remaining.into());
    headers.insert(RESET, whole_seconds(allowance.reset).into());
}
