//! What a gateway counts, in the exposition format of `OpenMetrics`.
//!
//! Counts are this gateway's own. What the store knows (the queue, the nodes) is looked up when it is
//! asked for, and every gateway on the store tells the same.

use std::time::Duration;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use tryon_core::{error::JobErrorCode, ledger::Balance, task::Provider, time::Timestamp};
use tryon_store::{Node, NodeState, QueueDepth, WebhookVerdict};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProviderLabels {
    provider: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    provider: &'static str,
    error: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartLabels {
    part: &'static str,
}

/// What is true at the moment the figures are asked for.
pub(crate) struct Moment {
    pub(crate) now: Timestamp,
    pub(crate) queues: Vec<QueueDepth>,
    pub(crate) nodes: Vec<Node>,
    /// What all accounts hold together.
    pub(crate) credits: Balance,
    pub(crate) followed: usize,
}

/// Everything a gateway counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    latencies: Family<RouteLabels, Histogram, fn() -> Histogram>,
    waits: Family<ProviderLabels, Histogram, fn() -> Histogram>,
    inferences: Family<ProviderLabels, Histogram, fn() -> Histogram>,
    failures: Family<FailureLabels, Counter>,
    webhooks: Family<OutcomeLabels, Counter>,
    results: Family<OutcomeLabels, Counter>,
}

/// What became of a result that a node reported.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ResultOutcome {
    /// Its sample has its picture.
    Delivered,
    /// The attempt failed.
    Failed,
    /// It came twice or too late, or names nothing of ours.
    PassedOver,
}

impl ResultOutcome {
    /// Every one of them.
    const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::PassedOver];

    /// Its name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::PassedOver => "passed-over",
        }
    }
}

/// A family of histograms of seconds: answers take milliseconds, pictures minutes.
fn seconds<L: Clone + std::hash::Hash + Eq>() -> Family<L, Histogram, fn() -> Histogram> {
    Family::new_with_constructor(|| {
        Histogram::new([
            0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0,
        ])
    })
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            requests: Family::default(),
            latencies: seconds(),
            waits: seconds(),
            inferences: seconds(),
            failures: Family::default(),
            webhooks: Family::default(),
            results: Family::default(),
        };
        metrics.begin();
        metrics
    }
}

impl Metrics {
    /// Has everything be 0 whose labels are known before: a rate needs a number to grow from.
    fn begin(&self) {
        for provider in Provider::ALL {
            drop(self.waits.get_or_create(&labels(*provider)));
            drop(self.inferences.get_or_create(&labels(*provider)));
            for error in JobErrorCode::ALL {
                drop(self.failures.get_or_create(&FailureLabels {
                    provider: provider.as_str(),
                    error: error.as_str(),
                }));
            }
        }
        for outcome in VERDICTS {
            drop(self.webhooks.get_or_create(&OutcomeLabels { outcome }));
        }
        for outcome in ResultOutcome::ALL.map(ResultOutcome::as_str) {
            drop(self.results.get_or_create(&OutcomeLabels { outcome }));
        }
    }

    /// Counts an answer. The route is as it is written, without what was asked for in it.
    pub(crate) fn count_answer(&self, route: &str, method: &str, status: u16, took: Duration) {
        let route = route.to_owned();
        let labels = RequestLabels {
            route: route.clone(),
            method: known(method),
            status,
        };
        self.requests.get_or_create(&labels).inc();
        let latency = self.latencies.get_or_create(&RouteLabels { route });
        latency.observe(took.as_secs_f64());
    }

    /// Counts a sample that was given to a node, so long after its job was accepted.
    pub(crate) fn count_dispatch(&self, provider: Provider, waited: Duration) {
        let waits = self.waits.get_or_create(&labels(provider));
        waits.observe(waited.as_secs_f64());
    }

    /// Counts a picture that was delivered.
    pub(crate) fn count_picture(&self, provider: Provider, took: Duration) {
        let inferences = self.inferences.get_or_create(&labels(provider));
        inferences.observe(took.as_secs_f64());
    }

    /// Counts an attempt that a node reported to have failed.
    pub(crate) fn count_failure(&self, provider: Provider, error: JobErrorCode) {
        let labels = FailureLabels {
            provider: provider.as_str(),
            error: error.as_str(),
        };
        self.failures.get_or_create(&labels).inc();
    }

    /// Counts a try of a webhook.
    pub(crate) fn count_webhook(&self, verdict: WebhookVerdict) {
        let outcome = name(verdict);
        self.webhooks
            .get_or_create(&OutcomeLabels { outcome })
            .inc();
    }

