//! Making inputs ready for a node.
//!
//! A job is leased, its pictures are fetched or read, developed and kept, and only then does the
//! store hear of it: a gateway that is killed before leaves a lease that runs out, and whoever is
//! given the job next does it again under the same keys.
//!
//! A lease may run out while its preparation is under way, because a server is slow. Then this
//! gateway may be given its own job again, which renews the lease; or another gateway is, and does
//! the same work with the same result.

mod develop;
mod input;

pub(crate) use self::develop::reduce;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tryon_api::public::picture_fields;
use tryon_blob::{BlobError, Key, Role};
use tryon_core::{
    error::JobError,
    id::{AccountId, JobId},
};
use tryon_store::{Pair, Preparation, StoreError, Work};
use tryon_trace::{Kind, Span, TraceContext, Traced as _};

use crate::{app::App, error::Chain, input::Inputs, place::Places};

/// Jobs that are prepared at the same time. Most of that time is spent waiting for servers.
const PLACES: usize = 16;

/// Why inputs are not ready.
#[derive(Debug, thiserror::Error)]
enum PrepareError {
    /// They cannot be used: the job fails.
    #[error("{}", .0.message)]
    Unusable(JobError),
    /// The pictures' storage failed: it is tried again.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The store failed: it is tried again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Prepares inputs.
#[derive(Clone)]
pub(crate) struct Preparer {
    app: Arc<App>,
    inputs: Inputs,
    places: Arc<Places>,
    under_way: Arc<Mutex<HashSet<JobId>>>,
}

/// A job that this gateway prepares, for as long as this lives.
struct UnderWay {
    job: JobId,
    jobs: Arc<Mutex<HashSet<JobId>>>,
}

impl UnderWay {
    /// `None` when the job is under way already: its lease was renewed, and that is all.
    fn mark(jobs: &Arc<Mutex<HashSet<JobId>>>, job: JobId) -> Option<Self> {
        let mut marked = jobs.lock().unwrap_or_else(PoisonError::into_inner);
        // Only made where it is wanted: dropping one takes the mark, and the lock, of the first.
        marked.insert(job).then(|| Self {
            job,
            jobs: Arc::clone(jobs),
        })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.remove(&self.job);
    }
}

impl Preparer {
    pub(crate) fn new(app: Arc<App>, inputs: Inputs) -> Self {
        Self {
            places: Places::new(
                Arc::clone(&app),
                PLACES,
                (Work::Preparation, |wake| &wake.prepare),
            ),
            app,
            inputs,
            under_way: Arc::default(),
        }
    }

    /// Prepares accepted jobs until it is told to stop. Those under way are `tasks`.
    pub(crate) async fn run(self, tasks: TaskTracker, stop: CancellationToken) {
        let claim = |sated| self.claim(sated);
        let start = |preparation, place| self.start(preparation, place, &tasks);
        self.places.hand_out(&stop, claim, start).await;
    }

    async fn claim(&self, sated: Vec<AccountId>) -> Result<Option<Preparation>, StoreError> {
        let now = self.app.clock.now();
        let lease_until = now + self.app.config.jobs.lease.duration();
        let store = &self.app.store;
        store.claim_preparation(now, lease_until, &sated).await
    }

    fn start(&self, preparation: Preparation, place: OwnedSemaphorePermit, tasks: &TaskTracker) {
        let Some(mark) = UnderWay::mark(&self.under_way, preparation.job) else {
            return;
        };
        let place = self.places.hold(place, preparation.account);
        let preparer = self.clone();
        tasks.spawn(async move {
            let _held = (place, mark);
            preparer.prepare(preparation).await;
        });
    }

    async fn prepare(&self, preparation: Preparation) {
        let job = preparation.job;
        let trace = preparation.trace.as_deref().and_then(TraceContext::parse);
        let span = Span::of(trace.as_ref(), "prepare", Kind::Consumer);
        span.set("tryon.job.id", job.to_string());
        let outcome = match self.make_ready(preparation).traced(&span).await {
            Ok(inputs) => self.finish(job, inputs).await,
            Err(PrepareError::Unusable(error)) => {
                span.fail(error.name.as_str());
                self.give_up(job, error).await
            }
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            span.fail("it is tried again");
        }
        drop(span);
        if let Err(error) = outcome {
            tracing::error!(%job, error = %Chain(&error), "a job's inputs are prepared again when its lease ends");
        }
    }

    /// The keys of the prepared inputs, once they are kept.
    async fn make_ready(&self, preparation: Preparation) -> Result<Pair<String>, PrepareError> {
        let (job, account) = (preparation.job, preparation.account);
        let task = preparation.request.options.task();
        let (person_field, garment_field) = picture_fields(task);
        let max_side = preparation.plan.max_side;
        let Pair { person, garment } = preparation.sources;
        let person = self.develop(account, person_field, person, max_side);
        let garment = async {
            match garment {
                Some(source) => self
                    .develop(account, garment_field, source, max_side)
                    .await
                    .map(Some),
                None => Ok(None),
            }
        };
        let (person, garment) = tokio::try_join!(person, garment)?;
        // Both are waited for: one that was written while the job ends would be left behind.
        let garment = async {
            match garment {
                Some(picture) => self
                    .keep(Key::prepared(job, Role::Garment), picture)
                    .await
                    .map(Some),
                None => Ok(None),
            }
        };
        let person = self.keep(Key::prepared(job, Role::Person), person);
        let (person, garment) = tokio::join!(person, garment);
        Ok(Pair {
            person: person?,
            garment: garment?,
        })
    }

    async fn keep(&self, key: Key, picture: bytes::Bytes) -> Result<String, BlobError> {
        self.app.blobs.put(&key, picture).await?;
        Ok(key.to_string())
    }

    async fn finish(&self, job: JobId, inputs: Pair<String>) -> Result<(), PrepareError> {
        let app = &self.app;
        let prepared = app
            .store
            .finish_preparation(job, inputs, app.clock.now())
            .await?;
        if prepared {
            tracing::info!(%job, "prepared");
            return Ok(());
        }
        // Another gateway prepared it under the same keys, or it ended meanwhile.
        let found = app.store.find_job(job).await?;
        if found.is_none_or(|found| found.state.is_terminal()) {
            let keys = Role::ALL.map(|role| Key::prepared(job, role));
            app.blobs.delete(&keys).await?;
        }
        Ok(())
    }

    async fn give_up(&self, job: JobId, error: JobError) -> Result<(), PrepareError> {
        tracing::info!(%job, name = error.name.as_str(), "a job's inputs cannot be used");
        let app = &self.app;
        app.store.end_job(job, error, app.clock.now()).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use super::*;

    /// The lease of a preparation that takes long runs out, and its job is claimed again.
    #[test]
    fn a_job_is_prepared_once_at_a_time() {
        let (tell, told) = mpsc::channel();
        // On a thread of its own: who waits for a lock that it holds never comes back.
        thread::spawn(move || {
            let (jobs, job) = (Arc::default(), JobId::from_bytes([1; 12]));
            let mark = || UnderWay::mark(&jobs, job);
            let first = mark();
            let again = [mark().is_some(), mark().is_some()];
            drop(first);
            tell.send((again, mark().is_some())).unwrap();
        });
        let marked = told.recv_timeout(Duration::from_secs(30));
        assert_eq!(marked, Ok(([false, false], true)));
    }
}
