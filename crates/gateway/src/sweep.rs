//! What falls due: leases, deadlines, and pictures that nobody may keep.
//!
//! Time never captures credits. A lease that ran out has its node asked, and the sample queued
//! again if the node knows nothing; a deadline ends the job and releases what was not delivered.
//! Everything is found by what the store says, never by what this process remembers, so that it
//! does not matter which process began it. Of several gateways on one store, one sweeps.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tryon_blob::{BlobError, Folder, Key, ParseKeyError, Role};
use tryon_core::{
    error::{JobError, JobErrorCode},
    id::JobId,
    time::Timestamp,
};
use tryon_store::{Erasable, ExpiredLease, Node, NodeState, StoreError, Work};

use crate::{
    app::App,
    dispatch::Outcomes,
    erase::{self, EraseError},
    error::Chain,
    pace::{Backoff, rest, until_due},
    upload,
};

/// What is looked at in one go.
const BATCH: u32 = 100;

/// Nodes that are asked at the same time.
const QUESTIONS: usize = 16;

/// The longest wait after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// What is forgotten in one transaction.
const FORGOTTEN: u32 = 500;

/// How often a gateway asks whether another one sweeps no more.
const TURN: Duration = Duration::from_secs(5);

/// The longest wait between looks for pictures without a job.
const ORPHANS: Duration = Duration::from_hours(1);

/// What could not be swept now.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Key(#[from] ParseKeyError),
    #[error(transparent)]
    Erase(#[from] EraseError),
}

/// Sweeps deadlines and pictures until it is told to stop.
pub(crate) async fn run(outcomes: Outcomes, stop: CancellationToken) {
    let bell = &outcomes.app.wake.sweep;
    repeat(&outcomes, (Work::Deadlines, bell), &stop, || {
        sweep(&outcomes)
    })
    .await;
}

/// Sweeps leases until it is told to stop. Apart from the rest, because it waits for nodes to
/// answer, and deadlines do not.
pub(crate) async fn run_leases(outcomes: Outcomes, stop: CancellationToken) {
    // Nobody rings: leases are known when they are given.
    let bell = Notify::new();
    repeat(&outcomes, (Work::Leases, &bell), &stop, || {
        sweep_leases(&outcomes)
    })
    .await;
}

/// Does rounds until it is told to stop: at once while there is more to do, otherwise when
/// something falls due. While another gateway sweeps, it only asks for the turn.
async fn repeat<F>(
    outcomes: &Outcomes,
    (work, bell): (Work, &Notify),
    stop: &CancellationToken,
    mut round: impl FnMut() -> F,
) where
    F: Future<Output = Result<bool, SweepError>>,
{
    let mut backoff = Backoff::up_to(STORE_PAUSE);
    while !stop.is_cancelled() {
        let now = outcomes.app.clock.now();
        let swept = match outcomes.app.store.may_sweep().await {
            Ok(true) => round().await,
            Ok(false) => {
                rest(stop, &Notify::new(), TURN).await;
                continue;
            }
            Err(error) => Err(error.into()),
        };
        let pause = match swept {
            Ok(true) => continue,
            Ok(false) => {
                backoff.reset();
                until_due(&outcomes.app, work, now).await
            }
            Err(error) => {
                tracing::error!(error = %Chain(&error), "what fell due is swept later");
                backoff.fail()
            }
        };
        rest(stop, bell, pause).await;
    }
}

/// One round. True when there is more to do.
async fn sweep(outcomes: &Outcomes) -> Result<bool, SweepError> {
    // Each whatever became of the others: no picture that cannot be erased keeps a deadline.
    let overdue = sweep_overdue(outcomes).await;
    let inputs = sweep_inputs(outcomes).await;
    let outputs = sweep_outputs(outcomes).await;
    let nodes = sweep_nodes(outcomes).await;
    nodes?;
    Ok(overdue? | inputs? | outputs?)
}

/// What became of several things that are done whatever becomes of the others: the first failure,
/// if there is one. The others are logged.
#[derive(Default)]
struct All(Option<SweepError>);

impl All {
    fn note(&mut self, result: Result<(), impl Into<SweepError>>) {
        match (result.map_err(Into::into), &self.0) {
            (Ok(()), _) => {}
            (Err(error), None) => self.0 = Some(error),
            (Err(error), Some(_)) => tracing::error!(error = %Chain(&error), "more is swept later"),
        }
    }

    fn done(self) -> Result<(), SweepError> {
        self.0.map_or(Ok(()), Err)
    }
}

fn is_full<T>(found: &[T]) -> bool {
    found.len() >= BATCH as usize
}

// ── leases ─────────────────────────────────────────────────────────────────────────────────────

async fn sweep_leases(outcomes: &Outcomes) -> Result<bool, SweepError> {
    let app = &outcomes.app;
    let expired = app
        .store
        .list_expired_leases(app.clock.now(), BATCH)
        .await?;
    let more = is_full(&expired);
    let resolved = stream::iter(expired)
        .map(|lease| async move { resolve(outcomes, &lease).await })
        .buffer_unordered(QUESTIONS)
        .collect::<Vec<_>>()
        .await;
    let mut all = All::default();
    for result in resolved {
        all.note(result);
    }
    all.done()?;
    Ok(more)
}

