//! Asking a node what of a photo it would mask.

use std::time::Duration;

use bytes::Bytes;
use reqwest::multipart::{Form, Part};
use tokio::time::timeout;
use tryon_api::{
    callback::ResultError,
    node::{CheckReport, JobConfig, field},
    public::CHECKED_FIELD,
};
use tryon_core::{category::Category, error::JobErrorCode, task::Provider};
use tryon_store::{Node, NodeState, StoreError};

use super::{client::Finding, form::to_text, outcome::Outcomes};
use crate::error::Chain;

/// How long somebody waits for what only a node knows.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a node that serves `provider` would mask of a photo for a garment of `category`; `None` when
/// none could tell. `photo` is a PNG as a job would send it.
pub(crate) async fn find_mask(
    outcomes: &Outcomes,
    provider: Provider,
    category: Category,
    photo: &Bytes,
) -> Result<Option<CheckReport>, StoreError> {
    let nodes = outcomes.app.store.list_nodes().await?;
    let now = outcomes.app.clock.now();
    let mut nodes: Vec<_> = nodes
        .into_iter()
        .filter(|node| {
            node.state == NodeState::Ready
                && node.providers.contains(&provider)
                && !node.drained
                && !node.is_lost(now)
        })
        .map(|node| (rank(&node, node.hold_until > now), node))
        .collect();
    nodes.sort_by_key(|(rank, _)| *rank);
    let asked = async {
        for (_, Node { name, .. }) in &nodes {
            let form = build(provider, category, photo.clone());
            match ask(outcomes, name, form).await {
                Asked::Told(report) => return Some(report),
                // A photo that a node failed at is shown to no other.
                Asked::Failed => return None,
                Asked::Passed => {}
            }
        }
        None
    };
    Ok(timeout(PATIENCE, asked).await.ok().flatten())
}

/// Those that are left alone come last, those without a job first, and equals by chance: else all
/// would be asked of one.
fn rank(node: &Node, held: bool) -> (bool, bool, u32) {
    (held, node.attempt.is_some(), rand::random())
}

/// What came of asking a node.
enum Asked {
    Told(CheckReport),
    Failed,
    /// It did not look at the photo.
    Passed,
}

async fn ask(outcomes: &Outcomes, node: &str, form: Form) -> Asked {
    let Some(member) = outcomes.fleet.find(node) else {
        return Asked::Passed;
    };
    match member.client.check(form).await {
        Ok(Finding::Told(report)) => Asked::Told(report),
        Ok(Finding::Refused { detail }) => Asked::Told(CheckReport {
            mask: None,
            error: Some(ResultError {
                error: detail.replace(field::PERSON, CHECKED_FIELD),
                error_name: JobErrorCode::InputValidationError,
                retryable: false,
            }),
        }),
        Ok(Finding::NotAsked { status }) => {
            tracing::info!(node, %status, "a node does not look into a photo");
            Asked::Passed
        }
        Ok(Finding::Failed { status }) => {
            tracing::warn!(node, %status, "a node failed to look into a photo");
            Asked::Failed
        }
        Err(error) if error.is_connect() => {
            tracing::warn!(node, error = %Chain(&error), "a node cannot be asked about a photo");
            Asked::Passed
        }
        Err(error) => {
            tracing::warn!(node, error = %Chain(&error), "a node does not answer about a photo");
            Asked::Failed
        }
    }
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
