//! The nodes of the configuration.

use std::{collections::BTreeMap, time::Duration};

use tokio::sync::Notify;
use tryon_store::NodeSpec;

use super::client::{NodeClient, connections};
use crate::config::{GatewayConfig, NodeConfig};

/// How to reach a node.
#[derive(Debug)]
pub(crate) struct Member {
    /// Speaks to it.
    pub(crate) client: NodeClient,
    /// Asks for a probe now.
    pub(crate) probe: Notify,
}

/// The nodes of the configuration, by name.
#[derive(Debug)]
pub(crate) struct Fleet {
    members: BTreeMap<String, Member>,
}

impl Fleet {
    pub(crate) fn new(config: &GatewayConfig) -> reqwest::Result<Self> {
        let http = connections()?;
        // An attempt is answered well before its lease runs out and somebody asks after it.
        let patience = config.jobs.lease.duration() / 2;
        let member = |node: &NodeConfig| {
            let client =
                NodeClient::new(http.clone(), node, patience.max(Duration::from_millis(1)));
            (
                node.name.clone(),
                Member {
                    client,
                    probe: Notify::new(),
                },
            )
        };
        Ok(Self {
            members: config.nodes.iter().map(member).collect(),
        })
    }

    /// The node of this name.
    pub(crate) fn find(&self, name: &str) -> Option<&Member> {
        self.members.get(name)
    }

    /// Every name.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
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
