//! Jobs that somebody waits for.
//!
//! Whoever follows a job is told of it here and asks nobody else: however many follow, a gateway
//! looks into the store and asks nodes only so often, for all of them together. Nobody follows for
//! another gateway, so nothing has to be told between them: a node that works on a followed job is
//! asked how far it is, and one that nobody follows is left in peace. A follower that is lost with
//! its gateway follows anew at another.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tryon_api::node::StepCount;
use tryon_core::{
    id::{AccountId, AttemptId, JobId, SampleId},
    job::{JobState, SampleState},
};
use tryon_store::{Job, Sample, StoreError};

use crate::{
    app::App,
    error::Chain,
    pace::{POLL, rest},
};

mod estimate;
pub(crate) mod place;
pub(crate) mod step;

/// The shortest time between two looks into the store, however much changes in it.
const GAP: Duration = Duration::from_millis(200);

/// Jobs that are looked up together.
const BATCH: usize = 500;

/// How a followed job stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Standing {
    /// The job.
    pub(crate) job: Arc<Job>,
    /// Where its first sample that waits has its place.
    pub(crate) place: Option<Place>,
    /// What nodes say of the samples that they work on.
    pub(crate) steps: BTreeMap<SampleId, Steps>,
}

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Samples before it.
    pub(crate) ahead: u32,
    /// How long until the last of the job's samples has ended, where that can be told.
    pub(crate) remaining: Option<Duration>,
}

/// What a node says of a sample that it works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Steps {
    /// How far it is.
    pub(crate) count: Option<StepCount>,
    /// How long it expects to take.
    pub(crate) remaining: Option<Duration>,
}

impl Standing {
    /// One of which nothing is known but the job.
    pub(crate) fn new(job: Job) -> Self {
        Self {
            job: Arc::new(job),
            place: None,
            steps: BTreeMap::new(),
        }
    }

    /// Notes how the job stands now. False when that is as before.
    fn note_job(&mut self, job: Job) -> bool {
        if *self.job == job {
            return false;
        }
        self.job = Arc::new(job);
        let at_work = at_work(&self.job);
        let still =
            |sample: &SampleId| at_work.iter().any(|(attempt, _)| attempt.sample == *sample);
        self.steps.retain(|sample, _| still(sample));
        if find_waiting(&self.job).is_none() {
            self.place = None;
        }
        true
    }
}

/// The attempts of a job that nodes have, and which nodes.
fn at_work(job: &Job) -> Vec<(AttemptId, String)> {
    let at_work = job.samples.iter().filter_map(|sample| {
        let node = sample.node.clone()?;
        Some((sample.id.attempt(sample.attempt), node))
    });
    at_work.collect()
}

/// The first and the last sample of a job that wait for a node: they may be the same.
fn find_waiting(job: &Job) -> Option<(SampleId, SampleId)> {
    if !matches!(job.state, JobState::Prepared | JobState::Running) {
        return None;
    }
    let waits = |sample: &&Sample| sample.state == SampleState::Queued;
    let first = job.samples.iter().find(waits)?;
    let last = job.samples.iter().rfind(waits)?;
    Some((first.id, last.id))
}

/// The jobs that are followed at this gateway.
#[derive(Debug, Default)]
pub(crate) struct Following {
    jobs: Mutex<HashMap<JobId, watch::Sender<Standing>>>,
    /// How many each account follows with.
    places: Mutex<HashMap<AccountId, u32>>,
    /// Rung when there is something to look at.
    pub(crate) bell: Notify,
}

impl Following {
    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, watch::Sender<Standing>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows a job that stands like this. The receiver is told what is known, then of changes, and
    /// last of the end, with which its sender is gone.
    pub(crate) fn follow(&self, job: Job) -> watch::Receiver<Standing> {
        let mut jobs = self.lock();
        let sender = jobs
            .entry(job.id)
            .or_insert_with(|| watch::channel(Standing::new(job)).0);
        let mut receiver = sender.subscribe();
        // Others may have learned more of it already.
        receiver.mark_changed();
        drop(jobs);
        self.bell.notify_one();
        receiver
    }

