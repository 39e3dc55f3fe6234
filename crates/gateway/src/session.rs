//! Who is signed in to the pages.
//!
//! A browser keeps 32 random bytes in a cookie that no script reads; the store keeps their SHA-256,
//! and with it who signed in and until when. What a page has sent back with a form is derived from
//! the cookie ([`Session::proof`]): a page of somebody else, which has the browser send the cookie
//! along, cannot know it.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{FromRef, FromRequest, FromRequestParts, Request},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::{IntoResponse as _, Redirect, Response},
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use cookie::{Cookie, SameSite};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tryon_core::limit::RateClass;
use tryon_store::{StoreError, Visitor};

use crate::{
    app::App,
    config::ServerConfig,
    error::ApiError,
    page::{Fields, path},
};

/// Characters of a token: 32 bytes in base64url.
const LENGTH: usize = 43;

/// What the cookie holds.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn generate(app: &App) -> Self {
        let mut bytes = [0; 32];
        app.random.fill(&mut bytes);
        Self(BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    /// What the store keeps of it.
    pub(crate) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// The token in a request's cookie.
    fn read(headers: &HeaderMap, server: &ServerConfig) -> Option<Self> {
        let values = headers.get_all(header::COOKIE).iter();
        let texts = values.filter_map(|value| value.to_str().ok());
        let name = cookie_name(server);
        texts
            .flat_map(Cookie::split_parse)
            .filter_map(Result::ok)
            .find(|cookie| cookie.name() == name)
            .map(|cookie| Self(cookie.value().to_owned()))
            // What is not shaped like one costs no look into the store.
            .filter(|token| token.0.len() == LENGTH)
    }

    /// Has the browser keep it for so long; not at all with `None`.
    pub(crate) fn set_cookie(
        life: Option<(&Self, Duration)>,
        server: &ServerConfig,
    ) -> HeaderValue {
        let (value, seconds) = life.map_or(("", 0), |(token, life)| (&*token.0, life.as_secs()));
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let cookie = Cookie::build((cookie_name(server), value))
            .path("/")
            .http_only(true)
            .secure(is_secure(server))
            // A link from elsewhere opens the dashboard; a form from elsewhere does nothing.
            .same_site(SameSite::Lax)
            .max_age(cookie::time::Duration::seconds(seconds));
        HeaderValue::try_from(cookie.to_string()).expect("BUG: base64 is a header value")
    }
}

/// Whether clients reach the pages over TLS alone.
pub(crate) fn is_secure(server: &ServerConfig) -> bool {
    server.link_base().starts_with("https:")
}

/// With this prefix no other host, and nobody without TLS, can set it.
fn cookie_name(server: &ServerConfig) -> &'static str {
    if is_secure(server) {
        "__Host-tryon"
    } else {
        "tryon"
    }
}

/// Who is signed in, in the browser that a request comes from. As an extractor it sends whoever is
/// not to sign in first.
pub(crate) struct Session {
    pub(crate) visitor: Visitor,
    pub(crate) token: Token,
    /// What a form that is to be done once is known by.
    pub(crate) form: Option<String>,
}

impl Session {
    /// Who it is, unless nobody is signed in.
    pub(crate) async fn find(app: &App, headers: &HeaderMap) -> Result<Option<Self>, StoreError> {
        let Some(token) = Token::read(headers, &app.config.server) else {
            return Ok(None);
        };
        let (hash, now) = (token.hash(), app.clock.now());
        let visitor = app.store.find_session(&hash, now).await?;
        Ok(visitor.map(|visitor| Self {
            visitor,
            token,
            form: None,
        }))
    }

    /// What a form of this session's pages carries.
    pub(crate) fn proof(&self) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(self.token.0.as_bytes());
        let mac = mac.expect("BUG: HMAC takes keys of any length");
        hex::encode(mac.chain_update("a form of ours").finalize().into_bytes())
    }

    /// Counts a form as a request for a job's status is, which its account may make as many of.
    async fn take_turn(&self, app: &App) -> Result<(), Response> {
        let account = &self.visitor.account;
        let (class, now) = (RateClass::Status, app.clock.now());
        let limit = account.limits.per_window(class);
        let allowance = app.rates.take(account.id, class, limit, now).await;
        if allowance.granted {
            return Ok(());
        }
        Err(ApiError::rate_limited(limit, allowance.reset).into_response())
    }

    fn proves(&self, proof: &str) -> bool {
        self.proof().as_bytes().ct_eq(proof.as_bytes()).into()
    }
}

impl<S> FromRequestParts<S> for Session
where
    S: Send + Sync,
    Arc<App>: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let app = Arc::<App>::from_ref(state);
        match Self::find(&app, &parts.headers).await {
            Ok(Some(session)) => Ok(session),
            Ok(None) => Err(Redirect::to(&path::sign_in_for(parts)).into_response()),
            Err(error) => Err(ApiError::from(error).into_response()),
        }
    }
}

/// A session of somebody who looks after the platform. To anybody else there is no such page.
pub(crate) struct Operator(pub(crate) Session);

impl<S> FromRequestParts<S> for Operator
where
    S: Send + Sync,
    Arc<App>: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let session = Session::from_request_parts(parts, state).await?;
        if session.visitor.user.is_operator {
            Ok(Self(session))
        } else {
            Err(ApiError::not_found("there is no such page").into_response())
        }
    }
}

impl AsMut<Session> for Session {
    fn as_mut(&mut self) -> &mut Session {
        self
    }
}

impl AsMut<Session> for Operator {
    fn as_mut(&mut self) -> &mut Session {
        &mut self.0
    }
}

/// A form that somebody sent from a page of their own session.
pub(crate) struct Posted<W = Session> {
    pub(crate) by: W,
    pub(crate) fields: Fields,
}

impl<S, W> FromRequest<S> for Posted<W>
where
    S: Send + Sync,
    Arc<App>: FromRef<S>,
    W: AsMut<Session> + FromRequestParts<S, Rejection = Response> + Send + Sync,
{
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let mut by = W::from_request_parts(&mut parts, state).await?;
        let session = by.as_mut();
        session.take_turn(&Arc::<App>::from_ref(state)).await?;
        let fields = Fields::from_request(Request::from_parts(parts, body), state).await;
        let fields = fields.map_err(ApiError::into_response)?;
        if session.proves(fields.get("proof")) {
            session.form = Some(fields.get("form").to_owned()).filter(|form| !form.is_empty());
            Ok(Self { by, fields })
        } else {
            let reason = "the form is not from a page of this session: go back, load the page anew, \
                          and send it again";
            Err(ApiError::bad_request(reason).into_response())
        }
    }
}