    /// Counts a result that a node reported.
    pub(crate) fn count_result(&self, outcome: ResultOutcome) {
        let outcome = outcome.as_str();
        self.results.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// All of it, and what is true now, in the exposition format.
    pub(crate) fn expose(&self, moment: &Moment) -> String {
        let mut registry = Registry::with_prefix("tryon_gateway");
        self.register(&mut registry);
        register_queues(&mut registry, moment);
        register_nodes(&mut registry, moment);
        register_credits(&mut registry, &moment.credits);
        register_spans(&mut registry);
        let followed = Gauge::<i64>::default();
        followed.set(count(moment.followed));
        registry.register(
            "followed_jobs",
            "Jobs that clients wait for at this gateway",
            followed,
        );
        let mut text = String::new();
        encode(&mut text, &registry).expect("BUG: writing to a string does not fail");
        text
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "requests",
            "Requests that were answered",
            self.requests.clone(),
        );
        let times = [
            (
                "request_duration",
                "Time from a request's head to its answer's head",
            ),
            (
                "dispatch_wait",
                "Time from a job's acceptance until a sample of it was given to a node",
            ),
            ("inference", "Time that a picture took on its node"),
        ];
        let [request, dispatch, inference] = times;
        registry.register_with_unit(request.0, request.1, Unit::Seconds, self.latencies.clone());
        registry.register_with_unit(dispatch.0, dispatch.1, Unit::Seconds, self.waits.clone());
        registry.register_with_unit(
            inference.0,
            inference.1,
            Unit::Seconds,
            self.inferences.clone(),
        );
        let text = "Attempts that nodes reported to have failed";
        registry.register("failed_attempts", text, self.failures.clone());
        registry.register(
            "webhook_tries",
            "Tries to deliver webhooks",
            self.webhooks.clone(),
        );
        let text = "Results that nodes reported";
        registry.register("results", text, self.results.clone());
    }
}

/// What becomes of a try of a webhook.
const VERDICTS: [&str; 4] = ["delivered", "again", "failed", "gone"];

/// A verdict's name: one of [`VERDICTS`].
pub(crate) const fn name(verdict: WebhookVerdict) -> &'static str {
    match verdict {
        WebhookVerdict::Delivered => "delivered",
        WebhookVerdict::Again(_) => "again",
        WebhookVerdict::Failed => "failed",
        WebhookVerdict::Gone => "gone",
    }
}

/// What became of this process's spans.
fn register_spans(registry: &mut Registry) {
    let spans = Family::<OutcomeLabels, Counter>::default();
    for (outcome, count) in tryon_trace::counts().by_name() {
        let labels = OutcomeLabels { outcome };
        spans.get_or_create(&labels).inc_by(count);
    }
    let text = "Spans of traces that were sent, or lost";
    registry.register("trace_spans", text, spans);
}

fn register_queues(registry: &mut Registry, moment: &Moment) {
    let (samples, age) = (
        Family::<ProviderLabels, Gauge>::default(),
        Family::<ProviderLabels, Gauge>::default(),
    );
    for provider in Provider::ALL {
        let depth = moment.queues.iter().find(|it| it.provider == *provider);
        let waiting = depth.map_or(0, |depth| depth.waiting);
        let oldest = depth.map_or(Duration::ZERO, |depth| moment.now.since(depth.oldest));
        let labels = labels(*provider);
        samples.get_or_create(&labels).set(count(waiting));
        age.get_or_create(&labels).set(count(oldest.as_secs()));
    }
    registry.register("queue_samples", "Samples that wait for a node", samples);
    let text = "Time since the job was accepted of which a sample waits longest";
    registry.register_with_unit("queue_age", text, Unit::Seconds, age);
}

fn register_nodes(registry: &mut Registry, moment: &Moment) {
    let states = Family::<StateLabels, Gauge>::default();
    let states_of = |node: &Node| match node {
        node if node.is_lost(moment.now) => "lost",
        node if node.drained => "drained",
        node if node.attempt.is_some() => "busy",
        node => node.state.as_str(),
    };
    let known = NodeState::ALL.map(NodeState::as_str);
    for state in known.into_iter().chain(["lost", "drained", "busy"]) {
        let nodes = moment.nodes.iter().filter(|node| states_of(node) == state);
        states
            .get_or_create(&StateLabels { state })
            .set(count(nodes.count()));
    }
    registry.register("nodes", "Nodes by what they do", states);
}

fn register_credits(registry: &mut Registry, balance: &Balance) {
    let credits = Family::<PartLabels, Gauge>::default();
    for (part, held) in [
        ("subscription", balance.subscription),
        ("purchased", balance.purchased),
        ("reserved", balance.reserved),
    ] {
        credits.get_or_create(&PartLabels { part }).set(count(held));
    }
    let text = "Credits that all accounts hold together, and those of them that are reserved";
    registry.register("credits", text, credits);
}

const fn labels(provider: Provider) -> ProviderLabels {
    ProviderLabels {
        provider: provider.as_str(),
    }
}

fn count(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// A client can send whatever method it likes, and must not make a series of each.
pub(crate) fn known(method: &str) -> &'static str {
    let known = ["GET", "HEAD", "POST", "DELETE", "OPTIONS"];
    known
        .into_iter()
        .find(|it| *it == method)
        .unwrap_or("other")
}
