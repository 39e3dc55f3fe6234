//! Signing in and out, and one's own password.

use std::{sync::Arc, time::Duration};

use askama::Template;
use axum::{
    extract::{FromRequest as _, Request, State},
    http::{StatusCode, header},
    response::{AppendHeaders, IntoResponse as _, Redirect, Response},
};
use tryon_store::{NewSession, Proof, User};

use super::super::{
    assets,
    form::{Fields, query},
    frame::{Frame, Notice, has_password},
    path, render, render_as,
};
use crate::{
    app::App,
    error::ApiError,
    origin::{self, Network},
    password::{self, Password},
    session::{Posted, Session, Token},
    user::read_login,
};

#[derive(Template)]
#[template(path = "app/sign-in.html")]
struct SignIn {
    here: &'static str,
    next: String,
    login: String,
    failure: Option<String>,
    /// Whether passwords sign in.
    passwords: bool,
    /// What else does.
    provider: Option<String>,
}

impl SignIn {
    fn new(app: &App, next: &str) -> Self {
        let provider = app.provider.as_ref();
        Self {
            here: path::SIGN_IN,
            passwords: app.config.sign_in.passwords,
            provider: provider.map(|it| it.name().to_owned()),
            next: path::ours(next).to_owned(),
            login: String::new(),
            failure: None,
        }
    }
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let next = query(request.uri(), "next").unwrap_or_default();
    if Session::find(&app, request.headers()).await?.is_some() {
        return Ok(Redirect::to(path::ours(&next)).into_response());
    }
    Ok(render(&SignIn::new(&app, &next)))
}

/// The page again, with why nobody is signed in.
pub(super) fn refuse(app: &App, status: StatusCode, reason: String, next: &str) -> Response {
    let page = SignIn {
        failure: Some(reason),
        ..SignIn::new(app, next)
    };
    render_as(status, &page)
}

pub(super) async fn sign_in(State(app): State<Arc<App>>, request: Request) -> Response {
    match try_sign_in(&app, request).await {
        Ok(answer) => answer,
        Err(error) => error.into_response(),
    }
}

async fn try_sign_in(app: &Arc<App>, request: Request) -> Result<Response, ApiError> {
    let from = origin::find_network(&request, &app.config.server.trusted_proxies);
    let before = Session::find(app, request.headers()).await?;
    let fields = Fields::from_request(request, app).await?;
    let next = path::ours(fields.get("next"));
    let refuse = |status, reason: String| {
        let page = SignIn {
            login: fields.get("login").to_owned(),
            failure: Some(reason),
            ..SignIn::new(app, next)
        };
        Ok(render_as(status, &page))
    };
    if !app.config.sign_in.passwords {
        let reason = "Passwords do not sign in here.".to_owned();
        return refuse(StatusCode::FORBIDDEN, reason);
    }
    let now = app.clock.now();
    if let Err(wait) = app.guessers.charge(from, now) {
        let reason = too_many("wrong passwords", wait);
        return refuse(StatusCode::TOO_MANY_REQUESTS, reason);
    }
    let user = match read_login(fields.get("login")) {
        Ok(login) => app.store.find_user(&login).await?,
        Err(_) => None,
    };
    let user = user.filter(|user| user.disabled_at.is_none());
    let Some(user) = check(app, user, fields.exactly("password")).await? else {
        tracing::warn!(%from, "a wrong password was named");
        let reason = "There is nobody with this login and this password.".to_owned();
        return refuse(StatusCode::FORBIDDEN, reason);
    };
    app.guessers.refund(from);
    let proof = Proof::Password(user.password.clone().unwrap_or_default());
    let_in(app, before, (user, proof), next).await
}

