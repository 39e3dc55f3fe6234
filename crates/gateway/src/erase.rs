//! Erasing what there is of a job or of an end user.
//!
//! Each step is in the store before the next one is taken: the erasure, the pictures that were
//! found, and that they are gone. Whoever is killed in between leaves an erasure that falls due, and
//! the sweep, or whoever asks again, goes on with it.

use std::time::Duration;

use tokio::time::Instant;
use tryon_blob::BlobError;
use tryon_core::{
    error::{JobError, JobErrorCode},
    id::{AccountId, ErasureId, JobId},
};
use tryon_store::{Erasure, NewErasure, StoreError, Subject};

use crate::{app::App, dispatch::Outcomes, error::Chain, failpoint};

/// Jobs that are erased in one go.
const BATCH: u32 = 50;

/// How long an erasure is left to whoever works on it.
const LEASE: Duration = Duration::from_secs(30);

/// How long the sweep stays at one erasure, so that one of many jobs does not keep the others.
const TURN: Duration = Duration::from_secs(20);

/// Why something is not erased yet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EraseError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// Begins to erase, unless that was begun before; `None` when the account has no such job.
pub(crate) async fn begin(
    app: &App,
    account: AccountId,
    subject: Subject,
) -> Result<Option<ErasureId>, StoreError> {
    let now = app.clock.now();
    let new = NewErasure {
        id: app.random.erasure_id(),
        account,
        subject,
    };
    app.store.begin_erasure(new, now + LEASE, now).await
}

/// Erases until nothing is left, or for about as long as this: then the sweep does the rest.
pub(crate) async fn carry_out(
    outcomes: &Outcomes,
    id: ErasureId,
    within: Duration,
) -> Result<Option<Erasure>, EraseError> {
    let app = &outcomes.app;
    let begun = Instant::now();
    loop {
        let due_at = app.clock.now() + LEASE;
        let jobs = app.store.claim_erasure(id, BATCH, due_at).await?;
        erase_jobs(outcomes, &jobs).await?;
        let now = app.clock.now();
        // What was on its way meanwhile has come by then, or been given up.
        let again = now + app.config.jobs.orphan_age.duration();
        let erasure = app.store.finish_erasure(id, again, now).await?;
        let done = erasure.as_ref().is_none_or(|it| it.finished_at.is_some());
        if done || begun.elapsed() > within {
            return Ok(erasure);
        }
    }
}

/// Each whatever became of the others: no picture that cannot be erased keeps the rest.
async fn erase_jobs(outcomes: &Outcomes, jobs: &[JobId]) -> Result<(), EraseError> {
    let mut first = Ok(());
    for job in jobs {
        if let Err(error) = erase_job(outcomes, *job).await {
            tracing::warn!(%job, error = %Chain(&error), "a job is erased later");
            first = first.and(Err(error));
        }
    }
    first
}

async fn erase_job(outcomes: &Outcomes, job: JobId) -> Result<(), EraseError> {
    let app = &outcomes.app;
    // Also before it ends: the sweep may then be the first to delete its inputs.
    note_pictures(app, job).await?;
    cancel(outcomes, job).await?;
    note_pictures(app, job).await?;
    app.blobs.erase_job(job).await?;
    failpoint::reach("gateway::during-erasure").await;
    app.store.forget_job(job, app.clock.now()).await?;
    tracing::info!(%job, "erased");
    Ok(())
}

/// Notes for the receipt which pictures there are, besides those that were noted.
async fn note_pictures(app: &App, job: JobId) -> Result<(), EraseError> {
    let pictures = app.blobs.list_job(job).await?;
    let keys: Vec<_> = pictures.iter().map(ToString::to_string).collect();
    app.store.note_pictures(job, &keys).await?;
    Ok(())
}

async fn cancel(outcomes: &Outcomes, job: JobId) -> Result<(), StoreError> {
    let nodes = outcomes.app.store.list_nodes().await?;
    let error = JobError::new(JobErrorCode::Cancelled, "the job was erased");
    outcomes.end_job(job, error, &nodes).await
}

/// Goes on with an erasure that fell due: with one that was cut short, or once more with a finished
/// one, for pictures that were on their way when it was done.
pub(crate) async fn resume(outcomes: &Outcomes, erasure: &Erasure) -> Result<(), EraseError> {
    if erasure.finished_at.is_none() {
        carry_out(outcomes, erasure.id, TURN).await?;
        return Ok(());
    }
    let (app, mut after) = (&outcomes.app, None);
    loop {
        let jobs = app.store.list_erased_jobs(erasure.id, after, BATCH).await?;
        for job in &jobs {
            app.blobs.erase_job(*job).await?;
        }
        let Some(last) = jobs.last() else { break };
        after = Some(*last);
    }
    app.store.close_erasure(erasure.id).await?;
    Ok(())
}