    /// Takes a place among the followers of an account, which may have `limit` of them.
    pub(crate) fn admit(self: &Arc<Self>, account: AccountId, limit: u32) -> Option<Admission> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = places.entry(account).or_default();
        if *taken >= limit {
            return None;
        }
        *taken += 1;
        Some(Admission {
            following: Arc::clone(self),
            account,
        })
    }

    /// Those that somebody follows. The others are not looked at any more.
    fn followed(&self) -> Vec<JobId> {
        let mut jobs = self.lock();
        jobs.retain(|_, sender| sender.receiver_count() > 0);
        jobs.keys().copied().collect()
    }

    /// How many jobs are followed.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// What is taken of every followed job.
    fn collect<T>(&self, mut take: impl FnMut(&Standing) -> Option<T>) -> Vec<T> {
        let jobs = self.lock();
        jobs.values()
            .filter_map(|sender| take(&sender.borrow()))
            .collect()
    }

    /// Changes how a followed job stands; `change` answers whether it did.
    fn note(&self, job: JobId, change: impl FnOnce(&mut Standing) -> bool) {
        if let Some(sender) = self.lock().get(&job) {
            sender.send_if_modified(change);
        }
    }

    /// Notes how these jobs stand, of those that were `asked` for.
    fn note_jobs(&self, asked: &[JobId], found: Vec<Job>) {
        let mut over: HashSet<JobId> = asked.iter().copied().collect();
        for job in found {
            let id = job.id;
            if !job.state.is_terminal() {
                over.remove(&id);
            }
            self.note(id, |standing| standing.note_job(job));
        }
        let mut jobs = self.lock();
        for id in over {
            jobs.remove(&id);
        }
    }
}

/// A place among the followers of an account, until it is dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    following: Arc<Following>,
    account: AccountId,
}

impl Drop for Admission {
    fn drop(&mut self) {
        let places = self.following.places.lock();
        let mut places = places.unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = places.get_mut(&self.account) {
            *taken -= 1;
            if *taken == 0 {
                places.remove(&self.account);
            }
        }
    }
}

/// How the job that `receiver` follows stands once that is not as before; `None` once there is
/// nothing more to come, or the gateway is about to end.
pub(crate) async fn next(app: &App, receiver: &mut watch::Receiver<Standing>) -> Option<Standing> {
    let changed = app.draining.run_until_cancelled(receiver.changed());
    changed.await?.ok()?;
    Some(receiver.borrow_and_update().clone())
}

/// Waits until a job has ended, at most so long. Answers how it stands then.
pub(crate) async fn wait(app: &App, job: Job, patience: Duration) -> Job {
    if job.state.is_terminal() {
        return job;
    }
    let mut receiver = app.following.follow(job);
    let ended = async {
        while next(app, &mut receiver)
            .await
            .is_some_and(|it| !it.job.state.is_terminal())
        {}
    };
    // Late or not, it stands as it stands.
    let _ = tokio::time::timeout(patience, ended).await;
    Job::clone(&receiver.borrow().job)
}

/// Looks at the followed jobs whenever something changed, and now and then besides.
pub(crate) async fn run(app: Arc<App>, stop: CancellationToken) {
    loop {
        if let Err(error) = look(&app).await {
            tracing::warn!(error = %Chain(&error), "followed jobs cannot be looked at");
        }
        tokio::time::sleep(GAP).await;
        if !rest(&stop, &app.following.bell, POLL).await {
            return;
        }
    }
}

async fn look(app: &App) -> Result<(), StoreError> {
    let followed = app.following.followed();
    for asked in followed.chunks(BATCH) {
        let found = app.store.find_jobs(asked).await?;
        app.following.note_jobs(asked, found);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_follows_with_so_many_at_a_time() {
        let following = Arc::new(Following::default());
        let [one, other] = [1, 2].map(|byte| AccountId::from_bytes([byte; 12]));
        let first = following.admit(one, 2).unwrap();
        let second = following.admit(one, 2).unwrap();
        assert!(following.admit(one, 2).is_none());
        let others = following.admit(other, 2);
        drop(first);
        assert!(following.admit(one, 2).is_some());
        drop((second, others));
        assert!(following.places.lock().unwrap().is_empty());
    }
}