/// Asks the node what became of an attempt. Its result may be on its way all the same: an image
/// counts whenever it comes before its sample has ended.
async fn resolve(outcomes: &Outcomes, lease: &ExpiredLease) -> Result<(), StoreError> {
    let ExpiredLease { attempt, node, .. } = lease;
    let works = match outcomes.find_member(node).await? {
        Some(member) => member.client.works_on(*attempt).await,
        // It was taken out of the configuration.
        None => Ok(false),
    };
    match works {
        Ok(true) => {
            let lease_until = outcomes.app.clock.now() + outcomes.app.config.jobs.lease.duration();
            let store = &outcomes.app.store;
            return store.confirm_running(*attempt, lease_until).await.map(drop);
        }
        Ok(false) => tracing::warn!(%attempt, node, "a node knows nothing of its attempt"),
        Err(error) => {
            tracing::warn!(%attempt, node, error = %Chain(&error), "a node does not say what it works on");
            outcomes.fault(node).await?;
            outcomes.demote(node, NodeState::Unreachable).await?;
        }
    }
    outcomes.lose_without_trace(*attempt).await.map(drop)
}

// ── deadlines ──────────────────────────────────────────────────────────────────────────────────

async fn sweep_overdue(outcomes: &Outcomes) -> Result<bool, SweepError> {
    let app = &outcomes.app;
    let overdue = app.store.list_overdue_jobs(app.clock.now(), BATCH).await?;
    if overdue.is_empty() {
        return Ok(false);
    }
    let nodes = app.store.list_nodes().await?;
    let mut all = All::default();
    for job in &overdue {
        all.note(end_overdue(outcomes, *job, &nodes).await);
    }
    all.done()?;
    Ok(is_full(&overdue))
}

async fn end_overdue(outcomes: &Outcomes, job: JobId, nodes: &[Node]) -> Result<(), StoreError> {
    let seconds = outcomes.app.config.jobs.deadline.duration().as_secs_f32();
    let message = format!("the job did not end within {seconds} seconds; submit it again");
    let error = JobError::new(JobErrorCode::Timeout, message);
    outcomes.end_job(job, error, nodes).await
}

// ── nodes that registered ──────────────────────────────────────────────────────────────────────

async fn sweep_nodes(outcomes: &Outcomes) -> Result<(), SweepError> {
    let app = &outcomes.app;
    let now = app.clock.now();
    let forgotten_before = now - app.config.registration.forget_after.duration();
    let swept = app.store.sweep_nodes(now, forgotten_before).await?;
    for node in &swept.lost {
        tracing::warn!(node, "a node that registered was not heard of in time");
    }
    for node in &swept.forgotten {
        tracing::info!(node, "a node that registered is forgotten");
    }
    Ok(())
}

// ── pictures of jobs that ended ────────────────────────────────────────────────────────────────

/// Inputs go when their job ends: the pictures first, so that a crash in between leaves the mark
/// unset and not the pictures.
async fn sweep_inputs(outcomes: &Outcomes) -> Result<bool, SweepError> {
    let app = &outcomes.app;
    let erasable = app.store.list_erasable_inputs(BATCH).await?;
    let mut all = All::default();
    for Erasable { job, .. } in &erasable {
        all.note(erase_inputs(app, *job).await);
    }
    all.done()?;
    Ok(is_full(&erasable))
}

async fn erase_inputs(app: &App, job: JobId) -> Result<(), SweepError> {
    // All that can be, and not only what the store knows of: a preparation may have been
    // killed before the store heard of it.
    app.blobs.delete(&input_keys(job)).await?;
    app.store.mark_inputs_erased(job, app.clock.now()).await?;
    Ok(())
}

fn input_keys(job: JobId) -> [Key; 4] {
    let [person, garment] = Role::ALL;
    [
        Key::upload(job, person),
        Key::upload(job, garment),
        Key::prepared(job, person),
        Key::prepared(job, garment),
    ]
}

async fn sweep_outputs(outcomes: &Outcomes) -> Result<bool, SweepError> {
    let app = &outcomes.app;
    let now = app.clock.now();
    let erasable = app.store.list_erasable_outputs(now, BATCH).await?;
    let mut all = All::default();
    for erasable in &erasable {
        all.note(erase_outputs(app, erasable).await);
    }
    all.done()?;
    Ok(is_full(&erasable))
}

async fn erase_outputs(app: &App, Erasable { job, keys }: &Erasable) -> Result<(), SweepError> {
    let keys = keys.iter().map(|key| key.parse());
    let keys: Vec<Key> = keys.collect::<Result<_, _>>()?;
    app.blobs.delete(&keys).await?;
    app.store.mark_outputs_erased(*job, app.clock.now()).await?;
    tracing::info!(%job, "outputs were erased");
    Ok(())
}

// ── erasures ───────────────────────────────────────────────────────────────────────────────────

