//! A node without an engine, whose behaviour a test scripts.
//!
//! It listens on loopback and speaks a node's whole wire: `POST /tryon`, `DELETE /tryon/{id}`,
//! `POST /check`,
//! `/test`, `/health`, `/version`, `/gpu/status` and the result callback. Like a node it works on
//! one job at a time and is busy meanwhile. What it does with a job that it is offered is the next
//! [`Reaction`] of its script, or the one it has for everything else.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use tryon_testkit::fake_node::{FakeNode, Reaction};
//!
//! let node = FakeNode::start().await;
//! node.script([Reaction::busy(2), Reaction::DropAtHead]);
//! node.otherwise(Reaction::Work);
//! assert!(node.url().starts_with("http://127.0.0.1:"));
//! # });
//! ```

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, RETRY_AFTER},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::{
    net::TcpListener,
    sync::Notify,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tryon_api::{
    callback::AUTH_HEADER,
    node::{
        Accepted, Busy, CheckReport, Detail, GpuStatus, Health, Readiness, StepCount, TestReport,
        VersionReport, field,
    },
};

pub use self::report::{Outcome, Reported, Reporter};
use crate::receiver::{Part, read_form};

mod report;

/// How long anything is waited for before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a report is sent that is not answered, and the wait in between.
const PERSISTENCE: usize = 300;
const PAUSE: Duration = Duration::from_millis(100);

/// What the node does with a job that it is offered.
#[derive(Debug, Clone)]
pub enum Reaction {
    /// Takes it and reports this as soon as it answered 202.
    Report(Outcome),
    /// Takes it and reports this before it answers 202.
    ReportFirst(Outcome),
    /// Takes it and works on it until the test reports for it.
    Work,
    /// Refuses it with this status, body and `Retry-After`.
    Refuse {
        /// The status.
        status: u16,
        /// The body, as JSON.
        body: String,
        /// Seconds.
        retry_after: Option<u64>,
        /// Whether it says from now on that its model is not loaded.
        unloads: bool,
    },
    /// Closes the connection when it has read the request's head.
    DropAtHead,
    /// Reads the whole request and closes the connection without an answer.
    DropAfterBody {
        /// Whether it works on the job all the same.
        taken: bool,
    },
    /// Takes it and knows nothing of it any more.
    Vanish,
    /// Takes it, works on it for so long, and then reports this so often, each until it is answered
    /// 2xx or 4xx, as nodes do.
    Persist {
        /// What came of it.
        outcome: Outcome,
        /// How long it works.
        after: Duration,
        /// How many reports there are, all at once.
        reports: usize,
        /// Whether it knows nothing of the job meanwhile, and so takes others.
        forgets: bool,
    },
    /// Reads the whole request and keeps the connection open without ever answering.
    Mute {
        /// Whether it works on the job all the same.
        taken: bool,
    },
}

/// What a node says whose model is not loaded.
const NOT_LOADED: &str = "Models not loaded yet";

impl Reaction {
    /// 429: another dispatcher's job has the device for about this many seconds.
    pub fn busy(retry_after: u64) -> Self {
        Self::Refuse {
            status: 429,
            body: json(&Busy::new(retry_after)),
            retry_after: Some(retry_after),
            unloads: false,
        }
    }

    /// 503: it has lost its model, and says so from now on.
    pub fn unload() -> Self {
        Self::Refuse {
            status: 503,
            body: json(&Detail::new(NOT_LOADED)),
            retry_after: None,
            unloads: true,
        }
    }

    /// 503: the model is not loaded.
    pub fn loading() -> Self {
        Self::refuse(503, NOT_LOADED)
    }

    /// This status with a `detail`.
    pub fn refuse(status: u16, detail: &str) -> Self {
        let body = json(&Detail::new(detail));
        Self::Refuse {
            status,
            body,
            retry_after: None,
            unloads: false,
        }
    }

    const fn takes(&self) -> bool {
        match self {
            Self::Report(_)
            | Self::ReportFirst(_)
            | Self::Work
            | Self::Vanish
            | Self::Persist { .. } => true,
            Self::DropAfterBody { taken } | Self::Mute { taken } => *taken,
            Self::Refuse { .. } | Self::DropAtHead => false,
        }
    }
}

/// A job that the node was offered.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The headers of the request.
    pub headers: HeaderMap,
    /// The form's parts, by name; none when the connection was closed at the head.
    pub parts: BTreeMap<String, Part>,
    /// Whether the node worked on it.
    pub taken: bool,
}

