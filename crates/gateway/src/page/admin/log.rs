//! Who changed what.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Response};
use tryon_core::id::AccountId;
use tryon_store::{Action, Before};

use super::super::{
    assets,
    form::After,
    frame::{Frame, Notice, PAGE, moment},
    path, render,
};
use crate::{app::App, error::ApiError, session::Operator};

/// A change in a list.
struct ActionRow {
    at: String,
    actor: String,
    action: String,
    detail: String,
    account: Option<AccountId>,
}

impl From<Action> for ActionRow {
    fn from(action: Action) -> Self {
        Self {
            at: moment(action.at),
            actor: action.actor,
            action: action.action,
            detail: action.detail,
            account: action.account,
        }
    }
}

#[derive(Template)]
#[template(path = "admin/log.html")]
struct Log {
    here: &'static str,
    frame: Frame,
    actions: Vec<ActionRow>,
    next: Option<i64>,
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    After(before): After<i64>,
    Operator(session): Operator,
) -> Result<Response, ApiError> {
    let page = Before {
        before,
        limit: PAGE,
    };
    let actions = app.store.list_actions(page).await?;
    let full = actions.len() == PAGE as usize;
    Ok(render(&Log {
        here: path::LOG,
        frame: Frame::of(&app, &session),
        next: actions.last().filter(|_| full).map(|action| action.id),
        actions: actions.into_iter().map(ActionRow::from).collect(),
    }))
}
