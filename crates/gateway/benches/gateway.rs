//! How fast the gateway answers, over sockets, with its store and pictures on disk and a node that
//! delivers at once, so that every job is prepared, dispatched and settled meanwhile.
//!
//! `cargo bench -p tryon-gateway` prints one line for each kind of request and number of clients.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hdrhistogram::Histogram;
use image::{Rgb, RgbImage};
use rand::{SeedableRng as _, rngs::StdRng};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tryon_blob::Blobs;
use tryon_core::{
    id::{AccountId, KeyId},
    ledger::Pool,
    limit::Limits,
    scope::Scopes,
    secret::Secret,
    time::Timestamp,
};
use tryon_gateway::{Gateway, GatewayConfig, auth::NewSecret, config::NodeConfig};
use tryon_picture::encode_jpeg;
use tryon_store::{NewKey, SqliteStore, Store};
use tryon_testkit::{
    fake_node::{FakeNode, Outcome, Reaction},
    upload,
};

const TOKEN: &str = "the-token-of-callbacks";
const ACCOUNT: AccountId = AccountId::from_bytes([1; 12]);
const CLIENTS: [usize; 3] = [1, 8, 32];
const SUBMISSIONS: usize = 200;
const QUESTIONS: usize = 4000;

/// A gateway, its node and a customer without limits.
struct Bench {
    gateway: Gateway,
    store: Arc<dyn Store>,
    _node: FakeNode,
    _dir: tempfile::TempDir,
    key: String,
    http: Client,
}