impl Offer {
    /// The text of a field, or an empty one.
    pub fn text(&self, name: &str) -> String {
        let part = self.parts.get(name).map(|part| part.bytes.as_ref());
        String::from_utf8_lossy(part.unwrap_or_default()).into_owned()
    }

    /// The attempt's id.
    pub fn job_id(&self) -> String {
        self.text(field::JOB_ID)
    }

    /// The `config` field.
    pub fn config(&self) -> serde_json::Value {
        serde_json::from_str(&self.text(field::CONFIG)).expect("`config` is JSON")
    }

    /// The bytes of a file.
    pub fn file(&self, name: &str) -> Bytes {
        self.parts
            .get(name)
            .expect("the file was sent")
            .bytes
            .clone()
    }
}

/// The node. It listens until it is dropped.
pub struct FakeNode {
    url: String,
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    changed: Notify,
}

/// Says how to react to an offer.
type Choice = Box<dyn FnMut() -> Reaction + Send>;

/// What it says of a photo.
#[derive(Clone)]
enum Check {
    Report(CheckReport),
    Refusal(u16, String),
}

struct State {
    script: VecDeque<Reaction>,
    otherwise: Choice,
    readiness: Readiness,
    providers: Vec<String>,
    /// What requests must carry.
    token: Option<String>,
    /// Whether it closes every connection at once.
    dark: bool,
    /// The job it works on.
    current: Option<String>,
    /// What it says of any photo.
    check: Check,
    /// The photos that it was asked about.
    checks: Vec<Offer>,
    /// How far it says that it is with it, and how many milliseconds it expects to take.
    progress: Option<(StepCount, u64)>,
    offers: Vec<Offer>,
    /// Every request: method and path.
    requests: Vec<String>,
    reports: Vec<Reported>,
    reporter: Option<Reporter>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            script: VecDeque::new(),
            otherwise: Box::new(|| Reaction::Work),
            readiness: Readiness::Hot,
            providers: vec!["preview".to_owned()],
            token: None,
            dark: false,
            current: None,
            // As one that knows no such question.
            check: Check::Refusal(404, "Not Found".to_owned()),
            checks: Vec::new(),
            progress: None,
            offers: Vec::new(),
            requests: Vec::new(),
            reports: Vec::new(),
            reporter: None,
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something and wakes those who wait for it.
    fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_waiters();
        result
    }
}

impl FakeNode {
    /// A node that is hot, serves `preview`, wants no token and takes every job without ever
    /// reporting.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let inner = Arc::new(Inner::default());
        let task = tokio::spawn(listen(listener, Arc::clone(&inner)));
        Self { url, inner, task }
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Reports to this address with this token from now on.
    pub fn report_to(&self, url: &str, token: &str) {
        let reporter = Reporter::new(url, token);
        self.inner.update(|state| state.reporter = Some(reporter));
    }

    /// Reacts so to the next offers, one each.
    pub fn script(&self, reactions: impl IntoIterator<Item = Reaction>) {
        self.inner.update(|state| state.script.extend(reactions));
    }

    /// Reacts so to every offer that the script leaves.
    pub fn otherwise(&self, reaction: Reaction) {
        self.choose(move || reaction.clone());
    }

    /// Reacts as this says to every offer that the script leaves.
    pub fn choose(&self, choice: impl FnMut() -> Reaction + Send + 'static) {
        self.inner
            .update(|state| state.otherwise = Box::new(choice));
    }

    /// Says this of its engine from now on.
    pub fn set_readiness(&self, readiness: Readiness) {
        self.inner.update(|state| state.readiness = readiness);
    }

    /// Serves these providers from now on.
    pub fn set_providers(&self, providers: &[&str]) {
        let providers = providers.iter().map(ToString::to_string).collect();
        self.inner.update(|state| state.providers = providers);
    }