/// Goes on with erasures that were cut short until it is told to stop. Apart from the rest, because
/// one may be of many jobs, and deadlines do not wait.
pub(crate) async fn run_erasures(outcomes: Outcomes, stop: CancellationToken) {
    // Nobody rings: whoever asks for one works on it.
    let bell = Notify::new();
    repeat(&outcomes, (Work::Erasures, &bell), &stop, || {
        sweep_erasures(&outcomes)
    })
    .await;
}

async fn sweep_erasures(outcomes: &Outcomes) -> Result<bool, SweepError> {
    let app = &outcomes.app;
    let due = app.store.list_due_erasures(app.clock.now(), BATCH).await?;
    let mut all = All::default();
    for erasure in &due {
        all.note(erase::resume(outcomes, erasure).await);
    }
    all.done()?;
    Ok(is_full(&due))
}

// ── pictures without a job ─────────────────────────────────────────────────────────────────────

/// Looks for pictures without a job, at once and then at intervals, until it is told to stop.
///
/// They are left by processes that were killed: between a picture and the transaction that names
/// it, or while a picture was written.
pub(crate) async fn run_orphans(outcomes: Outcomes, stop: CancellationToken) {
    let age = outcomes.app.config.jobs.orphan_age.duration();
    let pause = age.clamp(Duration::from_secs(1), ORPHANS);
    loop {
        if let Err(error) = sweep_orphans(&outcomes).await {
            tracing::error!(error = %Chain(&error), "pictures without a job are erased later");
        }
        let slept = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        if slept.is_none() {
            return;
        }
    }
}

async fn sweep_orphans(outcomes: &Outcomes) -> Result<(), SweepError> {
    let app = &outcomes.app;
    if !app.store.may_sweep().await? {
        return Ok(());
    }
    let jobs = &app.config.jobs;
    let old = app.clock.now() - jobs.orphan_age.duration();
    for folder in [Folder::Uploads, Folder::Prepared] {
        sweep_folder(outcomes, folder, old).await?;
    }
    // An output that no sample names was never shown to anybody. It is looked for only once the
    // others of its age are erased, so that it need not be told from each of them.
    let settled = old - jobs.output_retention.duration() - jobs.deadline.duration();
    sweep_folder(outcomes, Folder::Outputs, settled).await?;
    app.blobs.erase_partial(old).await?;
    forget(app).await?;
    Ok(())
}

/// Forgets what the store has no use for any more.
async fn forget(app: &App) -> Result<(), StoreError> {
    let (store, now) = (&app.store, app.clock.now());
    while store.forget_submissions(now, FORGOTTEN).await? == u64::from(FORGOTTEN) {}
    while store.forget_sessions(now, FORGOTTEN).await? == u64::from(FORGOTTEN) {}
    while store.forget_webhooks(now, FORGOTTEN).await? == u64::from(FORGOTTEN) {}
    Ok(())
}

/// The longest wait between looks for uploads that expired.
const STAGED: Duration = Duration::from_mins(5);

/// Erases uploads that expired until it is told to stop.
pub(crate) async fn run_uploads(outcomes: Outcomes, stop: CancellationToken) {
    let life = outcomes.app.config.jobs.upload_retention.duration();
    let pause = (life / 4).clamp(Duration::from_secs(1), STAGED);
    loop {
        if let Err(error) = sweep_uploads(&outcomes.app).await {
            tracing::error!(error = %Chain(&error), "uploads that expired are erased later");
        }
        let slept = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        if slept.is_none() {
            return;
        }
    }
}

async fn sweep_uploads(app: &App) -> Result<(), SweepError> {
    if !app.store.may_sweep().await? {
        return Ok(());
    }
    let old = app.clock.now() - upload::erased_after(app);
    let expired = app.blobs.list(Folder::Staged, old).await?;
    Ok(app.blobs.delete(&expired).await?)
}

async fn sweep_folder(
    outcomes: &Outcomes,
    folder: Folder,
    old: Timestamp,
) -> Result<(), SweepError> {
    let mut all = All::default();
    for key in outcomes.app.blobs.list(folder, old).await? {
        all.note(erase_unwanted(outcomes, key).await);
    }
    all.done()
}

async fn erase_unwanted(outcomes: &Outcomes, key: Key) -> Result<(), SweepError> {
    if !is_wanted(outcomes, &key).await? {
        outcomes.app.blobs.delete(&[key]).await?;
        tracing::info!(%key, "a picture without a job was erased");
    }
    Ok(())
}

/// Whether a job still has a use for a picture: for an input while it has not ended, for an output
/// while its outputs are not erased.
async fn is_wanted(outcomes: &Outcomes, key: &Key) -> Result<bool, StoreError> {
    let job = key.job().expect("BUG: only pictures of jobs are looked at");
    let Some(job) = outcomes.app.store.find_job(job).await? else {
        return Ok(false);
    };
    Ok(match key.folder() {
        Folder::Uploads | Folder::Prepared | Folder::Staged => !job.state.is_terminal(),
        Folder::Outputs => {
            let name = key.to_string();
            let mut outputs = job
                .samples
                .iter()
                .filter_map(|sample| sample.output.as_ref());
            let named = outputs.any(|output| output.key == name);
            !job.state.is_terminal() || (named && job.outputs_erased_at.is_none())
        }
    })
}
