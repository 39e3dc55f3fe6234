//! A gateway with everything around it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rand::{SeedableRng as _, rngs::StdRng};
use reqwest::{Client, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};
use tempfile::TempDir;
use tryon_blob::{Blobs, Folder, Key};
use tryon_core::{
    id::{AccountId, JobId, KeyId},
    job::{JobState, SampleState},
    ledger::{Balance, Pool},
    limit::Limits,
    scope::Scopes,
    secret::Secret,
    time::Timestamp,
};
use tryon_gateway::{
    App, Gateway, GatewayConfig, Listeners,
    auth::NewSecret,
    clock::{Clock as _, FixedClock},
    config::{Database, NodeConfig},
    rate,
};
use tryon_store::{Job, NewKey, Node, NodeState, PostgresStore, SqliteStore, Store};
use tryon_testkit::{
    fake_node::{FakeNode, Outcome},
    postgres::PostgresServer,
    upload,
};

pub(crate) const CALLBACK_TOKEN: &str = "the-token-of-callbacks";
pub(crate) const NODE_TOKEN: &str = "the-token-of-the-node";
pub(crate) const LINK_KEY: &str = "the-key-that-signs-links";

/// How long anything is waited for before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a condition is looked at that nobody announces.
const LOOK: Duration = Duration::from_millis(10);

/// Limits that no test reaches by accident.
pub(crate) const GENEROUS: Limits = Limits {
    tryon_per_minute: 10_000,
    status_per_minute: 100_000,
    credits_per_minute: 100_000,
    concurrent_jobs: 1000,
};

/// An answer of the gateway.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("the gateway answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("the answer is whole");
        let body = serde_json::from_str(&text).unwrap_or_default();
        Self {
            status,
            headers,
            body,
            text,
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The message, after the status and the name were checked.
    #[track_caller]
    pub(crate) fn refusal(&self, status: u16, error: &str) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.body["error"], error, "{}", self.text);
        assert_eq!(self.body.as_object().unwrap().len(), 2, "{}", self.text);
        self.body["message"].as_str().unwrap().to_owned()
    }

    /// The id of the job that was accepted.
    #[track_caller]
    pub(crate) fn job(&self) -> JobId {
        assert_eq!(self.status, 200, "{}", self.text);
        self.body["id"].as_str().unwrap().parse().unwrap()
    }
}

/// An account with a key.
#[derive(Debug, Clone)]
pub(crate) struct Customer {
    pub(crate) account: AccountId,
    pub(crate) key_id: KeyId,
    pub(crate) key: String,
}