    /// Says from now on that it is so far with what it works on.
    pub fn set_progress(&self, step: u32, steps: u32, eta_ms: u64) {
        let progress = (StepCount { step, steps }, eta_ms);
        self.inner.update(|state| state.progress = Some(progress));
    }

    /// Says from now on that it would mask this of any photo.
    pub fn set_check(&self, report: CheckReport) {
        self.inner
            .update(|state| state.check = Check::Report(report));
    }

    /// Refuses from now on to look into photos.
    pub fn refuse_check(&self, status: u16, detail: &str) {
        let refusal = Check::Refusal(status, detail.to_owned());
        self.inner.update(|state| state.check = refusal);
    }

    /// The questions about photos so far.
    pub fn checks(&self) -> Vec<Offer> {
        self.inner.lock().checks.clone()
    }

    /// Wants this token from now on.
    pub fn set_token(&self, token: &str) {
        self.inner
            .update(|state| state.token = Some(token.to_owned()));
    }

    /// Whether it closes every connection without an answer, as a dying machine does.
    pub fn set_dark(&self, dark: bool) {
        self.inner.update(|state| state.dark = dark);
    }

    /// Forgets the job it works on, as a node does that was killed.
    pub fn forget(&self) {
        self.inner.update(|state| state.current = None);
    }

    /// Forgets the offers, requests and reports so far, which a long test has no memory for.
    pub fn forget_history(&self) {
        self.inner.update(|state| {
            state.offers.clear();
            state.requests.clear();
            state.reports.clear();
        });
    }

    /// Every offer so far.
    pub fn offers(&self) -> Vec<Offer> {
        self.inner.lock().offers.clone()
    }

    /// The offers it worked on.
    pub fn runs(&self) -> Vec<Offer> {
        self.offers()
            .into_iter()
            .filter(|offer| offer.taken)
            .collect()
    }

    /// How many requests came for `method path`.
    pub fn requests(&self, request: &str) -> usize {
        self.inner
            .lock()
            .requests
            .iter()
            .filter(|it| *it == request)
            .count()
    }

    /// Waits until this many offers came in all, and returns the last of them.
    pub async fn wait_for_offer(&self, count: usize) -> Offer {
        let what = format!("fewer than {count} jobs were offered");
        self.wait(&what, |state| state.offers.get(count - 1).cloned())
            .await
    }

    /// Waits until this many requests came for `method path`.
    pub async fn wait_for_requests(&self, request: &str, count: usize) {
        let what = format!("fewer than {count} requests came for `{request}`");
        self.wait(&what, |state| {
            let came = state.requests.iter().filter(|it| *it == request).count();
            (came >= count).then_some(())
        })
        .await;
    }

    /// Waits until this many reports were answered, and returns the last of them.
    pub async fn wait_for_report(&self, count: usize) -> Reported {
        let what = format!("fewer than {count} reports were answered");
        self.wait(&what, |state| state.reports.get(count - 1).cloned())
            .await
    }

    /// Ends the job of this id and reports what came of it. Returns what the receiver answered.
    pub async fn report(&self, job_id: &str, outcome: &Outcome) -> Reported {
        report(&self.inner, job_id, outcome).await
    }

    async fn wait<T>(&self, what: &str, mut find: impl FnMut(&mut State) -> Option<T>) -> T {
        let search = async {
            loop {
                let changed = self.inner.changed.notified();
                tokio::pin!(changed);
                // From here on no change is missed.
                changed.as_mut().enable();
                if let Some(found) = find(&mut self.inner.lock()) {
                    return found;
                }
                changed.await;
            }
        };
        timeout(PATIENCE, search)
            .await
            .unwrap_or_else(|_| panic!("{what} in {PATIENCE:?}"))
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why there is no answer: the connection is closed instead.
#[derive(Debug)]
struct Dropped;

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is closed on purpose")
    }
}

impl std::error::Error for Dropped {}

type Answer = Result<Response<Full<Bytes>>, Dropped>;

