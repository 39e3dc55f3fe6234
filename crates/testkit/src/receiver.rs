//! A receiver of callbacks that keeps what it is sent and answers as it is told.
//!
//! ```no_run
//! # async fn run() {
//! let receiver = tryon_testkit::receiver::Receiver::start().await;
//! receiver.answer(500);
//! // … start something that posts a form to `receiver.url("/results")` …
//! receiver.wait_for_requests("/results", 2).await;
//! receiver.answer(200);
//! assert_eq!(receiver.next("/results").await.text("job_id"), "job-1");
//! # }
//! ```

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{
    HeaderMap, Request, Response, StatusCode, body::Incoming, header::CONTENT_TYPE,
    server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinHandle,
    time::timeout,
};

/// How long anything is waited for before the test fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// One part of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The file name, of a file.
    pub file_name: Option<String>,
    /// The type, where one was given.
    pub content_type: Option<String>,
    /// The content.
    pub bytes: Bytes,
}

/// One request that was received.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The path it was sent to.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// The parts of a multipart form, by name; empty for any other body.
    pub parts: BTreeMap<String, Part>,
    /// The body of anything else.
    pub body: Bytes,
}

impl Delivery {
    /// The text of a form's field, or an empty one.
    pub fn text(&self, name: &str) -> String {
        let part = self.parts.get(name).map(|part| part.bytes.as_ref());
        String::from_utf8_lossy(part.unwrap_or_default()).into_owned()
    }
}

/// The receiver. It listens until it is dropped.
pub struct Receiver {
    address: SocketAddr,
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    arrived: Notify,
    /// Whether answers are held back.
    held: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    deliveries: Vec<Delivery>,
    /// What it answers; 200 where absent.
    status: Option<StatusCode>,
    /// Requests that were received, by path, whatever was answered.
    requests: BTreeMap<String, usize>,
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receiver {
    /// Listens on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        Self::start_on(listener.expect("a port is free"))
    }

    /// Begins to answer where until now nobody did.
    pub fn start_on(listener: TcpListener) -> Self {
        let address = listener.local_addr().expect("it is bound");
        let inner = Arc::new(Inner::default());
        let task = tokio::spawn(listen(listener, Arc::clone(&inner)));
        Self {
            address,
            inner,
            task,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of `path` on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers this from now on. What is not answered 2xx is not kept.
    pub fn answer(&self, status: u16) {
        let status = StatusCode::from_u16(status).expect("it is a status");
        self.inner.lock().status = Some(status);
    }

    /// Forgets what came so far, which a long test has no memory for.
    pub fn forget_history(&self) {
        let mut state = self.inner.lock();
        state.deliveries.clear();
        state.requests.clear();
    }

    /// Holds every answer back from now on: the sender waits. What it sent counts as received.
    pub fn hold(&self) {
        self.inner.held.send_replace(true);
    }

    /// Gives the answers that were held back.
    pub fn release(&self) {
        self.inner.held.send_replace(false);
    }

    /// Waits for a request to `path` that was answered 2xx, and takes it.
    pub async fn next(&self, path: &str) -> Delivery {
        let what = format!("nothing was sent to `{path}`");
        self.wait(&what, |state| {
            let index = state
                .deliveries
                .iter()
                .position(|delivery| delivery.path == path)?;
            Some(state.deliveries.remove(index))
        })
        .await
    }

    /// Waits until this many requests came to `path` in all, whatever was answered.
    pub async fn wait_for_requests(&self, path: &str, count: usize) {
        let what = format!("fewer than {count} requests came to `{path}`");
        self.wait(&what, |state| {
            (state.requests.get(path) >= Some(&count)).then_some(())
        })
        .await;
    }

    /// What came to `path` and was not taken.
    pub fn rest(&self, path: &str) -> Vec<Delivery> {
        let state = self.inner.lock();
        state
            .deliveries
            .iter()
            .filter(|delivery| delivery.path == path)
            .cloned()
            .collect()
    }

    async fn wait<T>(&self, what: &str, mut find: impl FnMut(&mut State) -> Option<T>) -> T {
        let search = async {
            loop {
                let arrived = self.inner.arrived.notified();
                if let Some(found) = find(&mut self.inner.lock()) {
                    return found;
                }
                arrived.await;
            }
        };
        timeout(PATIENCE, search)
            .await
            .unwrap_or_else(|_| panic!("{what} in {PATIENCE:?}"))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(listener: TcpListener, inner: Arc<Inner>) {
    while let Ok((stream, _)) = listener.accept().await {
        let inner = Arc::clone(&inner);
        let service = service_fn(move |request| receive(request, Arc::clone(&inner)));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

async fn receive(
    request: Request<Incoming>,
    inner: Arc<Inner>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    // A sender that dies in the middle sends nothing that counts.
    let Ok(body) = body.collect().await else {
        return Ok(Response::default());
    };
    let body = body.to_bytes();
    let kind = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let parts = match kind.and_then(|kind| multer::parse_boundary(kind).ok()) {
        Some(boundary) => read_form(body.clone(), boundary).await,
        None => BTreeMap::new(),
    };
    let path = head.uri.path().to_owned();
    let delivery = Delivery {
        path,
        headers: head.headers,
        parts,
        body,
    };
    let status = {
        let mut state = inner.lock();
        let status = state.status.unwrap_or(StatusCode::OK);
        *state.requests.entry(delivery.path.clone()).or_default() += 1;
        if status.is_success() {
            state.deliveries.push(delivery);
        }
        status
    };
    inner.arrived.notify_waiters();
    // The sender lives as long as `inner`.
    let _ = inner.held.subscribe().wait_for(|held| !held).await;
    let mut response = Response::default();
    *response.status_mut() = status;
    Ok(response)
}

pub(crate) async fn read_form(body: Bytes, boundary: String) -> BTreeMap<String, Part> {
    let body = futures::stream::iter([Ok::<_, Infallible>(body)]);
    let mut form = multer::Multipart::new(body, boundary);
    let mut parts = BTreeMap::new();
    while let Some(field) = form.next_field().await.expect("callbacks are well-formed") {
        let name = field.name().expect("every part has a name").to_owned();
        let file_name = field.file_name().map(str::to_owned);
        let content_type = field.content_type().map(ToString::to_string);
        let bytes = field.bytes().await.expect("callbacks are well-formed");
        let part = Part {
            file_name,
            content_type,
            bytes,
        };
        assert!(
            parts.insert(name.clone(), part).is_none(),
            "`{name}` was sent twice"
        );
    }
    parts
}
