//! How a node answers while the preview engine runs flat out: `cargo bench -p tryon`.
//!
//! The node is a process of its own with the real engine behind it, and one client keeps it busy
//! with `POST /infer`. Every other client waits for its answer before it asks again.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use reqwest::{Client, multipart};

const TOKEN: &str = "a-token-of-a-benchmark";
/// Clients that ask for `/health` at the same time, and how often each does.
const CLIENTS: usize = 8;
const REQUESTS: usize = 1_000;
/// Uploads that are refused.
const REFUSALS: usize = 50;
/// The size of each.
const UPLOAD_BYTES: usize = 20_000_000;

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be had");
    runtime.block_on(measure());
}

async fn measure() {
    let folder = tempfile::tempdir().expect("a temporary folder can be had");
    let (mut node, url) = start_node(folder.path());
    let client = Client::new();
    wait_hot(&client, &url).await;
    let stop = Arc::new(AtomicBool::new(false));
    let busy = tokio::spawn(keep_busy(client.clone(), url.clone(), Arc::clone(&stop)));
    wait_busy(&client, &url).await;

    println!(
        "{:<44}{:>7}{:>10}{:>10}{:>10}",
        "answer", "n", "p50", "p99", "max"
    );
    let health = join_all((0..CLIENTS).map(|_| ask_health(Client::new(), url.clone()))).await;
    show("/health, 8 clients, engine flat out", health.concat());
    show(
        "429 to a 20 MB upload, engine flat out",
        refuse(&client, &url).await,
    );

    stop.store(true, Ordering::Relaxed);
    let pictures = busy.await.expect("the busy client does not panic");
    println!("pictures made meanwhile: {pictures}");
    node.kill().expect("the node can be killed");
    node.wait().expect("the node ends");
}

fn start_node(folder: &Path) -> (Child, String) {
    let mut node = Command::new(env!("CARGO_BIN_EXE_tryon"))
        .args(["node", "--port", "0"])
        .env("INCOMING_AUTH_TOKEN", TOKEN)
        .env("RUST_LOG", "error")
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the node starts");
    let mut line = String::new();
    let stdout = node.stdout.take().expect("standard output is piped");
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("the node says where it is");
    let url = line.trim().trim_start_matches("node on ").to_owned();
    (node, url)
}

async fn wait_hot(client: &Client, url: &str) {
    while !get(client, &format!("{url}/test"))
        .await
        .contains("\"hot\"")
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn wait_busy(client: &Client, url: &str) {
    while !get(client, &format!("{url}/gpu/status"))
        .await
        .contains("\"busy\":true")
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn get(client: &Client, url: &str) -> String {
    let request = client.get(url).header("x-internal-auth", TOKEN);
    let answer = request.send().await.expect("the node answers");
    answer.text().await.expect("the answer is whole")
}

/// Has the node make pictures, one after the other, and counts them.
async fn keep_busy(client: Client, url: String, stop: Arc<AtomicBool>) -> usize {
    let mut pictures = 0;
    while !stop.load(Ordering::Relaxed) {
        let form = pair(example("person-studio.jpg"), example("garment-tee.jpg"));
        let request = client
            .post(format!("{url}/infer"))
            .header("x-internal-auth", TOKEN);
        let answer = request
            .multipart(form)
            .send()
            .await
            .expect("the node answers");
        assert!(answer.status().is_success(), "{}", answer.status());
        answer.bytes().await.expect("the picture is whole");
        pictures += 1;
    }
    pictures
}

fn example(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples")
        .join(name);
    std::fs::read(path).expect("the example picture is there")
}

fn pair(person: Vec<u8>, garment: Vec<u8>) -> multipart::Form {
    let file = |bytes| multipart::Part::bytes(bytes).file_name("picture");
    multipart::Form::new()
        .text("provider", "preview")
        .part("masked_user_image", file(person))
        .part("garment_image", file(garment))
}

async fn ask_health(client: Client, url: String) -> Vec<Duration> {
    let url = format!("{url}/health");
    let mut times = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let begun = Instant::now();
        get(&client, &url).await;
        times.push(begun.elapsed());
    }
    times
}

/// Uploads a large job again and again; counts only what was refused because the node was busy.
async fn refuse(client: &Client, url: &str) -> Vec<Duration> {
    let mut times = Vec::with_capacity(REFUSALS);
    while times.len() < REFUSALS {
        let form =
            pair(vec![0; UPLOAD_BYTES / 2], vec![0; UPLOAD_BYTES / 2]).text("job_id", "late");
        let request = client
            .post(format!("{url}/tryon"))
            .header("x-internal-auth", TOKEN);
        let begun = Instant::now();
        let answer = request
            .multipart(form)
            .send()
            .await
            .expect("the node answers");
        let took = begun.elapsed();
        // Between two pictures the node is free, and reads the upload to refuse it as none.
        if answer.status() == 429 {
            times.push(took);
        }
    }
    times
}

fn show(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let millis = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1e3;
    println!(
        "{name:<44}{:>7}{:>7.2} ms{:>7.2} ms{:>7.2} ms",
        times.len(),
        millis(50),
        millis(99),
        millis(100)
    );
}
