//! The whole node is killed at its worst moments, and the next one makes good.
//!
//! The test binary executes itself as the node, as it does for the worker.

use std::{
    env, fs,
    io::{self, Read},
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    thread,
};

use reqwest::{Client, Method, RequestBuilder};
use rustix::process::{Signal, getpid, kill_process};
use tryon_core::secret::Secret;
use tryon_node::{Node, NodeConfig};
use tryon_testkit::receiver::{Delivery, Receiver};

use crate::{
    form::Form,
    stage::{CALLBACK_TOKEN, TOKEN, client, send, supervise, until},
};

/// The folder of a node's process; that makes the test binary one.
const FOLDER: &str = "TRYON_NODE_PROCESS_FOLDER";
const CALLBACK: &str = "TRYON_NODE_PROCESS_CALLBACK";
/// The failpoint at which it ends.
const POINT: &str = "TRYON_NODE_PROCESS_POINT";

#[test]
fn node_process() {
    let Ok(dir) = env::var(FOLDER) else { return };
    if let Ok(point) = env::var(POINT) {
        fail::cfg_callback(point, end_at_once).unwrap();
    }
    // However the test ends, its end of the pipe closes and its node ends.
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        process::exit(0);
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(serve(Path::new(&dir)));
}

fn end_at_once() {
    let _ = kill_process(getpid(), Signal::KILL);
    loop {
        thread::park();
    }
}

async fn serve(dir: &Path) {
    let mut config = NodeConfig::default();
    config.server.port = 0;
    config.security.internal_auth_token = Some(Secret::new(TOKEN));
    config.asset_service.callback_url = env::var(CALLBACK).unwrap().parse().ok();
    config.asset_service.internal_auth_token = Some(Secret::new(CALLBACK_TOKEN));
    config.spool.dir = dir.join("spool");
    let node = Node::start(config, supervise("ok")).await.unwrap();
    fs::write(dir.join("unfinished"), node.local_addr().to_string()).unwrap();
    fs::rename(dir.join("unfinished"), dir.join("address")).unwrap();
    std::future::pending::<()>().await;
}

/// A node in a process of its own; killed when dropped.
struct Process {
    child: Child,
    address: SocketAddr,
    client: Client,
}

impl Process {
    /// Starts one and waits until its engine is loaded.
    async fn start(dir: &Path, receiver: &Receiver, point: Option<&str>) -> Self {
        let address: PathBuf = dir.join("address");
        let _ = fs::remove_file(&address);
        let child = Command::new(env::current_exe().unwrap())
            .args(["process::node_process", "--exact", "--nocapture"])
            .env(FOLDER, dir)
            .env(CALLBACK, receiver.url("/results"))
            .envs(point.map(|point| (POINT, point)))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let find = async || fs::read_to_string(&address).ok()?.parse().ok();
        let process = Self {
            child,
            address: until("the process does not listen", find).await,
            client: client(),
        };
        until("the engine is not loaded", async || {
            let test = send(process.request(Method::GET, "/test")).await;
            (test.json()["status"] == "hot").then_some(())
        })
        .await;
        process
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        let request = self.client.request(method, url);
        request.header("x-internal-auth", TOKEN)
    }

    fn posting(&self, form: &Form) -> RequestBuilder {
        let request = self.request(Method::POST, "/tryon");
        let request = request.header("content-type", Form::content_type());
        request.body(form.encode())
    }

    /// Waits for its end, which must be a kill.
    async fn wait_killed(&mut self) {
        until("the process was not killed", async || {
            let status = self.child.try_wait().unwrap()?;
            assert_eq!(status.signal(), Some(Signal::KILL.as_raw()));
            Some(())
        })
        .await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a job on a node that is killed at `point`, and gives what the next node delivers of it.
async fn survive(point: &str) -> (Receiver, Delivery) {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    let mut killed = Process::start(dir.path(), &receiver, Some(point)).await;
    // The answer may die with the node.
    let _ = killed.posting(&Form::tryon("job")).send().await;
    killed.wait_killed().await;
    let before = receiver.rest("/results").len();
    assert_eq!(
        before,
        usize::from(point == "node::after-callback"),
        "{point}"
    );

    let next = Process::start(dir.path(), &receiver, None).await;
    let result = receiver.next("/results").await;
    assert_eq!(result.text("job_id"), "job");
    let spool = dir.path().join("spool");
    until("the spool is not empty", async || {
        let results = fs::read_dir(spool.join("results")).unwrap().count();
        let running = fs::read_dir(spool.join("running")).unwrap().count();
        (results + running == 0).then_some(())
    })
    .await;
    // It is known, and not run again.
    let again = send(next.posting(&Form::tryon("job"))).await;
    assert_eq!(again.status, 202, "{point}");
    let metrics = send(next.request(Method::GET, "/metrics")).await;
    assert_eq!(metrics.json()["vton_inference_count"], 0, "{point}");
    (receiver, result)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_taken_is_told_to_be_interrupted() {
    for point in ["node::after-202", "node::after-inference"] {
        let (_, result) = survive(point).await;
        assert_eq!(
            result.text("error"),
            "the node restarted during the job",
            "{point}"
        );
        assert_eq!(result.text("retryable"), "true");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_was_spooled_arrives() {
    for point in ["node::after-spool", "node::during-callback"] {
        let (_, result) = survive(point).await;
        image::load_from_memory(&result.parts["output_image"].bytes).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_was_received_arrives_once_more_and_is_the_same() {
    let (receiver, first) = survive("node::after-callback").await;
    let second = receiver.next("/results").await;
    assert_eq!(first.parts, second.parts);
}
