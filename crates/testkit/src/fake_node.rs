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
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use hyper::HeaderMap;
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle, time::timeout};
use tryon_api::node::{Busy, CheckReport, Detail, Readiness, StepCount, field};

pub use self::report::{Outcome, Reported, Reporter};
use self::wire::{json, listen, report};
use crate::receiver::Part;

mod report;
mod wire;

/// How long anything is waited for before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

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
