//! What an account's owner sees and does: keys, jobs, credits and webhooks.

mod credit;
mod elsewhere;
mod job;
mod key;
mod overview;
mod sign_in;
mod webhook;

use axum::{
    Router,
    response::Redirect,
    routing::{get, post},
};

use super::path;
use crate::dispatch::Outcomes;

pub(super) use self::{
    job::JobRow,
    key::{KeyRow, revoke_of as revoke_key_of},
};

/// The pages of the dashboard.
pub(super) fn router() -> Router<Outcomes> {
    let home = || async { Redirect::to(path::DASHBOARD) };
    Router::new()
        .route("/app", get(home))
        .route(path::SIGN_IN, get(sign_in::show).post(sign_in::sign_in))
        .route(path::LEAVE, get(elsewhere::leave))
        .route(path::CALLBACK, get(elsewhere::come_back))
        .route("/app/sign-out", post(sign_in::sign_out))
        .route(path::DASHBOARD, get(overview::show))
        .route(path::KEYS, get(key::show).post(key::create))
        .route("/app/developer/keys/{id}/revoke", post(key::revoke))
        .route(path::JOBS, get(job::show))
        .route(path::CREDITS, get(credit::show))
        .route("/app/developer/credits.csv", get(credit::export))
        .route(path::WEBHOOKS, get(webhook::show))
        .route("/app/developer/webhooks/test", post(webhook::test))
        .route(
            "/app/developer/webhooks/{job}/replay",
            post(webhook::replay),
        )
        .route(
            path::PASSWORD,
            get(sign_in::show_password).post(sign_in::change_password),
        )
}
