//! Accounts: what they hold and may do, and who looks after them.

use std::{sync::Arc, time::Duration};

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use tryon_core::{
    id::{AccountId, UserId},
    ledger::Pool,
    limit::Limits,
};
use tryon_store::{Account, NewUser, User};

use super::super::{
    assets,
    chart::{self, Chart},
    dashboard::{KeyRow, revoke_key_of},
    form::Fields,
    frame::{Frame, Notice, moment},
    path, render, render_as,
};
use crate::{
    app::App,
    error::ApiError,
    password::Password,
    random::as_rng,
    route::UrlPath,
    session::{Operator, Posted, Session},
    user::read_login,
};

/// Characters of an account's name, at most.
const LONGEST_NAME: usize = 128;

#[derive(Template)]
#[template(path = "admin/accounts.html")]
struct AccountsPage {
    here: &'static str,
    frame: Frame,
    accounts: Vec<Account>,
}

async fn accounts(app: &App, session: &Session, notice: Notice) -> Result<AccountsPage, ApiError> {
    let mut accounts = app.store.list_accounts().await?;
    accounts.reverse();
    Ok(AccountsPage {
        here: path::ACCOUNTS,
        frame: Frame::of(app, session).saying(notice),
        accounts,
    })
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Operator(session): Operator,
) -> Result<Response, ApiError> {
    Ok(render(&accounts(&app, &session, Notice::None).await?))
}

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Posted { by, fields }: Posted<Operator>,
) -> Result<Response, ApiError> {
    let name = fields.get("name");
    if name.is_empty() || name.chars().count() > LONGEST_NAME {
        let reason = format!("Name: it has 1 to {LONGEST_NAME} characters.");
        let page = accounts(&app, &by.0, Notice::Failed(reason)).await?;
        return Ok(render_as(StatusCode::BAD_REQUEST, &page));
    }
    let id = AccountId::from_bytes(fresh_id(&app));
    let (limits, now) = (app.config.default_limits, app.clock.now());
    by.0.note(&app, None, "account.create", format!("{id} {name}"))
        .await?;
    app.store.create_account(id, name, limits, now).await?;
    Ok(Redirect::to(&path::account(id)).into_response())
}

fn fresh_id(app: &App) -> [u8; 12] {
    let mut id = [0; 12];
    app.random.fill(&mut id);
    id
}

/// A user in a list.
struct UserRow {
    login: String,
    is_operator: bool,
    is_disabled: bool,
    created: String,
}

impl From<&User> for UserRow {
    fn from(user: &User) -> Self {
        Self {
            login: user.login.clone(),
            is_operator: user.is_operator,
            is_disabled: user.disabled_at.is_some(),
            created: moment(user.created_at),
        }
    }
}

#[derive(Template)]
#[template(path = "admin/account.html")]
struct OneAccount {
    here: &'static str,
    frame: Frame,
    account: Account,
    /// Seconds, or nothing.
    retention: String,
    users: Vec<UserRow>,
    keys: Vec<KeyRow>,
    chart: Chart,
    /// Somebody whose password was made just now, and it.
    password: Option<(String, String)>,
    /// Whether passwords sign in.
    passwords: bool,
}

async fn find(app: &App, id: &str) -> Result<Account, ApiError> {
    let absent = || ApiError::not_found("there is no account of this id");
    let id = id.parse().map_err(|_| absent())?;
    app.store.find_account(id).await?.ok_or_else(absent)
}

async fn one(
    app: &App,
    session: &Session,
    id: AccountId,
    notice: Notice,
) -> Result<OneAccount, ApiError> {
    let now = app.clock.now();
    let account = find(app, &id.to_string()).await?;
    let users = app.store.list_users().await?;
    let own = users.iter().filter(|user| user.account == id);
    let used = app.store.list_usage(id, chart::first_day(now)).await?;
    let retention = account.output_retention.map(|kept| kept.as_secs());
    Ok(OneAccount {
        here: path::ACCOUNTS,
        frame: Frame::of(app, session).saying(notice),
        account,
        retention: retention.map(|kept| kept.to_string()).unwrap_or_default(),
        users: own.map(UserRow::from).collect(),
        keys: KeyRow::list(app, id).await?,
        chart: Chart::new(&used, now),
        password: None,
        passwords: app.config.sign_in.passwords,
    })
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    UrlPath(id): UrlPath<String>,
    Operator(session): Operator,
) -> Result<Response, ApiError> {
    let account = find(&app, &id).await?;
    let page = one(&app, &session, account.id, Notice::None).await?;
    Ok(render(&page))
}

