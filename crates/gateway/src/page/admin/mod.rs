//! What whoever looks after the platform sees and does: nodes, queues, accounts and the log.

mod account;
mod log;
mod node;

use axum::{
    Router,
    routing::{get, post},
};

use super::path;
use crate::dispatch::Outcomes;

/// The pages of the platform.
pub(super) fn router() -> Router<Outcomes> {
    Router::new()
        .route(path::ADMIN, get(node::show))
        .route("/admin/nodes/drain", post(node::drain))
        .route("/admin/nodes/resume", post(node::resume))
        .route(path::ACCOUNTS, get(account::list).post(account::create))
        .route("/admin/accounts/{id}", get(account::show))
        .route("/admin/accounts/{id}/limits", post(account::set_limits))
        .route("/admin/accounts/{id}/grant", post(account::grant))
        .route(
            "/admin/accounts/{id}/retention",
            post(account::set_retention),
        )
        .route("/admin/accounts/{id}/users", post(account::create_user))
        .route(
            "/admin/accounts/{id}/keys/{key}/revoke",
            post(account::revoke_key),
        )
        .route("/admin/users/password", post(account::renew_password))
        .route("/admin/users/disable", post(account::disable))
        .route("/admin/users/enable", post(account::enable))
        .route(path::LOG, get(log::show))
}