async fn listen(listener: TcpListener, inner: Arc<Inner>) {
    // Dropped with the listener, so that a node that is gone answers on no connection.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let inner = Arc::clone(&inner);
        let service = service_fn(move |request| answer(request, Arc::clone(&inner)));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        connections.spawn(async { drop(connection.await) });
    }
}

async fn answer(request: Request<Incoming>, inner: Arc<Inner>) -> Answer {
    let path = request.uri().path().to_owned();
    let (dark, admitted) = inner.update(|state| {
        state.requests.push(format!("{} {path}", request.method()));
        let given = request
            .headers()
            .get(AUTH_HEADER)
            .and_then(|token| token.to_str().ok());
        (
            state.dark,
            state.token.is_none() || state.token.as_deref() == given,
        )
    });
    if dark {
        return Err(Dropped);
    }
    let node_id = "fake-node".to_owned();
    match (request.method(), path.as_str()) {
        (&Method::POST, "/tryon") => offer(request, &inner, admitted).await,
        (&Method::DELETE, _) if admitted => Ok(cancel(&inner, path.trim_start_matches("/tryon/"))),
        (&Method::GET, "/gpu/status") if admitted => Ok(respond(200, &gpu_status(&inner, node_id))),
        (_, "/gpu/status") | (&Method::DELETE, _) => Ok(unauthorized()),
        (_, "/test") => Ok(respond(200, &test(&inner, node_id))),
        (&Method::POST, "/check") if admitted => check(request, &inner).await,
        (_, "/version") => Ok(respond(200, &version(&inner, node_id))),
        (_, "/health") => {
            let model_loaded = inner.lock().readiness == Readiness::Hot;
            Ok(respond(
                200,
                &Health {
                    status: "ok".to_owned(),
                    model_loaded,
                    node_id,
                },
            ))
        }
        _ => Ok(respond(404, &Detail::new("Not Found"))),
    }
}

async fn offer(request: Request<Incoming>, inner: &Arc<Inner>, admitted: bool) -> Answer {
    let (head, body) = request.into_parts();
    let reaction = if admitted {
        inner.update(next_reaction)
    } else {
        Reaction::refuse(401, "Unauthorized")
    };
    if matches!(reaction, Reaction::DropAtHead) {
        let offer = Offer {
            headers: head.headers,
            parts: BTreeMap::new(),
            taken: false,
        };
        inner.update(|state| state.offers.push(offer));
        return Err(Dropped);
    }
    let offer = read_offer(Request::from_parts(head, body), reaction.takes()).await?;
    let job_id = offer.job_id();
    inner.update(|state| {
        if offer.taken {
            state.current = Some(job_id.clone());
        }
        state.offers.push(offer);
    });
    react(inner, reaction, job_id).await
}

/// Busy with a job, a node refuses another, whatever it would do with it otherwise.
async fn read_offer(request: Request<Incoming>, taken: bool) -> Result<Offer, Dropped> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
    let kind = head.headers.get(CONTENT_TYPE);
    let boundary = kind.and_then(|kind| multer::parse_boundary(kind.to_str().ok()?).ok());
    let parts = read_form(body, boundary.expect("pictures are sent in forms")).await;
    Ok(Offer {
        headers: head.headers,
        parts,
        taken,
    })
}

fn next_reaction(state: &mut State) -> Reaction {
    match (state.script.pop_front(), &state.current, state.readiness) {
        (Some(scripted), ..) => scripted,
        (None, _, Readiness::Loading | Readiness::Failed) => Reaction::loading(),
        (None, Some(_), _) => Reaction::busy(1),
        (None, None, _) => (state.otherwise)(),
    }
}

