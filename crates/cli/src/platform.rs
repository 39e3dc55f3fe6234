//! A gateway and a node on one machine. They speak HTTP all the same: there is one path to a node.

use std::{net::TcpListener, sync::Arc};

use tryon_blob::Blobs;
use tryon_core::task::{Mode, Task};
use tryon_engine::supervisor::Supervisor;
use tryon_gateway::{
    Gateway, GatewayConfig, Listeners,
    config::{ConfigFault, Database, NodeConfig as NodeEntry, StorageConfig, TaskConfig},
};
use tryon_node::Node;
use tryon_store::{PostgresStore, SqliteStore, Store};

use crate::{
    config::ServeConfig, engine::EngineName, failure::Failure, secret_file::Secrets, signal,
};

/// A gateway and a node that know each other.
pub(crate) struct Platform {
    pub(crate) gateway: Gateway,
    pub(crate) node: Node,
    pub(crate) engine: Supervisor,
}

impl Platform {
    /// Starts both. Addresses and tokens that `config` leaves open are filled in.
    pub(crate) async fn start(
        mut config: ServeConfig,
        secrets: &Secrets,
        store: Arc<dyn Store>,
    ) -> Result<Self, Failure> {
        let listeners = Listeners::bind(&config.gateway.server)
            .await
            .map_err(not_started)?;
        connect(&mut config, secrets, &listeners)?;
        let engine = EngineName::choose_for(&mut config.node.model);
        give_tasks(&mut config, engine);
        let blobs = open_blobs(&config.gateway.storage).await?;
        let gateway = Gateway::start_on(listeners, config.gateway, store, blobs).await;
        let gateway = gateway.map_err(not_started)?;
        let engine = Supervisor::start(engine.supervise(&config.node));
        signal::restart_on_hangup(engine.clone());
        let node = start_node(config.node, engine.clone()).await?;
        Ok(Self {
            gateway,
            node,
            engine,
        })
    }

    /// Stops both. The node goes first: what it still delivers needs somebody to receive it.
    pub(crate) async fn shutdown(self) {
        self.node.shutdown().await;
        self.engine.shutdown();
        self.gateway.shutdown().await;
    }
}

/// Opens what a gateway keeps its jobs in.
pub(crate) async fn open_store(config: &GatewayConfig) -> Result<Arc<dyn Store>, Failure> {
    let url = &config.database.url;
    let (opened, hint) = match url.find_database() {
        Some(Database::Sqlite(path)) => (
            SqliteStore::open(path).await.map(share),
            "`tryon doctor` checks the database and its disk",
        ),
        Some(Database::Postgres(url)) => (
            PostgresStore::open(url).await.map(share),
            "`database.url` names a server that this machine reaches, and a database and a user \
             that are there; `tryon doctor` tries it",
        ),
        // Other faults are told where the service that was asked for is known.
        None => return Err(Failure::from_faults(&[ConfigFault::unknown_database(url)])),
    };
    opened.map_err(|error| {
        Failure::from_error(&format!("the database `{url}` cannot be opened"), &error).hint(hint)
    })
}

fn share(store: impl Store) -> Arc<dyn Store> {
    Arc::new(store)
}

/// Starts a gateway on its store and its folder of pictures.
pub(crate) async fn start_gateway(
    config: GatewayConfig,
    store: Arc<dyn Store>,
) -> Result<Gateway, Failure> {
    let blobs = open_blobs(&config.storage).await?;
    Gateway::start(config, store, blobs)
        .await
        .map_err(not_started)
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn not_started(error: tryon_gateway::StartError) -> Failure {
    Failure::from_error("the gateway did not start", &error)
        .hint("docs/configuration.md lists every key; `tryon doctor` checks them")
}

/// Starts a node in front of its engine.
pub(crate) async fn start_node(
    config: tryon_node::NodeConfig,
    engine: Supervisor,
) -> Result<Node, Failure> {
    Node::start(config, engine).await.map_err(|error| {
        Failure::from_error("the node did not start", &error)
            .hint("docs/configuration.md lists every key; `tryon doctor` checks them")
    })
}

/// Opens where pictures are kept, and tries it.
pub(crate) async fn open_blobs(config: &StorageConfig) -> Result<Blobs, Failure> {
    let Some(url) = &config.url else {
        return Blobs::disk(&config.path).map_err(|error| {
            Failure::from_error("the pictures cannot be kept", &error)
                .hint("`storage.path` names a folder to write to")
        });
    };
    // What is not text is no setting of ours.
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok()));
    Blobs::bucket(url, variables).await.map_err(|error| {
        Failure::from_error("the pictures cannot be kept", &error).hint(
            "docs/configuration.md says at `storage.url` what a bucket needs; plain HTTP needs \
             `AWS_ALLOW_HTTP=true`",
        )
    })
}

