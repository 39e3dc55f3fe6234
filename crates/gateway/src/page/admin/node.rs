//! The nodes, and what waits for them.

use std::{sync::Arc, time::Duration};

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse as _, Redirect, Response},
};
use tryon_core::time::Timestamp;
use tryon_store::{Node, NodeState};

use super::super::{
    assets,
    frame::{Frame, Notice, span},
    path, render,
};
use crate::{
    app::App,
    error::ApiError,
    session::{Operator, Posted},
};

/// A node in a list.
struct NodeRow {
    name: String,
    url: String,
    state: &'static str,
    work: String,
    providers: String,
    known: String,
    faults: u32,
    drained: bool,
    /// How long its pictures took, by what this gateway was told of late.
    pace: String,
}

impl NodeRow {
    fn new(app: &App, node: &Node, now: Timestamp) -> Self {
        let is_lost = node.is_lost(now);
        let held = node.hold_until.since(now);
        let work = match node.attempt {
            Some(attempt) => format!("works on {attempt}"),
            None if node.drained || is_lost || node.state != NodeState::Ready => {
                "is given nothing".to_owned()
            }
            None if held > Duration::ZERO => format!("is left alone for {}", span(held)),
            None => "idle".to_owned(),
        };
        let providers: Vec<_> = node.providers.iter().map(|it| it.as_str()).collect();
        let known = match node.registration {
            None => "listed".to_owned(),
            Some(it) => format!("registered, heard of {} ago", span(now.since(it.seen_at))),
        };
        let pace = match app.node_times.of(&node.name) {
            Some((half, most)) => format!("{} / {}", seconds(half), seconds(most)),
            None => "–".to_owned(),
        };
        Self {
            name: node.name.clone(),
            url: node.url.clone(),
            state: if is_lost { "lost" } else { node.state.as_str() },
            work,
            providers: providers.join(", "),
            known,
            faults: node.faults,
            drained: node.drained,
            pace,
        }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f32())
}

/// What waits for a provider.
struct QueueRow {
    provider: &'static str,
    waiting: u64,
    oldest: String,
}

#[derive(Template)]
#[template(path = "admin/nodes.html")]
struct NodesPage {
    here: &'static str,
    frame: Frame,
    nodes: Vec<NodeRow>,
    queues: Vec<QueueRow>,
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Operator(session): Operator,
) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let nodes = app.store.list_nodes().await?;
    let queues = app.store.list_queues().await?;
    let queue = |depth: &tryon_store::QueueDepth| QueueRow {
        provider: depth.provider.as_str(),
        waiting: depth.waiting,
        oldest: span(now.since(depth.oldest)),
    };
    Ok(render(&NodesPage {
        here: path::ADMIN,
        frame: Frame::of(&app, &session),
        nodes: nodes.iter().map(|it| NodeRow::new(&app, it, now)).collect(),
        queues: queues.iter().map(queue).collect(),
    }))
}

pub(super) async fn drain(
    state: State<Arc<App>>,
    posted: Posted<Operator>,
) -> Result<Response, ApiError> {
    set_drained(state, posted, true).await
}

pub(super) async fn resume(
    state: State<Arc<App>>,
    posted: Posted<Operator>,
) -> Result<Response, ApiError> {
    set_drained(state, posted, false).await
}

async fn set_drained(
    State(app): State<Arc<App>>,
    Posted { by, fields }: Posted<Operator>,
    drained: bool,
) -> Result<Response, ApiError> {
    let name = fields.get("name").to_owned();
    let absent = || ApiError::not_found("there is no such node");
    app.store.find_node(&name).await?.ok_or_else(absent)?;
    let action = if drained { "node.drain" } else { "node.resume" };
    by.0.note(&app, None, action, name.clone()).await?;
    if !app.store.set_node_drained(&name, drained).await? {
        return Err(absent());
    }
    Ok(Redirect::to(path::ADMIN).into_response())
}
