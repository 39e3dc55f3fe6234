//! An account's API keys.

use std::{sync::Arc, time::Duration};

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use tryon_core::{
    id::{AccountId, KeyId},
    scope::{Scope, Scopes},
    time::Timestamp,
};
use tryon_store::{Key, NewKey};

use super::super::{
    assets,
    form::Fields,
    frame::{Frame, Notice, moment},
    path, render, render_as,
};
use crate::{
    app::App,
    auth::NewSecret,
    error::ApiError,
    random::as_rng,
    route::UrlPath,
    session::{Posted, Session},
};

/// Characters of a key's name, at most.
const LONGEST_NAME: usize = 64;

const DAY: Duration = Duration::from_hours(24);

/// Days that a key is valid, at most, unless it is so until it is revoked.
const MOST_DAYS: u32 = 3_650;

/// A key in a list.
pub(in crate::page) struct KeyRow {
    pub(in crate::page) id: KeyId,
    pub(in crate::page) name: String,
    pub(in crate::page) prefix: String,
    pub(in crate::page) scopes: String,
    pub(in crate::page) created: String,
    pub(in crate::page) state: String,
    pub(in crate::page) is_valid: bool,
}

impl KeyRow {
    /// The account's keys, the latest first.
    pub(in crate::page) async fn list(
        app: &App,
        account: AccountId,
    ) -> Result<Vec<Self>, ApiError> {
        let now = app.clock.now();
        let keys = app.store.list_keys(account).await?;
        Ok(keys.iter().rev().map(|key| Self::new(key, now)).collect())
    }

    fn new(key: &Key, now: Timestamp) -> Self {
        let state = match (key.revoked_at, key.expires_at) {
            (Some(at), _) => format!("revoked {}", moment(at)),
            (None, Some(at)) if at <= now => format!("expired {}", moment(at)),
            (None, Some(at)) => format!("valid until {}", moment(at)),
            (None, None) => "valid".to_owned(),
        };
        Self {
            id: key.id,
            name: key.name.clone(),
            prefix: key.prefix.clone(),
            scopes: if key.scopes.are_all() {
                "everything".to_owned()
            } else {
                key.scopes.to_string()
            },
            created: moment(key.created_at),
            is_valid: key.revoked_at.is_none() && key.expires_at.is_none_or(|at| at > now),
            state,
        }
    }
}

#[derive(Template)]
#[template(path = "app/keys.html")]
struct KeysPage {
    here: &'static str,
    frame: Frame,
    keys: Vec<KeyRow>,
    scopes: &'static [Scope],
    /// One that was made just now.
    secret: Option<String>,
    base: String,
}

async fn keys(app: &App, session: &Session, notice: Notice) -> Result<KeysPage, ApiError> {
    Ok(KeysPage {
        here: path::KEYS,
        frame: Frame::of(app, session).saying(notice),
        keys: KeyRow::list(app, session.visitor.account.id).await?,
        scopes: Scope::ALL,
        secret: None,
        base: app.config.server.link_base(),
    })
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    session: Session,
) -> Result<Response, ApiError> {
    Ok(render(&keys(&app, &session, Notice::None).await?))
}

/// A key as the form asks for it.
struct Wanted {
    name: String,
    scopes: Scopes,
    life: Option<Duration>,
}

fn read(fields: &Fields) -> Result<Wanted, String> {
    let name = fields.get("name");
    if name.is_empty() || name.chars().count() > LONGEST_NAME {
        return Err(format!("Name: it has 1 to {LONGEST_NAME} characters."));
    }
    let life = match fields.get("days") {
        "" => None,
        _ => match fields.number("days", "Days")? {
            days @ 1..=MOST_DAYS => Some(DAY * days),
            _ => return Err(format!("Days: a key is valid for 1 to {MOST_DAYS}.")),
        },
    };
    let chosen = Scope::ALL.iter().filter(|scope| fields.has(scope.as_str()));
    let some: Vec<_> = chosen.copied().collect();
    if some.is_empty() {
        return Err("May: a key that may do nothing is of no use.".to_owned());
    }
    Ok(Wanted {
        name: name.to_owned(),
        // Whoever leaves everything checked means everything, also what is still to come.
        scopes: if some.len() == Scope::ALL.len() {
            Scopes::ALL
        } else {
            some.into_iter().collect()
        },
        life,
    })
}

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Posted { by, fields }: Posted,
) -> Result<Response, ApiError> {
    let wanted = match read(&fields) {
        Ok(wanted) => wanted,
        Err(reason) => {
            let page = keys(&app, &by, Notice::Failed(reason)).await?;
            return Ok(render_as(StatusCode::BAD_REQUEST, &page));
        }
    };
    let secret = NewSecret::generate(&mut as_rng(&*app.random));
    let mut id = [0; 12];
    app.random.fill(&mut id);
    let (account, now) = (by.visitor.account.id, app.clock.now());
    let key = NewKey {
        id: KeyId::from_bytes(id),
        account,
        name: wanted.name,
        prefix: secret.prefix().to_owned(),
        hash: secret.hash(),
        scopes: wanted.scopes,
        expires_at: wanted.life.map(|life| now + life),
    };
    let detail = format!("{} {}", key.id, key.name);
    by.note(&app, Some(account), "key.create", detail).await?;
    app.store.create_key(key, now).await?;
    // Not a redirect: the secret is in this answer, and nowhere else.
    Ok(render(&KeysPage {
        secret: Some(secret.into_string()),
        ..keys(&app, &by, Notice::None).await?
    }))
}

pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    UrlPath(id): UrlPath<String>,
    Posted { by, .. }: Posted,
) -> Result<Response, ApiError> {
    revoke_of(&app, &by, by.visitor.account.id, &id).await?;
    Ok(Redirect::to(path::KEYS).into_response())
}

/// Revokes a key of this account.
pub(in crate::page) async fn revoke_of(
    app: &App,
    by: &Session,
    account: AccountId,
    id: &str,
) -> Result<(), ApiError> {
    let keys = app.store.list_keys(account).await?;
    let absent = || ApiError::not_found("the account has no key of this id");
    let key = keys.into_iter().find(|key| key.id.to_string() == id);
    let key = key.ok_or_else(absent)?;
    if key.revoked_at.is_some() {
        return Ok(());
    }
    let detail = format!("{} {}", key.id, key.name);
    by.note(app, Some(account), "key.revoke", detail).await?;
    app.store.revoke_key(key.id, app.clock.now()).await?;
    Ok(())
}