/// The page again, with why nothing was done.
async fn refuse(
    app: &App,
    by: &Operator,
    id: AccountId,
    reason: String,
) -> Result<Response, ApiError> {
    let page = one(app, &by.0, id, Notice::Failed(reason)).await?;
    Ok(render_as(StatusCode::BAD_REQUEST, &page))
}

fn back(id: AccountId) -> Response {
    Redirect::to(&path::account(id)).into_response()
}

fn read_limits(fields: &Fields) -> Result<Limits, String> {
    Ok(Limits {
        tryon_per_minute: fields.number("tryon_per_minute", "Submissions")?,
        status_per_minute: fields.number("status_per_minute", "Status requests")?,
        credits_per_minute: fields.number("credits_per_minute", "Credit requests")?,
        concurrent_jobs: fields.number("concurrent_jobs", "Jobs")?,
    })
}

pub(super) async fn set_limits(
    State(app): State<Arc<App>>,
    UrlPath(id): UrlPath<String>,
    Posted { by, fields }: Posted<Operator>,
) -> Result<Response, ApiError> {
    let id = find(&app, &id).await?.id;
    let limits = match read_limits(&fields) {
        Ok(limits) => limits,
        Err(reason) => return refuse(&app, &by, id, reason).await,
    };
    by.0.note(&app, Some(id), "account.limits", limits.to_string())
        .await?;
    app.store.set_limits(id, limits).await?;
    Ok(back(id))
}

pub(super) async fn grant(
    State(app): State<Arc<App>>,
    UrlPath(id): UrlPath<String>,
    Posted { by, fields }: Posted<Operator>,
) -> Result<Response, ApiError> {
    let id = find(&app, &id).await?.id;
    let amount = match fields.number("amount", "Credits") {
        Ok(amount @ 1..=1_000_000_000) => amount,
        Ok(_) => {
            let reason = "Credits: a grant is of 1 to 1000000000.".to_owned();
            return refuse(&app, &by, id, reason).await;
        }
        Err(reason) => return refuse(&app, &by, id, reason).await,
    };
    let (pool, name) = match fields.get("pool") {
        "subscription" => (Pool::Subscription, "subscription"),
        _ => (Pool::Purchased, "purchased"),
    };
    let detail = format!("{amount} {name}");
    by.0.note(&app, Some(id), "credits.grant", detail).await?;
    app.store
        .grant_credits(id, pool, amount, app.clock.now())
        .await?;
    Ok(back(id))
}

pub(super) async fn set_retention(
    State(app): State<Arc<App>>,
    UrlPath(id): UrlPath<String>,
    Posted { by, fields }: Posted<Operator>,
) -> Result<Response, ApiError> {
    let id = find(&app, &id).await?.id;
    let retention = match fields.get("seconds") {
        "" => None,
        _ => match fields.number("seconds", "Seconds") {
            Ok(seconds) => Some(Duration::from_secs(seconds.into())),
            Err(reason) => return refuse(&app, &by, id, reason).await,
        },
    };
    let detail = match retention {
        None => "as configured".to_owned(),
        Some(kept) => format!("{} s", kept.as_secs()),
    };
    by.0.note(&app, Some(id), "account.retention", detail)
        .await?;
    app.store.set_output_retention(id, retention).await?;
    Ok(back(id))
}

pub(super) async fn revoke_key(
    State(app): State<Arc<App>>,
    UrlPath((id, key)): UrlPath<(String, String)>,
    Posted { by, .. }: Posted<Operator>,
) -> Result<Response, ApiError> {
    let id = find(&app, &id).await?.id;
    revoke_key_of(&app, &by.0, id, &key).await?;
    Ok(back(id))
}

