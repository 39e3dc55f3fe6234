//! The nodes of the store, and how to reach them.
//!
//! Any gateway on the store reaches every node that registered, at whichever gateway it did. A node
//! of the configuration is reached as that says. Tokens come from this gateway's configuration
//! alone: what a node says of itself decides where it is, never what it is told.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::sync::{Mutex, Notify};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tryon_core::secret::Secret;
use tryon_store::{Node, NodeSpec, NodeState};

use super::client::{NodeClient, connections};
use crate::config::{GatewayConfig, NodeConfig};

/// How to reach a node.
#[derive(Debug)]
pub(crate) struct Member {
    address: NodeConfig,
    /// Speaks to it.
    pub(crate) client: NodeClient,
    /// Asks for a probe now.
    pub(crate) probe: Notify,
    /// Cancelled when it is no member any more.
    pub(super) gone: CancellationToken,
}

type Members = BTreeMap<String, Arc<Member>>;

/// The nodes that this gateway can reach, by name.
#[derive(Debug)]
pub(crate) struct Fleet {
    http: reqwest::Client,
    /// How long an attempt may take to be answered.
    patience: Duration,
    /// The nodes of this gateway's configuration.
    listed: Vec<NodeConfig>,
    /// What nodes that registered are told.
    node_token: Option<Secret>,
    members: RwLock<Members>,
    /// Held from asking the store to [`Fleet::update`]: no older answer comes after a newer one.
    pub(super) refreshing: Mutex<()>,
    /// What looks after the members.
    pub(super) tasks: TaskTracker,
    stop: CancellationToken,
}

impl Fleet {
    /// One without members. What looks after them is `tasks`, until `stop`.
    pub(crate) fn new(
        config: &GatewayConfig,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> reqwest::Result<Self> {
        // An attempt is answered well before its lease runs out and somebody asks after it.
        let patience = config.jobs.lease.duration() / 2;
        Ok(Self {
            http: connections()?,
            patience: patience.max(Duration::from_millis(1)),
            listed: config.nodes.clone(),
            node_token: config.registration.node_token.clone(),
            members: RwLock::default(),
            refreshing: Mutex::default(),
            tasks,
            stop,
        })
    }

    /// The node of this name.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Member>> {
        let members = self.members.read().unwrap_or_else(PoisonError::into_inner);
        members.get(name).cloned()
    }

    /// Makes the members those of the store that can be reached. Returns the new ones, which nobody
    /// looks after yet.
    pub(super) fn update(&self, nodes: &[Node]) -> Vec<(String, Arc<Member>)> {
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        let mut new = Vec::new();
        let mut reached = Members::new();
        for node in nodes {
            let Some(address) = self.find_address(node) else {
                continue;
            };
            let known = members.get(&node.name).filter(|it| it.address == address);
            let member = known.cloned().unwrap_or_else(|| {
                let member = Arc::new(self.member(address));
                new.push((node.name.clone(), Arc::clone(&member)));
                member
            });
            if node.state == NodeState::Unknown {
                member.probe.notify_one();
            }
            reached.insert(node.name.clone(), member);
        }
        let before = std::mem::replace(&mut *members, reached);
        for (name, member) in before {
            let kept = members
                .get(&name)
                .is_some_and(|it| Arc::ptr_eq(it, &member));
            if !kept {
                member.gone.cancel();
            }
        }
        new
    }

    /// Where a node is and what it is told; `None` for one that only another gateway can reach.
    fn find_address(&self, node: &Node) -> Option<NodeConfig> {
        if node.registration.is_none() {
            let mut listed = self.listed.iter();
            return listed.find(|listed| listed.name == node.name).cloned();
        }
        Some(NodeConfig {
            name: node.name.clone(),
            url: node.url.parse().ok()?,
            token: Some(self.node_token.clone()?),
        })
    }

    fn member(&self, address: NodeConfig) -> Member {
        Member {
            client: NodeClient::new(self.http.clone(), &address, self.patience),
            address,
            probe: Notify::new(),
            gone: self.stop.child_token(),
        }
    }
}

/// What the store is told of the configured nodes.
pub(crate) fn specs(nodes: &[NodeConfig]) -> Vec<NodeSpec> {
    let spec = |node: &NodeConfig| NodeSpec {
        name: node.name.clone(),
        url: node.url.to_string(),
    };
    nodes.iter().map(spec).collect()
}
