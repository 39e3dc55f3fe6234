//! Everything the handlers share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Mutex, Semaphore};
use tokio_util::task::TaskTracker;
use tryon_engine::{
    Description,
    supervisor::{Supervisor, Unavailable, WorkerState},
};

use crate::{
    auth::Gatekeeper,
    config::NodeConfig,
    delivery::Courier,
    gpu::Meter,
    metric::{Metrics, Moment},
    notice::Notices,
    photo::DarkRoom,
    recent::Recent,
    refusal::Refusal,
    slot::Slot,
    spool::Spool,
};

/// A running node.
pub(crate) struct App {
    pub(crate) config: NodeConfig,
    pub(crate) supervisor: Supervisor,
    pub(crate) gatekeeper: Gatekeeper,
    pub(crate) dark_room: DarkRoom,
    pub(crate) slot: Arc<Slot>,
    pub(crate) recent: Arc<Recent>,
    /// Held while a job is taken and written down. Its twin waits: whoever is accepted has a job
    /// that survives.
    pub(crate) taking: Mutex<()>,
    pub(crate) spool: Arc<Spool>,
    pub(crate) courier: Arc<Courier>,
    pub(crate) notices: Arc<Notices>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) meter: Meter,
    /// Uploads that may be read at the same time.
    pub(crate) uploads: Semaphore,
    /// Photos that are looked into beside a job: one at a time, as each takes a core.
    pub(crate) checks: Arc<Semaphore>,
    /// Jobs between 202 and their result in the spool.
    pub(crate) jobs: TaskTracker,
    pub(crate) stopping: AtomicBool,
    /// Set when the grace for the running job is over.
    pub(crate) abandoned: AtomicBool,
}

impl App {
    pub(crate) fn new(
        config: NodeConfig,
        supervisor: Supervisor,
        client: reqwest::Client,
        spool: Spool,
    ) -> Arc<Self> {
        let spool = Arc::new(spool);
        let recent = Arc::new(Recent::new(config.spool.remember.duration()));
        let metrics = Arc::new(Metrics::new());
        let courier = Courier::new(
            client.clone(),
            &config,
            Arc::clone(&spool),
            Arc::clone(&recent),
            Arc::clone(&metrics),
        );
        Arc::new(Self {
            gatekeeper: Gatekeeper::new(&config.security),
            dark_room: DarkRoom::new(&config.limits),
            slot: Slot::new(),
            notices: Arc::new(Notices::new(client, &config)),
            meter: Meter::start(supervisor.clone()),
            uploads: Semaphore::new(config.limits.uploads),
            checks: Arc::new(Semaphore::new(1)),
            jobs: TaskTracker::new(),
            stopping: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            taking: Mutex::new(()),
            config,
            supervisor,
            recent,
            spool,
            courier,
            metrics,
        })
    }

    /// What is loaded, unless a job would be refused before it is looked at.
    pub(crate) fn gate(&self) -> Result<Description, Refusal> {
        let description = self.check_open()?;
        match self.slot.find_occupied() {
            Some(occupied) => Err(Refusal::Busy {
                retry_after: occupied.retry_after,
            }),
            None => Ok(description),
        }
    }

    /// What is loaded, busy or not.
    pub(crate) fn check_open(&self) -> Result<Description, Refusal> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(Refusal::Stopping);
        }
        match self.supervisor.state() {
            WorkerState::Loading => Err(Refusal::NotLoaded),
            WorkerState::Failed { reason } => Err(given_up(&reason)),
            WorkerState::Ready => self.supervisor.description().ok_or(Refusal::NotLoaded),
        }
    }

    /// Whether a result could be kept. A job whose result could not be is not begun.
    pub(crate) fn check_spool(&self) -> Result<(), Refusal> {
        if let Some((waiting, limit)) = self.spool.find_overflow() {
            return Err(Refusal::SpoolFull { waiting, limit });
        }
        if self.courier.holds_unwritten() {
            let reason = "an earlier result could not be written either".to_owned();
            return Err(Refusal::SpoolUnwritable { reason });
        }
        Ok(())
    }

    /// Whether the engine is loaded, busy or not.
    pub(crate) fn is_hot(&self) -> bool {
        self.supervisor.state() == WorkerState::Ready
    }

    /// The model's name: the engine's own word once it was loaded.
    pub(crate) fn model_type(&self) -> String {
        let description = self.supervisor.description();
        let expected = self.config.model.model_type.as_str();
        description.map_or_else(|| expected.to_owned(), |it| it.model_type)
    }

    /// What the metrics show of this moment.
    pub(crate) fn moment(&self) -> Moment {
        Moment {
            engine: self.supervisor.description(),
            hot: self.is_hot(),
            busy: self.slot.find_occupied().is_some(),
            waiting_results: self.spool.waiting_results(),
            waiting_bytes: self.spool.waiting_bytes(),
        }
    }

    /// Lets the running job end, for at most `grace`, and ends it then: it becomes an interrupted
    /// job, which another node may take. Its result is in the spool when this returns.
    pub(crate) async fn finish_jobs(&self, grace: Duration) {
        self.stopping.store(true, Ordering::Relaxed);
        if tokio::time::timeout(grace, self.slot.wait_until_free())
            .await
            .is_err()
        {
            tracing::warn!("the running job did not end in time and is interrupted");
        }
        // Also a job that got the device in the meantime.
        self.abandoned.store(true, Ordering::Relaxed);
        let supervisor = self.supervisor.clone();
        let ended = tokio::task::spawn_blocking(move || supervisor.shutdown()).await;
        ended.expect("BUG: ending the worker does not panic");
        self.jobs.close();
        self.jobs.wait().await;
    }
}

fn given_up(reason: &str) -> Refusal {
    Refusal::GivenUp {
        reason: headline(reason).to_owned(),
    }
}

/// How an engine ended, without its last words: those may name what nobody but an operator is to
/// read, and are in the log.
pub(crate) fn headline(reason: &str) -> &str {
    reason.lines().next().unwrap_or_default()
}

impl From<Unavailable> for Refusal {
    fn from(unavailable: Unavailable) -> Self {
        match unavailable {
            Unavailable::Loading => Self::NotLoaded,
            Unavailable::Failed { reason } => given_up(&reason),
            // The worker is still putting the last job away.
            Unavailable::Busy => Self::Busy { retry_after: 1 },
        }
    }
}