/// Opens a session of this user, and leads on. Whoever was signed in in this browser before is not
/// any more: no session becomes somebody else's.
pub(super) async fn let_in(
    app: &App,
    before: Option<Session>,
    (user, proof): (User, Proof),
    next: &str,
) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let (token, life) = (
        Token::generate(app),
        app.config.sign_in.session_life.duration(),
    );
    let session = NewSession {
        hash: token.hash(),
        user: user.id,
        proof,
        expires_at: now + life,
    };
    if let Some(before) = before {
        app.store.close_session(&before.token.hash()).await?;
    }
    if !app.store.open_session(session, now).await? {
        let reason = "You may not sign in any more.".to_owned();
        return Ok(refuse(app, StatusCode::FORBIDDEN, reason, next));
    }
    tracing::info!(user = %user.login, "signed in");
    let cookie = Token::set_cookie(Some((&token, life)), &app.config.server);
    let head = AppendHeaders([(header::SET_COOKIE, cookie)]);
    Ok((head, Redirect::to(next)).into_response())
}

pub(super) fn too_many(what: &str, wait: Duration) -> String {
    let seconds = wait.as_secs() + 1;
    format!("Too many {what} came from here. Try again in {seconds} s.")
}

/// The user, if this is their password. It takes as long where there is no such user.
async fn check(app: &App, user: Option<User>, text: &str) -> Result<Option<User>, ApiError> {
    let text = text.to_owned();
    let checked = app.vault.run(move || {
        let hash = user.as_ref().and_then(|user| user.password.as_deref());
        let is_right = password::verify(&text, hash);
        user.filter(|_| is_right)
    });
    checked.await.map_err(ApiError::internal)
}

pub(super) async fn sign_out(
    State(app): State<Arc<App>>,
    Posted { by, .. }: Posted,
) -> Result<Response, ApiError> {
    app.store.close_session(&by.token.hash()).await?;
    let cookie = Token::set_cookie(None, &app.config.server);
    let head = AppendHeaders([(header::SET_COOKIE, cookie)]);
    Ok((head, Redirect::to(path::SIGN_IN)).into_response())
}

#[derive(Template)]
#[template(path = "app/password.html")]
struct OwnPassword {
    here: &'static str,
    frame: Frame,
}

fn own_password(app: &App, session: &Session, notice: Notice) -> OwnPassword {
    OwnPassword {
        here: path::PASSWORD,
        frame: Frame::of(app, session).saying(notice),
    }
}

/// Somebody has one, and it signs them in.
fn check_password(app: &App, session: &Session) -> Result<(), ApiError> {
    if has_password(app, session) {
        return Ok(());
    }
    Err(ApiError::not_found("you sign in without a password"))
}

pub(super) async fn show_password(
    State(app): State<Arc<App>>,
    session: Session,
) -> Result<Response, ApiError> {
    check_password(&app, &session)?;
    Ok(render(&own_password(&app, &session, Notice::None)))
}

pub(super) async fn change_password(
    State(app): State<Arc<App>>,
    Network(from): Network,
    Posted { by, fields }: Posted,
) -> Result<Response, ApiError> {
    check_password(&app, &by)?;
    let refuse = |reason: String| {
        let page = own_password(&app, &by, Notice::Failed(reason));
        Ok(render_as(StatusCode::BAD_REQUEST, &page))
    };
    let password = match Password::parse(fields.exactly("new")) {
        Ok(password) => password,
        Err(bad) => return refuse(format!("New password: {bad}.")),
    };
    // Whoever has a session only is not to find the password.
    if let Err(wait) = app.guessers.charge(from, app.clock.now()) {
        return refuse(too_many("wrong passwords", wait));
    }
    let user = Some(by.visitor.user.clone());
    let Some(user) = check(&app, user, fields.exactly("old")).await? else {
        return refuse("Old password: it is another one.".to_owned());
    };
    app.guessers.refund(from);
    let hash = app.vault.run(move || password.hash());
    let hash = hash.await.map_err(ApiError::internal)?;
    let login = user.login.clone();
    by.note(&app, Some(user.account), "user.password", login)
        .await?;
    app.store.set_password(user.id, &hash).await?;
    // Every session is over, also this one.
    Ok(Redirect::to(path::SIGN_IN).into_response())
}
