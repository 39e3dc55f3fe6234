//! A gateway, its node, and a client that reaches it through a proxy.

use std::{sync::Arc, time::Duration};

use tempfile::TempDir;
use tokio::time::timeout;
use tryon_blob::Blobs;
use tryon_client::{Client, ClientBuilder, Clothes, Picture, Secret};
use tryon_core::{
    id::{AccountId, KeyId},
    ledger::{Balance, Pool},
    limit::Limits,
    scope::Scopes,
    time::Timestamp,
};
use tryon_gateway::{Gateway, GatewayConfig, auth::NewSecret, config::NodeConfig};
use tryon_store::{JobPage, NewKey, SqliteStore, Store};
use tryon_testkit::{
    fake_node::{FakeNode, Outcome, Reaction},
    proxy::Proxy,
    upload,
};

const CALLBACK_TOKEN: &str = "the-token-of-callbacks";
const NODE_TOKEN: &str = "the-token-of-the-node";

/// How long anything is waited for before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(10);

/// Limits that no test reaches by accident.
const GENEROUS: Limits = Limits {
    tryon_per_minute: 10_000,
    status_per_minute: 10_000,
    credits_per_minute: 10_000,
    concurrent_jobs: 100,
};

/// Credits that the account begins with.
pub(crate) const CREDITS: u32 = 100;

/// All of it. The node takes jobs and works on them until a test says otherwise.
pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    pub(crate) node: FakeNode,
    pub(crate) proxy: Proxy,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) key: String,
    config: GatewayConfig,
    dir: TempDir,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// The same, with some things set otherwise.
    pub(crate) async fn start_with(change: impl FnOnce(&mut GatewayConfig)) -> Self {
        let (node, proxy) = (FakeNode::start().await, Proxy::start().await);
        node.set_token(NODE_TOKEN);
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(&node, &proxy);
        change(&mut config);
        let (gateway, store) = start(&config, &dir).await;
        node.report_to(gateway.callback_url().as_str(), CALLBACK_TOKEN);
        proxy.lead_to([gateway.public_addr()]);
        let key = make_customer(&*store).await;
        Self {
            gateway,
            node,
            proxy,
            store,
            key,
            config,
            dir,
        }
    }

    /// Ends the gateway, and starts another on what it left, as a deploy does.
    pub(crate) async fn restart(self) -> Self {
        self.gateway.shutdown().await;
        self.store.close().await;
        let (gateway, store) = start(&self.config, &self.dir).await;
        self.node
            .report_to(gateway.callback_url().as_str(), CALLBACK_TOKEN);
        self.proxy.lead_to([gateway.public_addr()]);
        Self {
            gateway,
            store,
            ..self
        }
    }

    pub(crate) fn client(&self) -> Client {
        self.client_with(&self.key, |builder| builder)
    }

    /// A client with this key, of which some things are otherwise.
    pub(crate) fn client_with(
        &self,
        key: &str,
        change: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Client {
        let url = format!("http://{}", self.proxy.address());
        client(&url, key, change)
    }

    /// Has the node deliver a picture for every job from now on.
    pub(crate) fn deliver(&self) {
        self.node.otherwise(Reaction::Report(result()));
    }

    pub(crate) async fn balance(&self) -> Balance {
        let account = self.store.find_account(account()).await.unwrap();
        account.unwrap().balance
    }

    /// How many jobs there are.
    pub(crate) async fn count_jobs(&self) -> usize {
        let page = JobPage {
            account: account(),
            after: None,
            limit: 100,
        };
        self.store.list_jobs(page).await.unwrap().len()
    }

    /// Every promise of the ledger holds.
    pub(crate) async fn check_books(&self) {
        assert_eq!(self.store.audit().await.unwrap(), []);
    }
}

/// A client of a gateway at this address that has a connection for each request, so that a harm meets
/// the one that it is meant for.
pub(crate) fn client(
    url: &str,
    key: &str,
    change: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0);
    let builder = Client::builder(url, Secret::new(key)).http(http.build().unwrap());
    change(builder).build().unwrap()
}

/// What comes within the time that a test has.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it takes too long")
}

/// Waits for a condition that nobody announces.
pub(crate) async fn wait(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let look = async {
        while !holds().await {
            tokio::time::sleep(LOOK).await;
        }
    };
    assert!(timeout(PATIENCE, look).await.is_ok(), "waited for {what}");
}

/// A picture as nodes deliver it.
pub(crate) fn result() -> Outcome {
    Outcome::png(upload::png(48, 64))
}

/// A sound request.
pub(crate) fn clothes() -> Clothes {
    let picture = Picture::from_bytes(&upload::png(48, 64)).unwrap();
    Clothes::new(picture.clone(), picture)
}

fn account() -> AccountId {
    AccountId::from_bytes([1; 12])
}

fn config(node: &FakeNode, proxy: &Proxy) -> GatewayConfig {
    let mut config = GatewayConfig::default();
    (config.server.port, config.server.internal_port) = (0, 0);
    let public = format!("http://{}", proxy.address());
    config.server.public_url = Some(public.parse().unwrap());
    config.secrets.link_signing_key = Secret::new("the-key-that-signs-links");
    config.callbacks.token = Secret::new(CALLBACK_TOKEN);
    config.fetch.allowed_networks = vec!["127.0.0.1/32".parse().unwrap()];
    config.nodes = vec![NodeConfig {
        name: "node".to_owned(),
        url: node.url().parse().unwrap(),
        token: Some(Secret::new(NODE_TOKEN)),
    }];
    config
}

async fn start(config: &GatewayConfig, dir: &TempDir) -> (Gateway, Arc<dyn Store>) {
    let mut config = config.clone();
    let database = dir.path().join("tryon.db");
    config.database.url = format!("sqlite://{}", database.display()).into();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&database).await.unwrap());
    let blobs = Blobs::disk(dir.path().join("pictures")).unwrap();
    let gateway = Gateway::start(config, Arc::clone(&store), blobs).await;
    (gateway.unwrap(), store)
}

/// An account with a key, which is given.
async fn make_customer(store: &dyn Store) -> String {
    let (id, start) = (account(), Timestamp::from_millis(0));
    let made = store.create_account(id, "customer", GENEROUS, start).await;
    made.unwrap();
    let granted = store.grant_credits(id, Pool::Purchased, CREDITS, start);
    granted.await.unwrap();
    let secret = NewSecret::generate(&mut rand::rng());
    let key = NewKey {
        id: KeyId::from_bytes([1; 12]),
        account: id,
        name: "key".to_owned(),
        prefix: secret.prefix().to_owned(),
        hash: secret.hash(),
        scopes: Scopes::ALL,
        expires_at: None,
    };
    store.create_key(key, start).await.unwrap();
    secret.into_string()
}
