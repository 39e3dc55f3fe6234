//! Signing in at a provider of OpenID Connect, and coming back from it.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{AppendHeaders, IntoResponse as _, Redirect, Response},
};
use ipnet::IpNet;
use tryon_store::{NewAction, Proof, User};

use super::{
    super::{form::query, path},
    sign_in::{let_in, refuse, too_many},
};
use crate::{
    app::App,
    error::{ApiError, Chain},
    oidc::{Flow, OidcError, Provider, login},
    origin::Network,
    session::Session,
};

/// Characters of what a provider calls its refusal, at most.
const LONGEST_REASON: usize = 64;

fn provider_of(app: &App) -> Result<&Provider, ApiError> {
    let absent = || ApiError::not_found("nobody signs in elsewhere here");
    app.provider.as_deref().ok_or_else(absent)
}

/// Sends a browser to the provider.
pub(super) async fn leave(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let provider = provider_of(&app)?;
    let next = query(request.uri(), "next").unwrap_or_default();
    if Session::find(&app, request.headers()).await?.is_some() {
        return Ok(Redirect::to(path::ours(&next)).into_response());
    }
    let now = app.clock.now();
    let flow = Flow::begin(&*app.random, &next, now);
    match provider.address(&flow, now).await {
        Ok(address) => {
            let cookie = flow.set_cookie(&app.config.server);
            let head = AppendHeaders([(header::SET_COOKIE, cookie)]);
            Ok((head, Redirect::to(address.as_str())).into_response())
        }
        Err(error) => Ok(explain(&app, provider, &error, flow.next())),
    }
}

/// Signs in whoever comes back from the provider.
pub(super) async fn come_back(
    State(app): State<Arc<App>>,
    Network(from): Network,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let answer = try_come_back(&app, from, &uri, &headers).await;
    let mut answer = answer.unwrap_or_else(ApiError::into_response);
    // The way is gone, whatever came of it.
    let cookie = Flow::end_cookie(&app.config.server);
    answer.headers_mut().append(header::SET_COOKIE, cookie);
    answer
}

async fn try_come_back(
    app: &App,
    from: IpNet,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let provider = provider_of(app)?;
    let now = app.clock.now();
    let state = query(uri, "state").unwrap_or_default();
    let Some(flow) = Flow::find(headers, &state, &app.config, now) else {
        return Ok(begin_anew(app, ""));
    };
    if !provider.is(query(uri, "iss").as_deref()) {
        return Ok(begin_anew(app, flow.next()));
    }
    let next = flow.next();
    let Some(code) = query(uri, "code") else {
        let reason: String = query(uri, "error").unwrap_or_default();
        let reason: String = reason.chars().take(LONGEST_REASON).collect();
        tracing::info!(?reason, "the provider signed nobody in");
        let reason = format!("{} did not sign you in.", provider.name());
        return Ok(refuse(app, StatusCode::FORBIDDEN, reason, next));
    };
    if let Err(wait) = app.guessers.charge(from, now) {
        let reason = too_many("tries to sign in", wait);
        return Ok(refuse(app, StatusCode::TOO_MANY_REQUESTS, reason, next));
    }
    let person = match provider.identify(&flow, &code, now).await {
        Ok(person) => person,
        Err(error) => {
            if error.is_the_providers() {
                app.guessers.refund(from);
            }
            return Ok(explain(app, provider, &error, next));
        }
    };
    let user = match login::find(app, &person).await? {
        Ok(user) => user,
        Err(stranger) => {
            tracing::warn!(%from, reason = %stranger, "somebody whom the provider knows is not let in");
            return Ok(refuse(
                app,
                StatusCode::FORBIDDEN,
                stranger.to_string(),
                next,
            ));
        }
    };
    if !note(app, &user, &flow, &person.identity.issuer).await? {
        return Ok(begin_anew(app, next));
    }
    app.guessers.refund(from);
    let before = Session::find(app, headers).await?;
    let_in(app, before, (user, Proof::Identity(person.identity)), next).await
}

/// Writes down who signs in, which a way does once: false when it did before.
async fn note(app: &App, user: &User, flow: &Flow, issuer: &str) -> Result<bool, ApiError> {
    let action = NewAction {
        actor: user.login.clone(),
        account: Some(user.account),
        action: "session.open",
        detail: format!("at {issuer}"),
        form: Some(flow.mark()),
    };
    Ok(app.store.record_action(action, app.clock.now()).await?)
}

fn begin_anew(app: &App, next: &str) -> Response {
    let reason = "This is not where you began to sign in, or it was too long ago: begin anew.";
    refuse(app, StatusCode::FORBIDDEN, reason.to_owned(), next)
}

/// Says why a provider signs nobody in, as far as that concerns whoever wants to.
fn explain(app: &App, provider: &Provider, error: &OidcError, next: &str) -> Response {
    tracing::warn!(error = %Chain(error), "nobody can be signed in by the provider");
    let name = provider.name();
    let (status, reason) = match error {
        OidcError::Refused(_) => (
            StatusCode::FORBIDDEN,
            format!("{name} did not sign you in: begin anew."),
        ),
        OidcError::Undescribed(_) | OidcError::Silent | OidcError::NoTokens(_) => (
            StatusCode::BAD_GATEWAY,
            format!("{name} does not answer as it should. Try again in a moment."),
        ),
        _ => (
            StatusCode::BAD_GATEWAY,
            format!(
                "What {name} says cannot be trusted. Whoever runs this platform finds why in its log."
            ),
        ),
    };
    refuse(app, status, reason, next)
}