/// A fresh password and its hash.
async fn fresh_password(app: &App) -> Result<(Password, String), ApiError> {
    let password = Password::generate(&mut as_rng(&*app.random));
    let copy = password.clone();
    let hash = app.vault.run(move || copy.hash()).await;
    Ok((password, hash.map_err(ApiError::internal)?))
}

/// The account's page with a password that is shown this once: not a redirect, because it is nowhere
/// else.
async fn reveal(
    app: &App,
    by: &Operator,
    user: (AccountId, String),
    password: Password,
) -> Result<Response, ApiError> {
    let (account, login) = user;
    Ok(render(&OneAccount {
        password: Some((login, password.into_string())),
        ..one(app, &by.0, account, Notice::None).await?
    }))
}

pub(super) async fn create_user(
    State(app): State<Arc<App>>,
    UrlPath(id): UrlPath<String>,
    Posted { by, fields }: Posted<Operator>,
) -> Result<Response, ApiError> {
    let id = find(&app, &id).await?.id;
    let login = match read_login(fields.get("login")) {
        Ok(login) => login,
        Err(bad) => return refuse(&app, &by, id, format!("Login: {bad}.")).await,
    };
    let taken = format!("Login: `{login}` is taken.");
    if app.store.find_user(&login).await?.is_some() {
        return refuse(&app, &by, id, taken).await;
    }
    // Where passwords do not sign in, they do by their address of mail.
    let password = if app.config.sign_in.passwords {
        Some(fresh_password(&app).await?)
    } else {
        None
    };
    let user = NewUser {
        id: UserId::from_bytes(fresh_id(&app)),
        login: login.clone(),
        account: id,
        is_operator: fields.has("operator"),
        password: password.as_ref().map(|(_, hash)| hash.clone()),
    };
    let kind = if user.is_operator { " (operator)" } else { "" };
    let detail = format!("{login}{kind}");
    by.0.note(&app, Some(id), "user.create", detail).await?;
    if !app.store.create_user(user, app.clock.now()).await? {
        return refuse(&app, &by, id, taken).await;
    }
    match password {
        Some((password, _)) => reveal(&app, &by, (id, login), password).await,
        None => Ok(back(id)),
    }
}

async fn find_user(app: &App, login: &str) -> Result<User, ApiError> {
    let absent = || ApiError::not_found("there is nobody of this login");
    app.store.find_user(login).await?.ok_or_else(absent)
}

pub(super) async fn renew_password(
    State(app): State<Arc<App>>,
    Posted { by, fields }: Posted<Operator>,
) -> Result<Response, ApiError> {
    let user = find_user(&app, fields.get("login")).await?;
    if !app.config.sign_in.passwords {
        let reason = "Passwords do not sign in here.".to_owned();
        return refuse(&app, &by, user.account, reason).await;
    }
    let login = user.login.clone();
    let (password, hash) = fresh_password(&app).await?;
    let account = Some(user.account);
    by.0.note(&app, account, "user.password", login.clone())
        .await?;
    app.store.set_password(user.id, &hash).await?;
    reveal(&app, &by, (user.account, login), password).await
}

pub(super) async fn disable(
    State(app): State<Arc<App>>,
    Posted { by, fields }: Posted<Operator>,
) -> Result<Response, ApiError> {
    let user = find_user(&app, fields.get("login")).await?;
    let login = user.login.clone();
    if user.id == by.0.visitor.user.id {
        let reason = "You cannot shut yourself out.".to_owned();
        return refuse(&app, &by, user.account, reason).await;
    }
    let account = Some(user.account);
    by.0.note(&app, account, "user.disable", login).await?;
    let since = Some(app.clock.now());
    app.store.set_user_disabled(user.id, since).await?;
    Ok(back(user.account))
}

pub(super) async fn enable(
    State(app): State<Arc<App>>,
    Posted { by, fields }: Posted<Operator>,
) -> Result<Response, ApiError> {
    let user = find_user(&app, fields.get("login")).await?;
    let login = user.login.clone();
    let account = Some(user.account);
    by.0.note(&app, account, "user.enable", login).await?;
    app.store.set_user_disabled(user.id, None).await?;
    Ok(back(user.account))
}