async fn react(inner: &Arc<Inner>, reaction: Reaction, job_id: String) -> Answer {
    match reaction {
        Reaction::Work => {}
        Reaction::Vanish => inner.update(|state| state.current = None),
        Reaction::Persist {
            outcome,
            after,
            reports,
            forgets,
        } => {
            if forgets {
                inner.update(|state| state.current = None);
            }
            for _ in 0..reports {
                let (inner, job_id) = (Arc::clone(inner), job_id.clone());
                let outcome = outcome.clone();
                tokio::spawn(async move {
                    sleep(after).await;
                    persist(&inner, &job_id, &outcome).await;
                });
            }
        }
        Reaction::Report(outcome) => {
            let (inner, job_id) = (Arc::clone(inner), job_id.clone());
            tokio::spawn(async move { report(&inner, &job_id, &outcome).await });
        }
        Reaction::ReportFirst(outcome) => {
            report(inner, &job_id, &outcome).await;
        }
        Reaction::Refuse {
            status,
            body,
            retry_after,
            unloads,
        } => {
            if unloads {
                inner.update(|state| state.readiness = Readiness::Loading);
            }
            let mut answer = respond_text(status, body);
            if let Some(seconds) = retry_after {
                answer.headers_mut().insert(RETRY_AFTER, seconds.into());
            }
            return Ok(answer);
        }
        Reaction::DropAtHead | Reaction::DropAfterBody { .. } => return Err(Dropped),
        Reaction::Mute { .. } => std::future::pending().await,
    }
    Ok(respond(202, &Accepted::queued(job_id)))
}

async fn report(inner: &Inner, job_id: &str, outcome: &Outcome) -> Reported {
    let sender = inner.update(|state| {
        state.current.take_if(|current| current == job_id);
        state.reporter.clone()
    });
    let sender = sender.expect("the node was told where to report");
    let reported = sender.send(job_id, outcome).await;
    inner.update(|state| state.reports.push(reported.clone()));
    reported
}

/// Reports until the receiver has made up its mind.
async fn persist(inner: &Inner, job_id: &str, outcome: &Outcome) {
    for _ in 0..PERSISTENCE {
        if matches!(report(inner, job_id, outcome).await.status, 200..500) {
            return;
        }
        sleep(PAUSE).await;
    }
}

fn cancel(inner: &Inner, job_id: &str) -> Response<Full<Bytes>> {
    let cancelled = inner.update(|state| state.current.take_if(|current| current == job_id));
    match cancelled {
        Some(_) => respond(202, &Accepted::cancelling(job_id)),
        None => respond(404, &Detail::new("no such job is running")),
    }
}

async fn check(request: Request<Incoming>, inner: &Inner) -> Answer {
    let offer = read_offer(request, false).await?;
    let answer = inner.update(|state| {
        state.checks.push(offer);
        state.check.clone()
    });
    Ok(match answer {
        Check::Report(report) => respond(200, &report),
        Check::Refusal(status, detail) => respond(status, &Detail::new(detail)),
    })
}

fn gpu_status(inner: &Inner, node_id: String) -> GpuStatus {
    let state = inner.lock();
    let current_job_id = state.current.clone();
    let progress = state.progress.filter(|_| current_job_id.is_some());
    let busy = current_job_id.is_some();
    GpuStatus {
        node_id,
        busy,
        current_job_id,
        queue_length: 0,
        progress: progress.map(|(count, _)| count),
        eta_ms: progress.map(|(_, eta_ms)| eta_ms),
        gpu: None,
    }
}

fn test(inner: &Inner, node_id: String) -> TestReport {
    let status = inner.lock().readiness;
    let model_loaded = status == Readiness::Hot;
    let reason = (status == Readiness::Failed).then(|| "given up".to_owned());
    TestReport {
        status,
        model_loaded,
        node_id,
        model_type: "fake".to_owned(),
        reason,
    }
}

fn version(inner: &Inner, node_id: String) -> VersionReport {
    VersionReport {
        model_type: "fake".to_owned(),
        model_version: report::MODEL_VERSION.to_owned(),
        backend: "cpu".to_owned(),
        git_commit: "unknown".to_owned(),
        node_id,
        providers: inner.lock().providers.clone(),
        notice: None,
    }
}

fn unauthorized() -> Response<Full<Bytes>> {
    respond(401, &Detail::new("Unauthorized"))
}

fn respond(status: u16, body: &impl Serialize) -> Response<Full<Bytes>> {
    respond_text(status, json(body))
}

fn respond_text(status: u16, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = StatusCode::from_u16(status).expect("it is a status");
    let kind = "application/json".parse().expect("it is a header's value");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn json(body: &impl Serialize) -> String {
    serde_json::to_string(body).expect("wire types are JSON")
}
