//! Finding out what the nodes can do.

use std::{sync::Arc, time::Duration};

use tryon_api::node::Readiness;
use tryon_core::task::Provider;
use tryon_store::{Node, NodeState, StoreError};

use super::{client::NodeClient, fleet::Member};
use crate::{
    app::App,
    error::Chain,
    pace::{Backoff, rest},
};

/// How often a node that is ready is looked after.
const READY: Duration = Duration::from_secs(30);

/// The longest wait between probes of a node that is not.
const NOT_READY: Duration = Duration::from_secs(5);

/// Probes a node at once, when it is asked for, and at intervals, until it is gone. A node that
/// refused our token is left alone for a while and then asked whether it still does: the token may
/// have been mended on its side, or a proxy have answered for it.
pub(super) async fn watch(app: Arc<App>, name: String, member: Arc<Member>) {
    let mut backoff = Backoff::up_to(NOT_READY);
    let quarantine = app.config.jobs.quarantine.duration();
    let mut pardon = true;
    loop {
        let state = match probe_and_record(&app, &name, &member, pardon).await {
            Ok(state) => state,
            Err(error) => {
                tracing::error!(node = name, error = %Chain(&error), "what a probe found cannot be recorded");
                Some(NodeState::Unknown)
            }
        };
        pardon = state == Some(NodeState::Quarantined);
        if pardon {
            // Not for the bell: it rings for what put the node here.
            let slept = tokio::time::sleep(quarantine);
            if member.gone.run_until_cancelled(slept).await.is_none() {
                return;
            }
            continue;
        }
        let pause = match state {
            Some(NodeState::Ready) | None => {
                backoff.reset();
                READY
            }
            Some(_) => backoff.fail(),
        };
        if !rest(&member.gone, &member.probe, pause).await {
            return;
        }
    }
}

/// How the node stands; `None` for one that is not known or not heard of any more. Nobody asks for
/// such a one: when it comes again it is asked for a probe.
async fn probe_and_record(
    app: &App,
    name: &str,
    member: &Member,
    pardon: bool,
) -> Result<Option<NodeState>, StoreError> {
    let known = app.store.find_node(name).await?;
    let Some(known) = known.filter(|node| !node.is_lost(app.clock.now())) else {
        return Ok(None);
    };
    if known.state == NodeState::Quarantined && !pardon {
        return Ok(Some(NodeState::Quarantined));
    }
    let (state, providers) = probe(&member.client).await;
    record(app, &known, state, &providers).await?;
    Ok(Some(state))
}

async fn record(
    app: &App,
    known: &Node,
    state: NodeState,
    providers: &[Provider],
) -> Result<(), StoreError> {
    if known.state == state && known.providers == providers {
        return Ok(());
    }
    let name = &known.name;
    if state == NodeState::Quarantined {
        tracing::error!(
            node = name,
            "a node refuses our token: set `nodes[].token`, or `registration.node_token` where it \
             registered, to its own"
        );
    } else {
        tracing::info!(
            node = name,
            state = state.as_str(),
            ?providers,
            "a node was probed"
        );
    }
    app.store.set_node_state(name, state, providers).await
}

async fn probe(client: &NodeClient) -> (NodeState, Vec<Provider>) {
    match question(client).await {
        Ok(found) => found,
        Err(_) => (NodeState::Unreachable, Vec::new()),
    }
}

async fn question(client: &NodeClient) -> reqwest::Result<(NodeState, Vec<Provider>)> {
    let report = client.test().await?;
    if !client.is_ours().await? {
        return Ok((NodeState::Quarantined, Vec::new()));
    }
    if report.is_none_or(|report| report.status != Readiness::Hot) {
        return Ok((NodeState::NotReady, Vec::new()));
    }
    let providers = client.providers().await?;
    let state = if providers.is_empty() {
        NodeState::NotReady
    } else {
        NodeState::Ready
    };
    Ok((state, providers))
}
