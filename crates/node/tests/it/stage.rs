//! A node with everything around it.

use std::{fs, time::Duration};

use reqwest::{Client, Method, RequestBuilder, header::HeaderMap};
use serde_json::Value;
use tempfile::TempDir;
use tryon_core::secret::Secret;
use tryon_engine::supervisor::{Supervisor, SupervisorConfig, WorkerState};
use tryon_node::{
    Node, NodeConfig,
    config::{ModelType, Seconds},
};
use tryon_testkit::{
    fake_worker,
    receiver::{Delivery, Receiver},
};

use crate::form::Form;

/// How long anything is waited for before the test fails.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks at what cannot be awaited.
const GLANCE: Duration = Duration::from_millis(5);

pub(crate) const TOKEN: &str = "incoming-token";
pub(crate) const CALLBACK_TOKEN: &str = "callback-token";
pub(crate) const BALANCER_TOKEN: &str = "balancer-token";

/// An answer of the node.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    pub(crate) fn detail(&self) -> String {
        self.json()["detail"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// A node, its spool, its worker and who receives its results.
pub(crate) struct Stage {
    pub(crate) node: Node,
    pub(crate) supervisor: Supervisor,
    pub(crate) receiver: Receiver,
    pub(crate) config: NodeConfig,
    pub(crate) dir: TempDir,
    client: Client,
}

/// The configuration that tests share; `dir` is theirs alone.
pub(crate) fn config(dir: &TempDir, receiver: &Receiver) -> NodeConfig {
    let mut config = NodeConfig::default();
    config.server.node_id = String::from("node-under-test");
    config.server.port = 0;
    config.security.internal_auth_token = Some(Secret::new(TOKEN));
    config.asset_service.callback_url = receiver.url("/results").parse().ok();
    config.asset_service.internal_auth_token = Some(Secret::new(CALLBACK_TOKEN));
    config.asset_service.retry_backoff = vec![Seconds::from(Duration::from_millis(20))];
    config.load_balancer.url = receiver.url("/").parse().ok();
    config.load_balancer.internal_auth_token = Some(Secret::new(BALANCER_TOKEN));
    // As whoever starts the engine resolved `auto`.
    config.model.model_type = ModelType::Preview;
    config.spool.dir = dir.path().join("spool");
    config
}

impl Stage {
    /// A node whose engine is loaded.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// The same, with some things set otherwise.
    pub(crate) async fn start_with(change: impl FnOnce(&mut NodeConfig)) -> Self {
        let stage = Self::start_loading("ok", change).await;
        stage.wait_loaded().await;
        stage
    }

    /// A node whose engine loads as `load` says, see [`fake_worker::command_with`].
    pub(crate) async fn start_loading(load: &str, change: impl FnOnce(&mut NodeConfig)) -> Self {
        Self::start_on(supervise(load), change).await
    }

    /// A node whose worker is supervised as the test likes.
    pub(crate) async fn start_on(
        supervisor: Supervisor,
        change: impl FnOnce(&mut NodeConfig),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let receiver = Receiver::start().await;
        let mut config = config(&dir, &receiver);
        change(&mut config);
        let node = Node::start(config.clone(), supervisor.clone())
            .await
            .unwrap();
        Self {
            node,
            supervisor,
            receiver,
            config,
            dir,
            client: client(),
        }
    }

    /// Stops the node and starts it again on the same spool.
    pub(crate) async fn restart(self) -> Self {
        let Self {
            node,
            receiver,
            config,
            dir,
            client,
            ..
        } = self;
        node.shutdown().await;
        let supervisor = supervise("ok");
        let node = Node::start(config.clone(), supervisor.clone())
            .await
            .unwrap();
        let stage = Self {
            node,
            supervisor,
            receiver,
            config,
            dir,
            client,
        };
        stage.wait_loaded().await;
        stage
    }

    pub(crate) async fn wait_loaded(&self) -> WorkerState {
        let supervisor = self.supervisor.clone();
        tokio::task::spawn_blocking(move || supervisor.wait_loaded())
            .await
            .unwrap()
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.node.local_addr());
        self.client.request(method, url)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(
            self.request(Method::GET, path)
                .header("x-internal-auth", TOKEN),
        )
        .await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        send(
            self.request(Method::DELETE, path)
                .header("x-internal-auth", TOKEN),
        )
        .await
    }

    pub(crate) fn posting(&self, path: &str, form: &Form) -> RequestBuilder {
        self.request(Method::POST, path)
            .header("x-internal-auth", TOKEN)
            .header("content-type", Form::content_type())
            .body(form.encode())
    }

    pub(crate) async fn tryon(&self, form: &Form) -> Answer {
        send(self.posting("/tryon", form)).await
    }

    pub(crate) async fn infer(&self, form: &Form) -> Answer {
        send(self.posting("/infer", form)).await
    }

    /// Submits a job that must be accepted.
    pub(crate) async fn submit(&self, form: &Form) {
        let answer = self.tryon(form).await;
        assert_eq!(
            answer.status,
            202,
            "{}",
            String::from_utf8_lossy(&answer.bytes)
        );
    }

    /// The next result.
    pub(crate) async fn result(&self) -> Delivery {
        self.receiver.next("/results").await
    }

    /// Asks until the answer is as wanted, and gives that answer.
    pub(crate) async fn wait_for(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let look = async || Some(self.get(path).await.json()).filter(&wanted);
        until(&format!("`{path}` does not change"), look).await
    }

    /// Waits until the running job has passed two steps, and so its pace is known.
    pub(crate) async fn wait_for_pace(&self) {
        self.wait_for("/gpu/status", |status| status["eta_ms"].is_u64())
            .await;
    }

    /// Waits until no job has the device.
    pub(crate) async fn wait_for_slot(&self) {
        self.wait_for("/gpu/status", |status| status["busy"] == false)
            .await;
    }

    /// Waits until nothing in the spool waits or runs.
    pub(crate) async fn wait_for_empty_spool(&self) {
        let look = async || {
            let files = self.spooled("results") + self.spooled("running");
            // What was removed is counted a moment later.
            let counted = self.figure("tryon_node_spool_results").await;
            (files == 0 && counted == 0).then_some(())
        };
        until("the spool is not empty", look).await;
    }

    /// The value of a metric, 0 where it was not counted yet.
    pub(crate) async fn figure(&self, name: &str) -> u64 {
        let metrics = self.request(Method::GET, "/metrics");
        let answer = send(metrics.header("accept", "text/plain")).await;
        let text = String::from_utf8(answer.bytes).unwrap();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or(0)
    }

    /// Files in a folder of the spool.
    pub(crate) fn spooled(&self, folder: &str) -> usize {
        let entries = fs::read_dir(self.config.spool.dir.join(folder)).unwrap();
        entries.count()
    }
}

/// Looks again and again, for a limited time.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let search = async {
        loop {
            match look().await {
                Some(found) => return found,
                None => tokio::time::sleep(GLANCE).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, search)
        .await
        .unwrap_or_else(|_| panic!("{what} in {PATIENCE:?}"))
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let bytes = answer.bytes().await.unwrap().to_vec();
    Answer {
        status,
        headers,
        bytes,
    }
}

pub(crate) fn client() -> Client {
    // A client needs it although nothing here is encrypted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new()
}

pub(crate) fn supervise(load: &str) -> Supervisor {
    supervise_with(load, |_| {})
}

pub(crate) fn supervise_with(load: &str, change: impl FnOnce(&mut SupervisorConfig)) -> Supervisor {
    let mut config = SupervisorConfig::new(fake_worker::command_with(load));
    change(&mut config);
    Supervisor::start(config)
}
