//! How fast a node answers: `cargo bench -p tryon-node`.
//!
//! Real sockets on the loopback and a real worker process, whose engine does nothing; so the
//! figures are those of the node itself.

use std::time::{Duration, Instant};

use futures::future::join_all;
use hdrhistogram::Histogram;
use reqwest::Client;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tryon_core::secret::Secret;
use tryon_engine::supervisor::{Supervisor, SupervisorConfig};
use tryon_node::{Node, NodeConfig};
use tryon_testkit::{fake_worker, receiver::Receiver, upload};

const TOKEN: &str = "token";
const BOUNDARY: &str = "boundary";
/// Clients that ask for `/health` at the same time, and how often each does.
const CLIENTS: usize = 8;
const REQUESTS: usize = 2_500;
const JOBS: usize = 200;
const REFUSALS: usize = 100;
/// Of a refused form, what is sent before its answer is awaited.
const FIRST_PACKET: usize = 16 * 1024;

fn main() {
    // The benchmark is its own worker.
    fake_worker::serve_if_asked();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be had");
    runtime.block_on(measure());
}

async fn measure() {
    let bench = Bench::start().await;
    println!(
        "{:<52}{:>7}{:>11}{:>11}{:>11}",
        "answer", "n", "p50", "p99", "max"
    );
    let small = (upload::png(48, 64), upload::png(48, 64));
    let photos = (upload::jpeg(1080, 1440), upload::jpeg(1080, 1440));
    show(
        "202, two pictures of 48x64",
        &bench.accept("s", &small).await,
    );
    show(
        "202, two photos of 1080x1440",
        &bench.accept("p", &photos).await,
    );

    bench.post(form("busy", "sleep:3600000", &small)).await;
    let large = (upload::noise(1840, 1840), upload::noise(1840, 1840));
    let large = form("late", "", &large);
    let megabytes = large.len() / 1_000_000;
    let name = format!("429, {megabytes} MB of which the first packet was sent");
    show(&name, &bench.refuse(&large, FIRST_PACKET).await);
    let name = format!("429, {megabytes} MB that were all sent before reading");
    show(&name, &bench.refuse(&large, large.len()).await);
    let name = format!("/health, {CLIENTS} clients, while a job runs");
    show(&name, &bench.ask_for_health().await);
}

/// A node with its worker and the receiver of its results.
struct Bench {
    node: Node,
    receiver: Receiver,
    client: Client,
    _dir: TempDir,
}

impl Bench {
    async fn start() -> Self {
        // Before the first client is made: it looks for the provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().expect("a folder can be had");
        let receiver = Receiver::start().await;
        let mut config = NodeConfig::default();
        config.server.port = 0;
        config.security.internal_auth_token = Some(Secret::new(TOKEN));
        config.asset_service.callback_url = receiver.url("/results").parse().ok();
        config.spool.dir = dir.path().join("spool");
        let supervisor = Supervisor::start(SupervisorConfig::new(fake_worker::command()));
        let node = Node::start(config, supervisor.clone()).await;
        tokio::task::spawn_blocking(move || supervisor.wait_loaded())
            .await
            .expect("waiting does not panic");
        Self {
            node: node.expect("the node starts"),
            receiver,
            client: Client::new(),
            _dir: dir,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.node.local_addr())
    }

    /// Posts a job that must be accepted, and says how long that took.
    async fn post(&self, form: Vec<u8>) -> Duration {
        let request = self.client.post(self.url("/tryon"));
        let request = request.header("x-internal-auth", TOKEN);
        let request = request.header("content-type", content_type()).body(form);
        let start = Instant::now();
        let answer = request.send().await.expect("the node answers");
        let took = start.elapsed();
        assert_eq!(answer.status(), 202);
        took
    }

    async fn accept(&self, name: &str, pictures: &(Vec<u8>, Vec<u8>)) -> Vec<Duration> {
        let mut times = Vec::new();
        for number in 0..JOBS {
            let job_id = format!("{name}-{number}");
            times.push(self.post(form(&job_id, "", pictures)).await);
            // The device was free before the result was sent.
            self.receiver.next("/results").await;
        }
        times
    }

    async fn refuse(&self, form: &[u8], sent: usize) -> Vec<Duration> {
        let mut times = Vec::new();
        for _ in 0..REFUSALS {
            times.push(self.refuse_once(form, sent).await);
        }
        times
    }

    async fn refuse_once(&self, form: &[u8], sent: usize) -> Duration {
        let address = self.node.local_addr();
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let head = format!(
            "POST /tryon HTTP/1.1\r\nHost: node\r\nX-Internal-Auth: {TOKEN}\r\n\
             Content-Type: {}\r\nContent-Length: {}\r\n\r\n",
            content_type(),
            form.len()
        );
        let start = Instant::now();
        let sending = async {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&form[..sent]).await
        };
        sending.await.expect("the node reads on");
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.expect("it answers");
        let took = start.elapsed();
        assert_eq!(&status, b"HTTP/1.1 429");
        took
    }

    async fn ask_for_health(&self) -> Vec<Duration> {
        let clients = (0..CLIENTS).map(|_| {
            let (client, url) = (Client::new(), self.url("/health"));
            tokio::spawn(async move {
                let mut times = Vec::new();
                for _ in 0..REQUESTS {
                    let start = Instant::now();
                    let answer = client.get(&url).send().await.expect("it answers");
                    assert_eq!(answer.status(), 200);
                    answer.bytes().await.expect("the answer is whole");
                    times.push(start.elapsed());
                }
                times
            })
        });
        let times = join_all(clients).await.into_iter();
        times.flat_map(|it| it.expect("asking works")).collect()
    }
}

fn content_type() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

fn form(job_id: &str, prompt: &str, (person, garment): &(Vec<u8>, Vec<u8>)) -> Vec<u8> {
    let config = format!(r#"{{"prompt": "{prompt}", "steps": 1}}"#);
    let parts: [(&str, &[u8]); 7] = [
        ("job_id", job_id.as_bytes()),
        ("user_id", b"user"),
        ("session_id", b"session"),
        ("provider", b"preview"),
        ("config", config.as_bytes()),
        ("masked_user_image", person),
        ("garment_image", garment),
    ];
    let mut body = Vec::new();
    for (name, content) in parts {
        let head =
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend(head.as_bytes());
        body.extend(content);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

fn show(name: &str, times: &[Duration]) {
    let mut histogram = Histogram::<u64>::new(3).expect("three digits are possible");
    for time in times {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        // Not the saturating one, which does not widen the range.
        histogram
            .record(micros)
            .expect("the range widens by itself");
    }
    let millis = |micros: u64| format!("{}.{:02} ms", micros / 1000, micros % 1000 / 10);
    println!(
        "{name:<52}{:>7}{:>11}{:>11}{:>11}",
        histogram.len(),
        millis(histogram.value_at_quantile(0.5)),
        millis(histogram.value_at_quantile(0.99)),
        millis(histogram.max())
    );
}
