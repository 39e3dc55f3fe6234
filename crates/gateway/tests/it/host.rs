//! A server of pictures on loopback, good and bad.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use bytes::Bytes;
use futures::stream;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};
use tryon_testkit::upload;

/// Serves pictures until it is dropped.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    /// Bytes that endless answers gave away.
    given: Arc<AtomicU64>,
    /// Lets go what is held.
    gate: Arc<Semaphore>,
    task: JoinHandle<()>,
}

impl Host {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let given = Arc::new(AtomicU64::new(0));
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&gate);
        let router = Router::new()
            .route("/picture.png", get(|| async { upload::png(48, 64) }))
            .route("/typed-as-text", get(typed_as_text))
            .route("/status/{code}", get(status))
            .route("/to", get(redirect))
            .route("/hops/{left}", get(hop))
            .route("/endless", get(endless))
            .route("/huge", get(huge))
            .route("/drip", get(drip))
            .route("/silent", get(silent))
            .route("/held", get(async move || hold(&held).await))
            .route("/mute", get(std::future::pending::<StatusCode>))
            .route("/broken", get(broken))
            .route("/zipped", get(zipped))
            .with_state(Arc::clone(&given));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            given,
            gate,
            task,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers what is held, and is asked for from now on.
    pub(crate) fn release(&self) {
        self.gate.close();
    }

    /// Bytes that endless answers gave away.
    pub(crate) fn given(&self) -> u64 {
        self.given.load(Ordering::SeqCst)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn typed_as_text() -> Response {
    ([(header::CONTENT_TYPE, "text/plain")], upload::jpeg(48, 64)).into_response()
}

async fn status(Path(code): Path<u16>) -> Response {
    (
        StatusCode::from_u16(code).unwrap(),
        "the secret of the inside",
    )
        .into_response()
}

async fn redirect(Query(query): Query<BTreeMap<String, String>>) -> Redirect {
    Redirect::temporary(&query["url"])
}

async fn hop(Path(left): Path<u32>) -> Redirect {
    match left {
        0 => Redirect::temporary("/picture.png"),
        left => Redirect::temporary(&format!("/hops/{}", left - 1)),
    }
}

/// Five gigabytes, not announced.
async fn endless(State(given): State<Arc<AtomicU64>>) -> Body {
    const PIECE: usize = 64 * 1024;
    const PIECES: u64 = 5_000_000_000 / PIECE as u64;
    let piece = Bytes::from(vec![0; PIECE]);
    let next = move |sent: u64| {
        let (piece, given) = (piece.clone(), Arc::clone(&given));
        async move {
            given.fetch_add(PIECE as u64, Ordering::SeqCst);
            (sent < PIECES).then_some((Ok::<_, Infallible>(piece), sent + 1))
        }
    };
    Body::from_stream(stream::unfold(0, next))
}

/// Five gigabytes, announced.
async fn huge() -> Response {
    let pending = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    ([(header::CONTENT_LENGTH, "5000000000")], pending).into_response()
}

/// A byte now and then, so that it is never silent for long.
async fn drip() -> Body {
    let next = |()| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Some((Ok::<_, Infallible>(Bytes::from_static(b"\x89")), ()))
    };
    Body::from_stream(stream::unfold((), next))
}

/// The start of a picture, and nothing after it.
async fn silent() -> Body {
    use futures::StreamExt as _;
    let start = Bytes::from(upload::truncated(upload::png(48, 64)));
    let start = stream::iter([Ok::<_, Infallible>(start)]);
    Body::from_stream(start.chain(stream::pending()))
}

/// A picture, once it is let go.
async fn hold(gate: &Semaphore) -> Vec<u8> {
    // An error says that it is open.
    let _ = gate.acquire().await;
    upload::png(48, 64)
}

/// Half a picture under the whole one's length.
async fn broken() -> Response {
    let whole = upload::png(48, 64);
    let length = whole.len().to_string();
    let half: [Result<Bytes, std::io::Error>; 2] = [
        Ok(upload::truncated(whole).into()),
        Err(std::io::Error::other("the disk is gone")),
    ];
    (
        [(header::CONTENT_LENGTH, length)],
        Body::from_stream(stream::iter(half)),
    )
        .into_response()
}

async fn zipped() -> Response {
    ([(header::CONTENT_ENCODING, "gzip")], "not really").into_response()
}
