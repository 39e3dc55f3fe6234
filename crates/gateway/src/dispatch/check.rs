//! Asking a node what of a photo it would mask.

use bytes::Bytes;
use reqwest::multipart::{Form, Part};
use tryon_api::node::{CheckReport, JobConfig, field};
use tryon_core::{category::Category, task::Provider};
use tryon_store::{Node, NodeState, StoreError};

use super::{form::to_text, outcome::Outcomes};
use crate::error::Chain;

/// How many nodes are asked before it is given up.
const NODES: usize = 2;

/// What a node that serves `provider` would mask of a photo for a garment of `category`; `None` when
/// none could be asked. `photo` is a PNG as a job would send it.
pub(crate) async fn find_mask(
    outcomes: &Outcomes,
    provider: Provider,
    category: Category,
    photo: &Bytes,
) -> Result<Option<CheckReport>, StoreError> {
    let now = outcomes.app.clock.now();
    let mut nodes = outcomes.app.store.list_nodes().await?;
    nodes.retain(|node| {
        node.state == NodeState::Ready && !node.is_lost(now) && node.providers.contains(&provider)
    });
    // It is answered beside a job, but sooner without one.
    nodes.sort_by_key(|node| node.attempt.is_some());
    let members = nodes
        .iter()
        .filter_map(|Node { name, .. }| outcomes.fleet.find(name).map(|member| (name, member)));
    for (name, member) in members.take(NODES) {
        match member
            .client
            .check(build(provider, category, photo.clone()))
            .await
        {
            Ok(Some(report)) => return Ok(Some(report)),
            Ok(None) => tracing::info!(node = name, "a node does not say what it would mask"),
            Err(error) => {
                tracing::info!(node = name, error = %Chain(&error), "a node does not answer a check");
            }
        }
    }
    Ok(None)
}

fn build(provider: Provider, category: Category, photo: Bytes) -> Form {
    let config = JobConfig {
        category: Some(category),
        ..JobConfig::default()
    };
    let length = photo.len() as u64;
    let photo = Part::stream_with_length(photo, length).file_name("person.png");
    let photo = photo.mime_str("image/png");
    Form::new()
        .text(field::PROVIDER, provider.as_str())
        .text(field::CONFIG, to_text(&config))
        .part(
            field::PERSON,
            photo.expect("BUG: `image/png` is a media type"),
        )
}
