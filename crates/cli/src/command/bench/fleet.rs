//! Many nodes: real ones, whose engines only wait.

use std::{path::Path, time::Duration};

use tryon_core::{secret::Secret, task::Provider};
use tryon_engine::supervisor::{Supervisor, SupervisorConfig, WorkerCommand};
use tryon_gateway::callback::path::RESULTS;
use tryon_node::{Node, NodeConfig};
use url::Url;

use crate::{
    failure::Failure,
    platform::{free_port, start_node},
};

/// Nodes that run in this process, and their engines' processes.
pub(super) struct Fleet {
    nodes: Vec<(Node, Supervisor)>,
}

impl Fleet {
    /// Starts `count` nodes that register with `gateways` and take `inference` for a picture.
    pub(super) async fn start(
        count: usize,
        gateways: &[Url],
        (token, inference): (&str, Duration),
        folder: &Path,
    ) -> Result<Self, Failure> {
        let mut nodes = Vec::with_capacity(count);
        for (number, gateway) in (0..count).zip(gateways.iter().cycle()) {
            let mut config = NodeConfig::default();
            config.server.node_id = format!("node-{number}");
            config.server.port = free_port(&config.server.host)?;
            config.spool.dir = folder.join(format!("spool-{number}"));
            config.security.internal_auth_token = Some(Secret::new(token));
            config.asset_service.callback_url = gateway.join(RESULTS).ok();
            config.asset_service.internal_auth_token = Some(Secret::new(token));
            config.load_balancer.url = Some(gateway.clone());
            config.load_balancer.internal_auth_token = Some(Secret::new(token));
            config.registration.gateways = vec![gateway.clone()];
            let url = format!("http://127.0.0.1:{}", config.server.port);
            config.registration.advertise_url = url.parse().ok();
            config.registration.internal_auth_token = Some(Secret::new(token));
            config.model.model_type = Provider::Preview.into();
            let engine = Supervisor::start(SupervisorConfig::new(WorkerCommand {
                program: "/proc/self/exe".into(),
                args: ["worker", "--wait", &inference.as_secs_f64().to_string()]
                    .map(Into::into)
                    .into(),
                env: Vec::new(),
            }));
            nodes.push((start_node(config, engine.clone()).await?, engine));
        }
        let engines: Vec<_> = nodes.iter().map(|(_, engine)| engine.clone()).collect();
        let loaded = tokio::task::spawn_blocking(move || {
            for engine in &engines {
                engine.wait_loaded();
            }
        });
        loaded.await.expect("BUG: waiting does not panic");
        Ok(Self { nodes })
    }

    /// Ends them.
    pub(super) async fn shutdown(self) {
        for (node, engine) in self.nodes {
            node.shutdown().await;
            engine.shutdown();
        }
    }
}