impl Bench {
    async fn start() -> Self {
        let node = FakeNode::start().await;
        node.otherwise(Reaction::Report(Outcome::png(upload::png(64, 64))));
        let dir = tempfile::tempdir().expect("there is a folder for temporary files");
        let file = dir.path().join("tryon.db");
        let store = SqliteStore::open(file.to_str().expect("the path is text")).await;
        let store: Arc<dyn Store> = Arc::new(store.expect("the store opens"));
        let blobs = Blobs::disk(dir.path().join("pictures")).expect("the folder is writable");
        let key = make_customer(&*store).await;
        let gateway = Gateway::start(config(&node), Arc::clone(&store), blobs).await;
        let gateway = gateway.expect("the gateway starts");
        node.report_to(gateway.callback_url().as_str(), TOKEN);
        let http = Client::builder().no_proxy().build();
        let http = http.expect("the client needs nothing");
        Self {
            gateway,
            store,
            _node: node,
            _dir: dir,
            key,
            http,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1{path}", self.gateway.public_addr())
    }

    fn submission(&self, body: &bytes::Bytes) -> RequestBuilder {
        let request = self
            .http
            .post(self.url("/tryon/clothes"))
            .bearer_auth(&self.key);
        request
            .header("content-type", "application/json")
            .body(body.clone())
    }

    /// Waits until every job has ended, so that the next figures are not those of the last jobs.
    async fn settle(&self) {
        loop {
            let account = self
                .store
                .find_account(ACCOUNT)
                .await
                .expect("the store answers");
            if account.is_some_and(|account| account.open_jobs == 0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn config(node: &FakeNode) -> GatewayConfig {
    let mut config = GatewayConfig::default();
    (config.server.port, config.server.internal_port) = (0, 0);
    config.secrets.link_signing_key = Secret::new("the-key-that-signs-links");
    config.callbacks.token = Secret::new(TOKEN);
    config.jobs.deadline = tryon_core::time::Seconds::new(3600);
    let url = node.url().parse().expect("it is a URL");
    config.nodes = vec![NodeConfig {
        name: "node".to_owned(),
        url,
        token: None,
    }];
    config
}

async fn make_customer(store: &dyn Store) -> String {
    const MANY: u32 = 1_000_000_000;
    let limits = Limits {
        tryon_per_minute: MANY,
        status_per_minute: MANY,
        credits_per_minute: MANY,
        concurrent_jobs: MANY,
    };
    let now = Timestamp::from_millis(0);
    let secret = NewSecret::generate(&mut StdRng::seed_from_u64(1));
    let key = NewKey {
        id: KeyId::from_bytes([1; 12]),
        account: ACCOUNT,
        name: "bench".to_owned(),
        prefix: secret.prefix().to_owned(),
        hash: secret.hash(),
        scopes: Scopes::ALL,
        expires_at: None,
    };
    store
        .create_account(ACCOUNT, "bench", limits, now)
        .await
        .expect("there is none yet");
    let granted = store
        .grant_credits(ACCOUNT, Pool::Purchased, MANY, now)
        .await;
    granted.expect("the account is there");
    store.create_key(key, now).await.expect("there is none yet");
    secret.into_string()
}

/// A photo's worth of detail: a gradient under grain.
fn photo() -> Vec<u8> {
    let mut state = 1_u32;
    let picture = RgbImage::from_fn(768, 1024, |x, y| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let grain = u8::try_from(state >> 27).expect("BUG: five bits are a byte");
        let share = |part: u32, whole| u8::try_from(part * 200 / whole).expect("BUG: at most 200");
        Rgb([share(x, 768) + grain, share(y, 1024) + grain, 100 + grain])
    });
    encode_jpeg(&picture, 85, "").expect("a plain picture is encodable")
}

fn submission_body() -> bytes::Bytes {
    let photo = photo();
    println!(
        "each submission carries two 768x1024 JPEGs of {} KB",
        photo.len() / 1000
    );
    let url = format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(photo));
    json!({"model_image": url, "garment_image": url})
        .to_string()
        .into()
}

/// Sends `total` requests from `clients` at the same time; prints how long they took.
async fn measure(
    what: &str,
    clients: usize,
    total: usize,
    request: impl Fn() -> RequestBuilder + Clone + Send + 'static,
) {
    let left = Arc::new(AtomicUsize::new(total));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let (left, request) = (Arc::clone(&left), request.clone());
        tasks.spawn(async move { ask(&left, request).await });
    }
    let mut times = histogram();
    while let Some(times_of_one) = tasks.join_next().await {
        times
            .add(times_of_one.expect("no client panics"))
            .expect("both have the same bounds");
    }
    let rate = Duration::from_secs(u64::try_from(total).expect("BUG: few requests"))
        .div_duration_f64(start.elapsed());
    let millis =
        |quantile| Duration::from_micros(times.value_at_quantile(quantile)).as_secs_f64() * 1e3;
    let (p50, p99, worst) = (millis(0.5), millis(0.99), millis(1.0));
    println!("{what:<8}{clients:>8}{total:>10}{p50:>10.2}{p99:>10.2}{worst:>10.2}{rate:>12.0}");
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("BUG: the bounds are in order")
}

async fn ask(left: &AtomicUsize, request: impl Fn() -> RequestBuilder) -> Histogram<u64> {
    let mut times = histogram();
    let next = |left: usize| left.checked_sub(1);
    while left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
        .is_ok()
    {
        let start = Instant::now();
        let answer = request().send().await.expect("the gateway answers");
        assert_eq!(answer.status(), StatusCode::OK);
        answer.bytes().await.expect("the answer is whole");
        let micros = u64::try_from(start.elapsed().as_micros()).expect("BUG: short times");
        times
            .record(micros.max(1))
            .expect("no request takes ten minutes");
    }
    times
}

#[tokio::main]
async fn main() {
    let bench = Arc::new(Bench::start().await);
    let body = submission_body();
    println!(
        "{:<8}{:>8}{:>10}{:>10}{:>10}{:>10}{:>12}",
        "", "clients", "requests", "p50 ms", "p99 ms", "max ms", "requests/s"
    );
    for clients in CLIENTS {
        let (bench_of_requests, body) = (Arc::clone(&bench), body.clone());
        let request = move || bench_of_requests.submission(&body);
        measure("submit", clients, SUBMISSIONS, request).await;
        bench.settle().await;
    }
    let answer = bench
        .submission(&body)
        .send()
        .await
        .expect("the gateway answers");
    let answer: Value = answer.json().await.expect("the answer is JSON");
    let id = answer["id"]
        .as_str()
        .expect("the job was accepted")
        .to_owned();
    bench.settle().await;
    for clients in CLIENTS {
        let (bench, id) = (Arc::clone(&bench), id.clone());
        let request = move || {
            bench
                .http
                .get(bench.url(&format!("/status/{id}")))
                .bearer_auth(&bench.key)
        };
        measure("status", clients, QUESTIONS, request).await;
    }
}
