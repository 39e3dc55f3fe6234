//! What every part of the gateway shares.

use std::sync::Arc;

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tryon_blob::{Blobs, LinkSigner};
use tryon_store::Store;

use crate::{
    clock::{Clock, SystemClock},
    config::GatewayConfig,
    darkroom::Darkroom,
    follow::Following,
    metric::Metrics,
    node_time::NodeTimes,
    oidc::Provider,
    random::{Random, SystemRandom},
    rate::{MemoryRates, Rates},
    route::body::BodyBudget,
    stranger::{GUESSES, Strangers},
    wake::Wake,
};

/// What every part of the gateway shares, behind an `Arc`.
pub struct App {
    /// How it is set up.
    pub config: GatewayConfig,
    /// What the platform remembers.
    pub store: Arc<dyn Store>,
    /// Where pictures are.
    pub blobs: Blobs,
    /// Makes and checks the links to outputs.
    pub links: LinkSigner,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where ids and seeds come from.
    pub random: Arc<dyn Random>,
    /// The loops' bells.
    pub wake: Wake,
    /// How many requests each account made lately.
    pub rates: Arc<dyn Rates>,
    /// How often each address came without a valid key.
    pub(crate) strangers: Strangers,
    /// How often each address named a wrong password.
    pub(crate) guessers: Strangers,
    /// Where passwords are hashed: apart from pictures, which do not wait for whoever guesses.
    pub(crate) vault: Darkroom,
    /// Who else says who somebody is, where the configuration names one.
    pub(crate) provider: Option<Box<Provider>>,
    /// How much memory the bodies of requests may take together.
    pub(crate) bodies: BodyBudget,
    /// How much memory the results of nodes may take together: apart from the former, so that
    /// clients cannot keep results out.
    pub(crate) results: BodyBudget,
    /// Where pictures are decoded and encoded.
    pub(crate) darkroom: Darkroom,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// How long each node's pictures took lately.
    pub(crate) node_times: NodeTimes,
    /// Jobs that somebody waits for.
    pub(crate) following: Arc<Following>,
    /// Submissions that are being accepted, which go on where their client hangs up.
    pub(crate) submissions: TaskTracker,
    /// Cancelled when the gateway is told to end: it is not ready any more.
    pub(crate) draining: CancellationToken,
}

impl App {
    /// An app on the machine's clock and randomness, which counts requests in memory.
    pub fn new(config: GatewayConfig, store: Arc<dyn Store>, blobs: Blobs) -> Self {
        Self {
            links: LinkSigner::new(&config.secrets.link_signing_key),
            bodies: BodyBudget::for_requests(&config.limits),
            results: BodyBudget::for_results(&config.limits),
            strangers: Strangers::new(config.limits.failures_per_minute),
            guessers: Strangers::new(GUESSES),
            vault: Darkroom::with_places(1),
            provider: None,
            darkroom: Darkroom::default(),
            metrics: Metrics::default(),
            node_times: NodeTimes::default(),
            following: Arc::default(),
            submissions: TaskTracker::new(),
            draining: CancellationToken::new(),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            rates: Arc::new(MemoryRates::default()),
            wake: Wake::default(),
            config,
            store,
            blobs,
        }
    }

    /// The same app on another clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// The same app on another source of randomness.
    #[must_use]
    pub fn with_random(self, random: Arc<dyn Random>) -> Self {
        Self { random, ..self }
    }

    /// The same app with requests counted elsewhere.
    #[must_use]
    pub fn with_rates(self, rates: Arc<dyn Rates>) -> Self {
        Self { rates, ..self }
    }
}
