//! Gateways and a node as processes of their own that can be killed and started again.

use std::{
    fs::File,
    io,
    net::{Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use reqwest::{Method, blocking::RequestBuilder};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tryon_blob::Folder;
use tryon_store::{Job, JobPage, PostgresStore, SqliteStore, Store, StoreError};
use tryon_testkit::object_store::ObjectStore;

use crate::process::{PATIENCE, Service, example, fail, http, run, tryon_service};

/// The processes and what they keep.
pub(crate) struct Cluster {
    folder: TempDir,
    database: String,
    ports: Ports,
    account: String,
    key: String,
    /// What else the processes are told in their environment.
    variables: Vec<(String, String)>,
    pub(crate) gateway: Option<Service>,
    /// A second one, with the same configuration but for its ports.
    pub(crate) second: Option<Service>,
    pub(crate) node: Option<Service>,
}

/// Ports that survive a restart, so that a service can be found again where it was.
#[derive(Clone, Copy)]
struct Ports {
    /// Where clients find whichever gateway is there, and what answers their links.
    public: u16,
    /// Where the node does.
    internal: u16,
    node: u16,
    /// The two of each gateway.
    gateways: [[u16; 2]; 2],
}

impl Cluster {
    /// One with an account of ten credits, of which nothing runs yet.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data/tryon.db");
        Self::make(folder, format!("sqlite://{}", file.display()))
    }

    /// The same, on this database.
    pub(crate) fn on(database: String) -> Self {
        Self::make(tempfile::tempdir().unwrap(), database)
    }

    fn make(folder: TempDir, database: String) -> Self {
        let ports = Ports::find();
        write_configs(folder.path(), &database, ports);
        let own = |args: &[&str]| {
            let args = [&["--config", "gateway.yaml"], args].concat();
            run(folder.path(), &args).trim().to_owned()
        };
        let account = own(&["account", "create", "shop"]);
        own(&["credits", "grant", &account, "10"]);
        let key = own(&["key", "create", &account]);
        Self {
            folder,
            database,
            ports,
            account,
            key,
            variables: Vec::new(),
            gateway: None,
            second: None,
            node: None,
        }
    }

    /// Changes one of the configurations, before what has it is started.
    pub(crate) fn configure(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let path = self.folder.path().join(name);
        // JSON is YAML.
        let mut config = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut config);
        std::fs::write(path, config.to_string()).unwrap();
    }

    /// Starts the gateway, to be killed at `point`.
    pub(crate) fn start_gateway(&mut self, point: Option<&str>) {
        self.gateway = Some(self.start_one("gateway.yaml", point));
    }

    /// Starts the second gateway, to be killed at `point`.
    pub(crate) fn start_second(&mut self, point: Option<&str>) {
        self.second = Some(self.start_one("second.yaml", point));
    }

    fn start_one(&self, config: &str, point: Option<&str>) -> Service {
        self.start(&["gateway", "--config", config], "nodes report to ", point)
    }

    /// Starts the node, to be killed at `point`.
    pub(crate) fn start_node(&mut self, point: Option<&str>) {
        let node = self.start(&["node", "--config", "node.yaml"], "node on ", point);
        self.node = Some(node);
    }

    /// Starts one, which says `label` once it runs.
    fn start(&self, args: &[&str], label: &str, point: Option<&str>) -> Service {
        let mut command = tryon_service(self.folder.path());
        command.args(args).env("RUST_LOG", "error");
        command.envs(self.variables.iter().cloned());
        if !self.variables.is_empty() {
            command.stderr(self.open_log());
        }
        command.envs(point.map(|point| ("TRYON_KILL_AT", point)));
        let mut service = Service::start(&mut command);
        match point {
            None => drop(service.read(label)),
            // It may be killed before it says so.
            Some(_) => drop(service.try_read(label)),
        }
        service
    }

    /// Has the processes log everything they can, to a file in the folder.
    pub(crate) fn watch(&mut self) {
        self.variables
            .push(("RUST_LOG".to_owned(), "trace".to_owned()));
    }

    /// Tells the processes something in their environment. What they log goes to a file in the folder.
    pub(crate) fn tell(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Has the gateways keep pictures in this bucket of the server.
    pub(crate) fn keep_in(&mut self, server: &ObjectStore, bucket: &str) {
        self.variables.extend(server.variables());
        let path = self.folder().join("gateway.yaml");
        let config = std::fs::read_to_string(&path).unwrap();
        let mut config: Value = serde_json::from_str(&config).unwrap();
        config["storage"] = json!({"url": format!("s3://{bucket}")});
        std::fs::write(path, config.to_string()).unwrap();
    }

    fn open_log(&self) -> File {
        let path = self.folder().join("log");
        let log = File::options().create(true).append(true).open(path);
        log.unwrap()
    }

    /// Where everything is that the processes keep.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the first gateway's internal listener is, and the node.
    pub(crate) fn inner_urls(&self) -> [String; 2] {
        let [[_, internal], _] = self.ports.gateways;
        [internal, self.ports.node].map(|port| format!("http://127.0.0.1:{port}"))
    }

    /// A request to the public API as the account.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        http()
            .request(method, self.url(path))
            .bearer_auth(&self.key)
    }

    /// Lets the account do as much as it likes.
    pub(crate) fn unlimit(&self) {
        self.run(&["credits", "grant", &self.account, "10000"]);
        let limits = "--concurrent-jobs 1000 --tryon-per-minute 100000 --status-per-minute 100000";
        let limits: Vec<_> = limits.split(' ').collect();
        self.run(&[&["account", "limits", &self.account], &limits[..]].concat());
    }

    /// The account's key.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Where links to pictures begin.
    pub(crate) fn public_url(&self) -> String {
        self.url("")
    }

    /// The public port of each gateway.
    pub(crate) fn gateway_ports(&self) -> [u16; 2] {
        self.ports.gateways.map(|[public, _]| public)
    }

    /// Submits a job, always the same one; `None` when the gateway died before it answered.
    pub(crate) fn submit(&self) -> Option<String> {
        let request = http()
            .post(self.url("/api/v1/tryon/clothes"))
            .bearer_auth(&self.key)
            .header("idempotency-key", "the only one")
            .json(&submission());
        let answer = request.send().ok()?;
        assert_eq!(answer.status(), 200);
        let answer: Value = answer.json().ok()?;
        Some(answer["id"].as_str().unwrap().to_owned())
    }

    /// Waits until a job has ended and gives its status.
    pub(crate) fn wait(&self, job: &str) -> Value {
        let begun = Instant::now();
        loop {
            let status = self.status(job);
            if status["status"] != "processing" {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the job does not end: {status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the command prints beside the gateway.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        run(
            self.folder.path(),
            &[&["--config", "gateway.yaml"], args].concat(),
        )
    }

    /// How the command fails beside the gateway.
    pub(crate) fn fail(&self, args: &[&str]) -> String {
        fail(
            self.folder.path(),
            &[&["--config", "gateway.yaml"], args].concat(),
        )
    }

    /// A job's status.
    pub(crate) fn status(&self, job: &str) -> Value {
        self.get(&format!("/api/v1/status/{job}"))
    }

    /// The account's jobs, whether their submission was answered or not.
    pub(crate) fn jobs(&self) -> Vec<String> {
        let page = JobPage {
            account: self.account.parse().unwrap(),
            after: None,
            limit: 10_000,
        };
        let jobs = block_on(async {
            match self.database.strip_prefix("sqlite://") {
                Some(path) => list_jobs(SqliteStore::open(path).await, page).await,
                None => list_jobs(PostgresStore::open(&self.database).await, page).await,
            }
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
        let said = self.run(&["doctor"]);
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
        format!("http://127.0.0.1:{}{path}", self.ports.public)
    }
}

/// A sound submission.
pub(crate) fn submission() -> Value {
    let picture = |name| {
        let bytes = std::fs::read(example(name)).unwrap();
        format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(bytes))
    };
    json!({
        "model_image": picture("person-studio.jpg"),
        "garment_image": picture("garment-tee.jpg"),
        "category": "tops",
        "mode": "performance",
    })
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

async fn list_jobs(store: Result<impl Store, StoreError>, page: JobPage) -> Vec<Job> {
    let store = store.unwrap();
    let jobs = store.list_jobs(page).await.unwrap();
    store.close().await;
    jobs
}

impl Ports {
    fn find() -> Self {
        let held = [0; 5].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let [node, a, b, c, d] = [0, 1, 2, 3, 4].map(|number| port(&held[number]));
        let gateways = [[a, b], [c, d]];
        let public = balance(gateways.map(|[public, _]| public));
        let internal = balance(gateways.map(|[_, internal]| internal));
        // Only now: the load balancers must not be given what the others are to have.
        drop(held);
        Self {
            public,
            internal,
            node,
            gateways,
        }
    }
}

/// Passes connections on to the last of these ports that accepts them, as a load balancer before
/// the gateways does. Returns its own port.
fn balance(ports: [u16; 2]) -> u16 {
    pass_on(move || ports.into_iter().rev().find_map(connect))
}

/// Passes connections on to what `choose` finds; where that is nothing they are closed. Returns the
/// port that they are taken at.
pub(crate) fn pass_on(choose: impl Fn() -> Option<TcpStream> + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            if let Some(server) = choose() {
                pass(&client, &server);
                pass(&server, &client);
            }
        }
    });
    port
}

pub(crate) fn connect(port: u16) -> Option<TcpStream> {
    TcpStream::connect(("127.0.0.1", port)).ok()
}

/// Copies what one sends to the other until either ends.
fn pass(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}

fn write_configs(folder: &Path, database: &str, ports: Ports) {
    let gateway = |[public, internal]: [u16; 2]| {
        json!({
            "server": {
                "port": public,
                "internal_port": internal,
                "public_url": format!("http://127.0.0.1:{}", ports.public),
            },
            "database": {"url": database},
            "secrets": {"link_signing_key": "a key of thirty-two characters...."},
            "callbacks": {"token": "a-callback-token-of-a-test"},
            "nodes": [{
                "name": "node",
                "url": format!("http://127.0.0.1:{}", ports.node),
                "token": "a-node-token-of-a-test",
            }],
            // Pictures by URL come from the test itself.
            "fetch": {"allow_private": true},
            // Short, so that what a dead process held is soon another's.
            "jobs": {"lease": 3, "orphan_age": 2},
            // What is on its way when the load balancer looks elsewhere arrives within this.
            "limits": {"drain": 2},
        })
    };
    let node = json!({
        "server": {"port": ports.node, "node_id": "node"},
        "security": {"internal_auth_token": "a-node-token-of-a-test"},
        "asset_service": {
            "callback_url": format!("http://127.0.0.1:{}/internal/v1/results", ports.internal),
            "internal_auth_token": "a-callback-token-of-a-test",
            "retry_backoff": [0.1, 0.2, 0.4],
        },
        "load_balancer": {
            "url": format!("http://127.0.0.1:{}/internal/v1", ports.internal),
            "internal_auth_token": "a-callback-token-of-a-test",
        },
    });
    // JSON is YAML.
    let write =
        |name, config: Value| std::fs::write(folder.join(name), config.to_string()).unwrap();
    write("gateway.yaml", gateway(ports.gateways[0]));
    write("second.yaml", gateway(ports.gateways[1]));
    write("node.yaml", node);
}
