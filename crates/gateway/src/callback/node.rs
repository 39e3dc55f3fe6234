//! Nodes that make themselves known.
//!
//! Whoever knows the shared token can have the pictures of jobs, and `registration.node_token`, sent
//! to an address of its own choice: that token is all that keeps strangers out. Which token a node
//! is sent is the operator's word, never the registrant's.

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State, rejection::QueryRejection},
};
use serde::Deserialize;
use tryon_api::{
    node::{Registered as Answer, Registration},
    public::ErrorBody,
};
use tryon_store::{NodeSpec, Registered};
use url::Url;

use super::{RECEIVED, Received, Reports, form};
use crate::{config::RegistrationConfig, error::ApiError};

/// Which of the nodes that had this name.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    /// Where it listens: a node that comes late says nothing of the one that has its name now.
    url: Option<Url>,
}

/// A node is there, or still is. It is probed as any other before it is given work.
#[utoipa::path(
    post,
    path = super::path::NODES,
    tag = "nodes",
    security(("token" = [])),
    request_body = Registration,
    responses(
        (status = 200, description = "It is known for so long", body = Answer),
        (status = 400, description = "`BadRequest`: it cannot be read", body = ErrorBody),
        (status = 401, description = "`UnauthorizedAccess`: no token, or a wrong one", body = ErrorBody),
        (status = 404, description = "`NotFound`: this gateway takes no registrations", body = ErrorBody),
        (status = 409, description = "`BadRequest`: another node has this name", body = ErrorBody),
        (status = 500, description = "`InternalServerError`: send it again", body = ErrorBody),
    )
)]
pub(super) async fn register_node(
    State(reports): State<Reports>,
    body: Body,
) -> Result<Json<Answer>, ApiError> {
    let app = &reports.outcomes.app;
    check_open(&app.config.registration)?;
    let json = form::read_small(body, &app.config.limits).await?;
    let registration = Registration::parse(&json);
    let Registration { name, url } =
        registration.map_err(|fault| ApiError::bad_request(fault.to_string()))?;
    let lease = app.config.registration.lease;
    let now = app.clock.now();
    let node = NodeSpec {
        name,
        url: url.to_string(),
    };
    let until = now + lease.duration();
    match app.store.register_node(&node, until, now).await? {
        Registered::Joined => {
            tracing::info!(node = node.name, url = node.url, "a node registered");
        }
        Registered::Renewed | Registered::Listed => {}
        Registered::Taken { url } => return Err(ApiError::name_taken(&node.name, &url)),
    }
    Ok(Json(Answer { lease }))
}

/// A node ends: it is given nothing more, and what it works on ends as ever. A node that is not
/// known, or known no more, is told the same.
#[utoipa::path(
    delete,
    path = super::path::NODE,
    tag = "nodes",
    security(("token" = [])),
    params(
        ("name" = String, Path, description = "The node's name"),
        ("url" = Option<String>, Query, description = "Where it listens: a node of this name elsewhere stays"),
    ),
    responses(
        (status = 200, description = "It is given nothing more, or was not known", body = Received),
        (status = 400, description = "`BadRequest`: `url` cannot be read", body = ErrorBody),
        (status = 401, description = "`UnauthorizedAccess`: no token, or a wrong one", body = ErrorBody),
        (status = 404, description = "`NotFound`: this gateway takes no registrations", body = ErrorBody),
        (status = 500, description = "`InternalServerError`: send it again", body = ErrorBody),
    )
)]
pub(super) async fn remove_node(
    State(reports): State<Reports>,
    Path(name): Path<String>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Received>, ApiError> {
    let app = &reports.outcomes.app;
    check_open(&app.config.registration)?;
    let wrong = |_| ApiError::bad_request("`url` is given twice, or is not a URL");
    let Query(Which { url }) = which.map_err(wrong)?;
    let url = url.as_ref().map(Url::as_str);
    if app.store.leave_node(&name, url, app.clock.now()).await? {
        tracing::info!(node = name, "a node ends");
    }
    Ok(RECEIVED)
}

/// Nodes that would be told nothing as their token would refuse every attempt.
fn check_open(config: &RegistrationConfig) -> Result<(), ApiError> {
    if config.node_token.is_some() {
        return Ok(());
    }
    Err(ApiError::not_found(
        "this gateway takes no registrations: set its `registration.node_token` to what its nodes \
         want to be told, their `security.internal_auth_token`",
    ))
}