/// Tells each where the other is and what to say to it.
fn connect(
    config: &mut ServeConfig,
    secrets: &Secrets,
    listeners: &Listeners,
) -> Result<(), Failure> {
    let ServeConfig { gateway, node } = config;
    if gateway.secrets.link_signing_key.is_empty() {
        gateway.secrets.link_signing_key = secrets.link_signing_key.clone().into();
    }
    if gateway.callbacks.token.is_empty() {
        gateway.callbacks.token = secrets.callback_token.clone().into();
    }
    let token = node.security.internal_auth_token.take();
    let token = token.unwrap_or_else(|| secrets.node_token.clone().into());
    node.security.internal_auth_token = Some(token.clone());
    node.asset_service.callback_url = Some(listeners.callback_url());
    node.asset_service.internal_auth_token = Some(gateway.callbacks.token.clone());
    node.load_balancer.url = Some(listeners.load_balancer_url());
    node.load_balancer.internal_auth_token = Some(gateway.callbacks.token.clone());
    if node.server.port == 0 {
        node.server.port = free_port(&node.server.host)?;
    }
    let url = format!("http://{}:{}/", node.server.host, node.server.port);
    gateway.nodes.push(NodeEntry {
        name: node.server.node_id.clone(),
        url: url.parse().map_err(|error| {
            Failure::from_error(&format!("`node.server.host` makes `{url}`"), &error)
                .hint("it is an IP address or a host name")
        })?,
        token: Some(token),
    });
    Ok(())
}

/// Has the one node there is serve every task, where nobody said who serves which.
fn give_tasks(config: &mut ServeConfig, engine: EngineName) {
    let tasks = &mut config.gateway.tasks;
    if engine == EngineName::Preview || *tasks != GatewayConfig::default().tasks {
        return;
    }
    let (steps, cfg) = engine.steps(&config.node.model);
    let entry = |task: &Task| TaskConfig {
        task: *task,
        modes: Mode::ALL.to_vec(),
        provider: engine.provider(),
        steps,
        cfg,
        max_side: 1024,
    };
    *tasks = Task::ALL.iter().map(entry).collect();
}

/// A port that nothing listens on: the gateway is told of it before the node listens.
pub(crate) fn free_port(host: &str) -> Result<u16, Failure> {
    let bound = TcpListener::bind((host, 0)).and_then(|listener| listener.local_addr());
    bound.map(|address| address.port()).map_err(|error| {
        Failure::from_error(&format!("`{host}` cannot be listened on"), &error)
            .hint("`node.server.host` names an address of this machine")
    })
}

#[cfg(test)]
mod tests {
    use tryon_core::task::Provider;
    use tryon_node::config::Mode as WeightMode;

    use super::*;

    #[test]
    fn the_model_serves_every_task_that_nobody_else_was_named_for() {
        let mut config = ServeConfig::default();
        config.node.model.default_mode = WeightMode::Lora;
        let defaults = config.gateway.tasks.clone();
        give_tasks(&mut config, EngineName::Preview);
        assert_eq!(config.gateway.tasks, defaults);
        give_tasks(&mut config, EngineName::Qwen);
        let tasks: Vec<Task> = config.gateway.tasks.iter().map(|it| it.task).collect();
        assert_eq!(tasks, Task::ALL);
        for task in &config.gateway.tasks {
            assert_eq!((task.provider, task.steps), (Provider::Qwen, 4));
            assert_eq!(task.modes, Mode::ALL);
        }
        let named = config.gateway.tasks.split_off(1);
        config.gateway.tasks.clone_from(&named);
        give_tasks(&mut config, EngineName::Lightxv);
        assert_eq!(config.gateway.tasks, named);
    }
}
