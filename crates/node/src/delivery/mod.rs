//! Results on their way to the receiver.
//!
//! Each waiting result has a task of its own that offers it, waits and offers it again until it
//! was received or its time is over. Few are on the wire at a time: first offers have places of
//! their own, so that a backlog nobody takes does not hold up what was just made. As soon as one
//! is received, the others are offered at once instead of waiting their minutes.

mod receiver;
mod schedule;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
pub(crate) use receiver::describe;
use receiver::{DeliveryError, Receiver, Source};
use schedule::{Failure, Schedule};
use tokio::{
    sync::{Notify, Semaphore},
    task::spawn_blocking,
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;
use tryon_trace::{Kind, Span, Traced as _};

use crate::{
    clock,
    config::{AssetServiceConfig, NodeConfig},
    failpoint,
    metric::Metrics,
    recent::Recent,
    spool::{Damage, Document, Spool},
};

/// Results on the wire at a time that are offered for the first time.
const FIRST_PLACES: usize = 4;
/// Results on the wire at a time that were offered before.
const LATER_PLACES: usize = 4;
/// The shortest time between two offers, however many others are received meanwhile.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// A result to be delivered.
pub(crate) enum Parcel {
    /// It is in the spool.
    Spooled {
        /// The job's id, which finds it there.
        job_id: String,
    },
    /// The disk did not take it: it is lost if the process ends before it is received, and the
    /// job's record then tells of an interrupted job.
    Unwritten {
        document: Box<Document>,
        picture: Bytes,
    },
}

impl Parcel {
    fn job_id(&self) -> &str {
        match self {
            Self::Spooled { job_id } => job_id,
            Self::Unwritten { document, .. } => &document.head.job_id,
        }
    }
}

/// What came of one offer.
enum Offer {
    Received,
    Failed { failure: Failure, expired: bool },
    Damaged,
}

/// Delivers results.
pub(crate) struct Courier {
    receiver: Option<Receiver>,
    config: AssetServiceConfig,
    keep: Duration,
    spool: Arc<Spool>,
    recent: Arc<Recent>,
    metrics: Arc<Metrics>,
    first: Semaphore,
    later: Semaphore,
    /// Told when a result was received.
    received: Notify,
    /// Results that only memory has.
    unwritten: AtomicUsize,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Courier {
    pub(crate) fn new(
        client: reqwest::Client,
        config: &NodeConfig,
        spool: Arc<Spool>,
        recent: Arc<Recent>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            receiver: Receiver::new(client, &config.asset_service),
            config: config.asset_service.clone(),
            keep: config.spool.keep.duration(),
            spool,
            recent,
            metrics,
            first: Semaphore::new(FIRST_PLACES),
            later: Semaphore::new(LATER_PLACES),
            received: Notify::new(),
            unwritten: AtomicUsize::new(0),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// Whether results have somewhere to go.
    pub(crate) fn has_receiver(&self) -> bool {
        self.receiver.is_some()
    }

    /// Whether a result waits that the disk did not take.
    pub(crate) fn holds_unwritten(&self) -> bool {
        self.unwritten.load(Ordering::Relaxed) > 0
    }

    /// Takes a result and offers it until it was received.
    pub(crate) fn take(self: &Arc<Self>, parcel: Parcel) {
        if matches!(parcel, Parcel::Unwritten { .. }) {
            self.unwritten.fetch_add(1, Ordering::Relaxed);
        }
        let span = tracing::info_span!("delivery", job_id = parcel.job_id());
        let courier = Arc::clone(self);
        self.tasks
            .spawn(async move { courier.carry(parcel).await }.instrument(span));
    }

    /// Makes no further offers of what waits; it stays in the spool.
    pub(crate) fn halt(&self) {
        self.stop.cancel();
    }

    /// Stops offering: what is on the wire is finished, what waits stays in the spool.
    pub(crate) async fn stop(&self) {
        self.halt();
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn carry(&self, mut parcel: Parcel) {
        let Some(receiver) = &self.receiver else {
            return;
        };
        let mut schedule = Schedule::new(&self.config);
        loop {
            let places = if schedule.failures() == 0 {
                &self.first
            } else {
                &self.later
            };
            let offer = tokio::select! {
                biased;
                () = self.stop.cancelled(), if schedule.failures() > 0 => return,
                place = places.acquire() => {
                    let _place = place.expect("BUG: the semaphore is never closed");
                    self.offer(receiver, &parcel).await
                }
            };
            let failure = match offer {
                Offer::Received => return self.finish(parcel).await,
                Offer::Damaged => return,
                Offer::Failed { expired: true, .. } => return self.give_up(parcel).await,
                Offer::Failed { failure, .. } => failure,
            };
            parcel = self.write_again(parcel).await;
            let wait = schedule.next(failure, rand::random());
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.pause(wait, failure) => {}
            }
        }
    }

    /// Waits, but not on after another result was received: the receiver is back.
    async fn pause(&self, wait: Duration, failure: Failure) {
        if failure == Failure::Lasting || wait <= SHORTEST_WAIT {
            return sleep(wait).await;
        }
        let received = self.received.notified();
        sleep(SHORTEST_WAIT).await;
        tokio::select! {
            () = received => {}
            () = sleep(wait.saturating_sub(SHORTEST_WAIT)) => {}
        }
    }

    async fn offer(&self, receiver: &Receiver, parcel: &Parcel) -> Offer {
        let (document, source) = match self.open(parcel).await {
            Ok(opened) => opened,
            // Too many open files, say: the picture is there, and is read another time.
            Err(Damage::Unreadable(error)) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!(%error, "a result cannot be read now");
                return Offer::Failed {
                    failure: Failure::Passing,
                    expired: false,
                };
            }
            Err(damage) => {
                tracing::error!(%damage, "a result cannot be read and is set aside");
                self.blocking(parcel, Spool::set_aside).await;
                self.recent.end(parcel.job_id());
                return Offer::Damaged;
            }
        };
        let span = Span::of(document.find_trace().as_ref(), "deliver", Kind::Client);
        if tryon_trace::is_on() {
            span.set("tryon.attempt.id", document.head.job_id.clone());
        }
        let deliver = async {
            match receiver.deliver(&document, source).await {
                Ok(()) => {
                    failpoint::reach("node::after-callback").await;
                    Offer::Received
                }
                Err(error) => self.note_failure(&document, &error),
            }
        };
        deliver.traced(&span).await
    }

    fn note_failure(&self, document: &Document, error: &DeliveryError) -> Offer {
        let expired = clock::now().since(document.ended_at) >= self.keep;
        tracing::warn!(%error, "a result was not received");
        tryon_trace::note_failure(match error {
            DeliveryError::Refused { .. } => "refused",
            DeliveryError::Unreachable(_) => "not reached",
        });
        self.metrics.count_delivery("failed");
        Offer::Failed {
            failure: error.failure(),
            expired,
        }
    }

    async fn open(&self, parcel: &Parcel) -> Result<(Document, Source), Damage> {
        match parcel {
            Parcel::Unwritten { document, picture } => {
                Ok(((**document).clone(), Source::Memory(picture.clone())))
            }
            Parcel::Spooled { job_id } => {
                let (spool, job_id) = (Arc::clone(&self.spool), job_id.clone());
                let opened = spawn_blocking(move || spool.open_result(&job_id)).await;
                let (document, file) = opened.expect("BUG: reading a result does not panic")?;
                Ok((document, Source::File(file)))
            }
        }
    }

    /// Tries the disk again for what it did not take.
    async fn write_again(&self, parcel: Parcel) -> Parcel {
        let Parcel::Unwritten { document, picture } = parcel else {
            return parcel;
        };
        let spool = Arc::clone(&self.spool);
        let written = spawn_blocking(move || {
            let written = spool.keep(&document, &picture);
            (written, document, picture)
        });
        let (written, document, picture) =
            written.await.expect("BUG: writing a result does not panic");
        if written.is_err() {
            return Parcel::Unwritten { document, picture };
        }
        self.unwritten.fetch_sub(1, Ordering::Relaxed);
        Parcel::Spooled {
            job_id: document.head.job_id,
        }
    }

    async fn finish(&self, parcel: Parcel) {
        tracing::info!("the result was received");
        self.metrics.count_delivery("received");
        self.received.notify_waiters();
        self.forget(parcel).await;
    }

    async fn give_up(&self, parcel: Parcel) {
        tracing::error!(
            "nobody received the result in {:?}; it is given up",
            self.keep
        );
        self.metrics.count_delivery("given_up");
        self.forget(parcel).await;
    }

    async fn forget(&self, parcel: Parcel) {
        match &parcel {
            Parcel::Spooled { .. } => self.blocking(&parcel, Spool::remove).await,
            Parcel::Unwritten { .. } => {
                self.unwritten.fetch_sub(1, Ordering::Relaxed);
                self.blocking(&parcel, Spool::mark_ended).await;
            }
        }
        self.recent.end(parcel.job_id());
    }

    /// Changes the spool; a failure is logged, because nothing else can be done about it.
    async fn blocking(&self, parcel: &Parcel, change: fn(&Spool, &str) -> io::Result<()>) {
        let (spool, job_id) = (Arc::clone(&self.spool), parcel.job_id().to_owned());
        let changed = spawn_blocking(move || change(&spool, &job_id)).await;
        if let Err(error) = changed.expect("BUG: changing the spool does not panic") {
            tracing::error!(%error, "the spool cannot be changed");
        }
    }
}