/// A gateway, its node and its first customer, who has 100 credits and generous limits. Its clock
/// stands still unless it is moved.
pub(crate) struct TestApp {
    pub(crate) gateway: Gateway,
    pub(crate) config: GatewayConfig,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) blobs: Blobs,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) node: FakeNode,
    pub(crate) owner: Customer,
    pub(crate) http: Client,
    pub(crate) dir: TempDir,
    customers: AtomicU8,
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// The same, with some things set otherwise.
    pub(crate) async fn start_with(change: impl FnOnce(&mut GatewayConfig)) -> Self {
        Self::start_keeping(None, change).await
    }

    /// The same, with its pictures kept there, if that is given.
    pub(crate) async fn start_keeping(
        pictures: Option<Blobs>,
        change: impl FnOnce(&mut GatewayConfig),
    ) -> Self {
        let node = FakeNode::start().await;
        node.set_token(NODE_TOKEN);
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(&node, &dir);
        change(&mut config);
        let store = open_store(&config).await;
        let blobs = pictures.unwrap_or_else(|| open_disk(&dir));
        let clock = Arc::new(FixedClock::at(now()));
        let gateway = start(&config, &store, &blobs, &clock).await;
        node.report_to(gateway.callback_url().as_str(), CALLBACK_TOKEN);
        let customers = AtomicU8::new(1);
        let owner = make_customer(&*store, 1, (100, GENEROUS)).await;
        let http = Client::builder().no_proxy().build().unwrap();
        Self {
            gateway,
            config,
            store,
            blobs,
            clock,
            node,
            owner,
            http,
            dir,
            customers,
        }
    }

    /// Stops the gateway and starts it again on the same store and pictures, as a deploy does.
    pub(crate) async fn restart(self) -> Self {
        self.gateway.shutdown().await;
        self.store.close().await;
        let (store, blobs) = (open_store(&self.config).await, open_disk(&self.dir));
        let gateway = start(&self.config, &store, &blobs, &self.clock).await;
        self.node
            .report_to(gateway.callback_url().as_str(), CALLBACK_TOKEN);
        Self {
            gateway,
            store,
            blobs,
            ..self
        }
    }

    /// Another gateway on the same database and pictures.
    pub(crate) async fn start_beside(&self) -> Gateway {
        let store = open_store(&self.config).await;
        start(&self.config, &store, &self.blobs, &self.clock).await
    }

    /// Everything that the database holds, byte for byte or as text.
    pub(crate) fn read_database(&self) -> Vec<u8> {
        match self.config.database.url.find_database().unwrap() {
            Database::Sqlite(path) => {
                let log = std::fs::read(path.with_extension("db-wal")).unwrap_or_default();
                [std::fs::read(path).unwrap(), log].concat()
            }
            Database::Postgres(url) => PostgresServer::shared().dump(url).unwrap(),
        }
    }

    /// Another customer.
    pub(crate) async fn customer(&self, credits: u32, limits: Limits) -> Customer {
        let number = self.customers.fetch_add(1, Ordering::SeqCst) + 1;
        make_customer(&*self.store, number, (credits, limits)).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!(
            "{}://{}{path}",
            self.config.server.scheme(),
            self.gateway.public_addr()
        )
    }

    /// `POST /api/v1{path}` as this customer.
    pub(crate) async fn post_as(&self, who: &Customer, path: &str, body: &Value) -> Answer {
        let request = self.http.post(self.url(&format!("/api/v1{path}")));
        Answer::to(request.bearer_auth(&who.key).json(body)).await
    }

    /// Another key of the first customer, for this.
    pub(crate) async fn key_for(&self, scopes: Scopes) -> Customer {
        let number = self.customers.fetch_add(1, Ordering::SeqCst) + 1;
        make_key(&*self.store, number, (self.owner.account, scopes)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_as(&self.owner, path, body).await
    }

    /// `GET /api/v1{path}` as this customer.
    pub(crate) async fn get_as(&self, who: &Customer, path: &str) -> Answer {
        let request = self.http.get(self.url(&format!("/api/v1{path}")));
        Answer::to(request.bearer_auth(&who.key)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_as(&self.owner, path).await
    }

    /// Submits sound clothes with `more` fields.
    pub(crate) async fn submit(&self, more: Value) -> JobId {
        self.post("/tryon/clothes", &clothes(more)).await.job()
    }

    pub(crate) async fn status(&self, job: JobId) -> Value {
        let answer = self.get(&format!("/status/{job}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.body
    }

    /// The job's status once it has ended.
    pub(crate) async fn wait_for_end(&self, job: JobId) -> Value {
        let mut last = Value::Null;
        wait("the job's end", async || {
            last = self.status(job).await;
            last["status"] != "processing"
        })
        .await;
        last
    }

    /// The outputs of a job that completes while time passes, faster than it does.
    pub(crate) async fn pass_time_until_outputs(&self, job: JobId) -> Vec<String> {
        wait("the job's end", async || {
            self.clock.advance(Duration::from_millis(50));
            self.status(job).await["status"] != "processing"
        })
        .await;
        self.wait_for_outputs(job).await
    }

    /// What a failed job says, after its credits were checked to be released.
    pub(crate) async fn wait_for_failure(&self, job: JobId) -> (String, String) {
        let said = self.wait_for_failure_among(job).await;
        assert_eq!(self.balance(&self.owner).await.reserved, 0);
        self.check_books().await;
        said
    }

    /// What a failed job says while others may be under way.
    pub(crate) async fn wait_for_failure_among(&self, job: JobId) -> (String, String) {
        let status = self.wait_for_end(job).await;
        assert_eq!(status["status"], "failed", "{status}");
        assert_eq!(status["output"], json!([]), "{status}");
        let text = |key: &str| status["error"][key].as_str().unwrap().to_owned();
        (text("name"), text("message"))
    }

    pub(crate) async fn job(&self, id: JobId) -> Job {
        self.store
            .find_job(id)
            .await
            .unwrap()
            .expect("the job is there")
    }

    /// Waits until the job is in this state.
    pub(crate) async fn wait_for_state(&self, id: JobId, state: JobState) {
        wait("the job's state", async || {
            self.job(id).await.state == state
        })
        .await;
    }

    /// Waits until the job's first sample is in this state.
    pub(crate) async fn wait_for_sample(&self, id: JobId, state: SampleState) {
        wait("the sample's state", async || {
            self.job(id).await.samples[0].state == state
        })
        .await;
    }

    /// Waits until the job's inputs are ready, or it has begun or ended.
    pub(crate) async fn wait_for_started(&self, id: JobId) {
        wait("the job's inputs", async || {
            self.job(id).await.state != JobState::Accepted
        })
        .await;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The node, as the gateway sees it.
    pub(crate) async fn node_state(&self) -> Node {
        let nodes = self.store.list_nodes().await.unwrap();
        nodes
            .into_iter()
            .find(|node| node.name == "node")
            .expect("the node is known")
    }

    /// Waits until the gateway sees its node so.
    pub(crate) async fn wait_for_node(&self, state: NodeState) {
        wait("the node's state", async || {
            self.node_state().await.state == state
        })
        .await;
    }

    pub(crate) async fn balance(&self, who: &Customer) -> Balance {
        self.store
            .find_account(who.account)
            .await
            .unwrap()
            .unwrap()
            .balance
    }

    /// Every promise of the ledger holds.
    pub(crate) async fn check_books(&self) {
        assert_eq!(self.store.audit().await.unwrap(), []);
    }

    /// Every picture of this kind.
    pub(crate) async fn pictures(&self, folder: Folder) -> Vec<Key> {
        let all = Timestamp::from_millis(i64::MAX);
        self.blobs.list(folder, all).await.unwrap()
    }

    /// Waits until no input is kept.
    pub(crate) async fn wait_until_inputs_are_gone(&self) {
        wait("the end of the inputs", async || {
            let uploads = self.pictures(Folder::Uploads).await;
            uploads.is_empty() && self.pictures(Folder::Prepared).await.is_empty()
        })
        .await;
    }

    /// The outputs of a job that completes.
    pub(crate) async fn wait_for_outputs(&self, job: JobId) -> Vec<String> {
        let status = self.wait_for_end(job).await;
        assert_eq!(status["status"], "completed", "{status}");
        let links = status["output"].as_array().unwrap();
        links
            .iter()
            .map(|link| link.as_str().unwrap().to_owned())
            .collect()
    }
}

/// Waits for a condition that nobody announces.
#[track_caller]
pub(crate) fn wait(what: &str, mut holds: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    let look = async move {
        while !holds().await {
            tokio::time::sleep(LOOK).await;
        }
    };
    async move {
        let waited = tokio::time::timeout(PATIENCE, look).await;
        assert!(waited.is_ok(), "waited {PATIENCE:?} for {what}");
    }
}

pub(crate) fn node_config(name: &str, url: &str) -> NodeConfig {
    NodeConfig {
        name: name.to_owned(),
        url: url.parse().unwrap(),
        token: Some(Secret::new(NODE_TOKEN)),
    }
}

fn config(node: &FakeNode, dir: &TempDir) -> GatewayConfig {
    let mut config = GatewayConfig::default();
    config.database.url = create_database(dir).into();
    (config.server.port, config.server.internal_port) = (0, 0);
    config.secrets.link_signing_key = Secret::new(LINK_KEY);
    config.callbacks.token = Secret::new(CALLBACK_TOKEN);
    config.nodes = vec![node_config("node", node.url())];
    config
}

/// An empty database: a file or, where `TRYON_TEST_DATABASE` is `postgres`, one on a server.
fn create_database(dir: &TempDir) -> String {
    match std::env::var("TRYON_TEST_DATABASE").as_deref() {
        Ok("postgres") => PostgresServer::shared().create_database().unwrap(),
        Ok(other) => panic!("`TRYON_TEST_DATABASE` is `{other}`, not `postgres`"),
        Err(_) => format!("sqlite://{}/tryon.db", dir.path().display()),
    }
}

async fn open_store(config: &GatewayConfig) -> Arc<dyn Store> {
    match config.database.url.find_database().unwrap() {
        Database::Sqlite(path) => Arc::new(SqliteStore::open(path).await.unwrap()),
        Database::Postgres(url) => Arc::new(PostgresStore::open(url).await.unwrap()),
    }
}

fn open_disk(dir: &TempDir) -> Blobs {
    Blobs::disk(dir.path().join("pictures")).unwrap()
}

async fn start(
    config: &GatewayConfig,
    store: &Arc<dyn Store>,
    blobs: &Blobs,
    clock: &Arc<FixedClock>,
) -> Gateway {
    assert_eq!(config.faults(), []);
    let listeners = Listeners::bind(&config.server).await.unwrap();
    let app = App::new(config.clone(), Arc::clone(store), blobs.clone());
    let app = app.with_clock(Arc::clone(clock) as _);
    let app = app.with_rates(rate::open(&config.rates).await.unwrap());
    Gateway::start_app(listeners, app).await.unwrap()
}

/// The machine's time, so that a picture's age on disk agrees with the gateway's clock.
fn now() -> Timestamp {
    Timestamp::default() + SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// An account with this many credits, these limits and a key.
pub(crate) async fn make_customer(
    store: &dyn Store,
    number: u8,
    (credits, limits): (u32, Limits),
) -> Customer {
    let account = AccountId::from_bytes([number; 12]);
    let start = Timestamp::from_millis(0);
    store
        .create_account(account, &format!("customer {number}"), limits, start)
        .await
        .unwrap();
    if credits > 0 {
        store
            .grant_credits(account, Pool::Purchased, credits, start)
            .await
            .unwrap();
    }
    make_key(store, number, (account, Scopes::ALL)).await
}

async fn make_key(
    store: &dyn Store,
    number: u8,
    (account, scopes): (AccountId, Scopes),
) -> Customer {
    let secret = NewSecret::generate(&mut StdRng::seed_from_u64(number.into()));
    let key_id = KeyId::from_bytes([number; 12]);
    let key = NewKey {
        id: key_id,
        account,
        name: "key".to_owned(),
        prefix: secret.prefix().to_owned(),
        hash: secret.hash(),
        scopes,
        expires_at: None,
    };
    store
        .create_key(key, Timestamp::from_millis(0))
        .await
        .unwrap();
    Customer {
        account,
        key_id,
        key: secret.into_string(),
    }
}

// ── what is sent ───────────────────────────────────────────────────────────────────────────────

/// A file as a data URL.
pub(crate) fn data_url(file: &[u8]) -> String {
    format!("data:image/png;base64,{}", BASE64_STANDARD.encode(file))
}

/// A small sound picture as a data URL.
pub(crate) fn picture() -> String {
    data_url(&upload::png(48, 64))
}

fn with(mut body: Value, more: Value) -> Value {
    let Value::Object(more) = more else {
        panic!("fields are an object")
    };
    body.as_object_mut().unwrap().extend(more);
    body
}

pub(crate) fn clothes(more: Value) -> Value {
    with(
        json!({"model_image": picture(), "garment_image": picture()}),
        more,
    )
}

pub(crate) fn hairstyle(more: Value) -> Value {
    with(json!({"face_image": picture(), "haircut": "BobCut"}), more)
}

pub(crate) fn tattoo(more: Value) -> Value {
    with(
        json!({"body_image": picture(), "design_image": picture()}),
        more,
    )
}

/// A picture as nodes deliver it.
pub(crate) fn result() -> Outcome {
    Outcome::png(upload::png(48, 64))
}
