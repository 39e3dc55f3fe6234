//! A gateway and a node as processes of their own that can be killed and started again.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tryon_blob::Folder;

use crate::process::{PATIENCE, Service, example, http, run, tryon};

/// The two processes and what they keep.
pub(crate) struct Cluster {
    folder: TempDir,
    ports: [u16; 3],
    account: String,
    key: String,
    pub(crate) gateway: Option<Service>,
    pub(crate) node: Option<Service>,
}

impl Cluster {
    /// One with an account of ten credits, of which nothing runs yet.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports = free_ports();
        write_configs(folder.path(), ports);
        let own = |args: &[&str]| {
            let args = [&["--config", "gateway.yaml"], args].concat();
            run(folder.path(), &args).trim().to_owned()
        };
        let account = own(&["account", "create", "shop"]);
        own(&["credits", "grant", &account, "10"]);
        let key = own(&["key", "create", &account]);
        Self {
            folder,
            ports,
            account,
            key,
            gateway: None,
            node: None,
        }
    }

    /// Starts the gateway, to be killed at `point`.
    pub(crate) fn start_gateway(&mut self, point: Option<&str>) {
        let mut service = self.start(&["gateway", "--config", "gateway.yaml"], point);
        service.read("nodes report to ");
        self.gateway = Some(service);
    }

    /// Starts the node, to be killed at `point`.
    pub(crate) fn start_node(&mut self, point: Option<&str>) {
        let mut service = self.start(&["node", "--config", "node.yaml"], point);
        service.read("node on ");
        self.node = Some(service);
    }

    fn start(&self, args: &[&str], point: Option<&str>) -> Service {
        let mut command = tryon(self.folder.path());
        command.args(args).env("RUST_LOG", "error");
        command.envs(point.map(|point| ("TRYON_KILL_AT", point)));
        Service::start(&mut command)
    }

    /// Submits a job; `None` when the gateway died before it answered.
    pub(crate) fn submit(&self) -> Option<String> {
        let picture = |name| {
            let bytes = std::fs::read(example(name)).unwrap();
            format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(bytes))
        };
        let body = json!({
            "model_image": picture("person-studio.jpg"),
            "garment_image": picture("garment-tee.jpg"),
            "category": "tops",
            "mode": "performance",
        });
        let request = http()
            .post(self.url("/api/v1/tryon/clothes"))
            .bearer_auth(&self.key)
            .json(&body);
        let answer = request.send().ok()?;
        assert_eq!(answer.status(), 200);
        let answer: Value = answer.json().ok()?;
        Some(answer["id"].as_str().unwrap().to_owned())
    }

    /// Waits until a job has ended and gives its status.
    pub(crate) fn wait(&self, job: &str) -> Value {
        let begun = Instant::now();
        loop {
            let status = self.get(&format!("/api/v1/status/{job}"));
            if status["status"] != "processing" {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the job does not end: {status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The account's jobs, whether their submission was answered or not.
    pub(crate) fn jobs(&self) -> Vec<String> {
        let store = self.folder.path().join("data/tryon.db");
        let account = self.account.parse().unwrap();
        let jobs = block_on(async {
            let store = tryon_store::SqliteStore::open(&store).await.unwrap();
            let page = tryon_store::JobPage {
                account,
                after: None,
                limit: 100,
            };
            tryon_store::Store::list_jobs(&store, page).await.unwrap()
        });
        jobs.iter().map(|job| job.id.to_string()).collect()
    }

    /// Credits to spend, and reserved.
    pub(crate) fn credits(&self) -> (i64, i64) {
        let answer = self.get("/api/v1/credits");
        let credit = |name: &str| answer["credits"][name].as_i64().unwrap();
        (credit("on_demand"), credit("reserved"))
    }

    /// Asserts that the ledger's promises hold and, in time, that no input picture is left.
    pub(crate) fn assert_clean(&self) {
        let said = run(self.folder.path(), &["doctor", "--config", "gateway.yaml"]);
        assert!(said.contains("every credit accounted for"), "{said}");
        let pictures = self.folder.path().join("data/pictures");
        assert!(pictures.is_dir(), "pictures are kept elsewhere");
        let inputs = [Folder::Uploads, Folder::Prepared].map(|it| pictures.join(it.as_str()));
        let begun = Instant::now();
        while inputs.iter().any(|folder| count_files(folder) > 0) {
            assert!(begun.elapsed() < PATIENCE, "inputs are left in {inputs:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn get(&self, path: &str) -> Value {
        let request = http().get(self.url(path));
        request
            .bearer_auth(&self.key)
            .send()
            .unwrap()
            .json()
            .unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports[0])
    }
}

/// Downloads a picture and checks that it is one.
pub(crate) fn assert_readable(status: &Value) {
    let url = status["output"][0].as_str().expect("an output");
    let bytes = http().get(url).send().unwrap().bytes().unwrap();
    image::load_from_memory(&bytes).unwrap();
}

/// Waits until a service has died at its failpoint.
pub(crate) fn wait_killed(service: &mut Option<Service>) {
    let mut service = service.take().unwrap();
    assert_eq!(service.wait(), -Signal::KILL.as_raw());
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

fn count_files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let count = |path: PathBuf| if path.is_dir() { count_files(&path) } else { 1 };
    paths.map(count).sum()
}

/// Ports that survive a restart, so that a service can be found again where it was.
fn free_ports() -> [u16; 3] {
    let held = [0; 3].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

fn write_configs(folder: &Path, [public, internal, node]: [u16; 3]) {
    let gateway = json!({
        "server": {"port": public, "internal_port": internal},
        "secrets": {"link_signing_key": "a key of thirty-two characters...."},
        "callbacks": {"token": "a-callback-token-of-a-test"},
        "nodes": [{
            "name": "node", "url": format!("http://127.0.0.1:{node}"), "token": "a-node-token-of-a-test",
        }],
        // Short, so that what a dead process held is soon another's.
        "jobs": {"lease": 3, "orphan_age": 2},
    });
    let node = json!({
        "server": {"port": node, "node_id": "node"},
        "security": {"internal_auth_token": "a-node-token-of-a-test"},
        "asset_service": {
            "callback_url": format!("http://127.0.0.1:{internal}/internal/v1/results"),
            "internal_auth_token": "a-callback-token-of-a-test",
            "retry_backoff": [0.1, 0.2, 0.4],
        },
        "load_balancer": {
            "url": format!("http://127.0.0.1:{internal}/internal/v1"),
            "internal_auth_token": "a-callback-token-of-a-test",
        },
    });
    // JSON is YAML.
    std::fs::write(folder.join("gateway.yaml"), gateway.to_string()).unwrap();
    std::fs::write(folder.join("node.yaml"), node.to_string()).unwrap();
}
