//! What becomes of a report.

use std::time::Duration;

use bytes::Bytes;
use tryon_blob::Key;
use tryon_core::{
    error::{JobError, JobErrorCode},
    id::AttemptId,
};
use tryon_picture::Limits;
use tryon_store::{Job, Node, Output, Sample, Settled, StoreError};
use tryon_trace::{Kind, Span, TraceContext, Traced as _};

use super::{
    failure::Failure,
    form::Report,
    image::{self, Wanted},
};
use crate::{
    dispatch::{Outcomes, log_end, name_attempt},
    error::{ApiError, Chain},
    failpoint,
    metric::ResultOutcome,
};

/// The longest name of a model's version, in characters.
const LONGEST_VERSION: usize = 100;

/// An attempt whose sample has not ended.
struct Open {
    attempt: AttemptId,
    job: Job,
    /// The number of the sample's latest attempt.
    latest: u32,
    /// The node that works on this attempt, as the store sees it.
    node: Option<Node>,
}

/// Settles a report. Nothing happens for one that comes twice, too late or for what is unknown.
pub(super) async fn settle(outcomes: &Outcomes, report: Report) -> Result<(), ApiError> {
    let metrics = &outcomes.app.metrics;
    let Some(open) = find_open(outcomes, &report.job_id).await? else {
        metrics.count_result(ResultOutcome::PassedOver);
        return Ok(());
    };
    // A node of another make says nothing of a trace, or something of its own.
    let trace = open.job.trace.as_deref().and_then(TraceContext::parse);
    let trace = TraceContext::current_within(trace);
    let span = Span::of(trace.as_ref(), "settle", Kind::Internal);
    name_attempt(&span, open.attempt);
    let settled = settle_open(outcomes, open, report).traced(&span).await;
    if settled.is_err() {
        span.fail("it is offered again");
    }
    settled
}

async fn settle_open(outcomes: &Outcomes, open: Open, report: Report) -> Result<(), ApiError> {
    match report.image {
        // An error beside a picture would be a picture that the node takes back.
        Some(file) if report.failure.error.is_none() => {
            let output = Delivered {
                file,
                model_version: report.model_version,
                inference_ms: report.inference_ms,
            };
            deliver(outcomes, open, output).await?;
        }
        _ => fail(outcomes, &open, report.failure.understand()).await?,
    }
    Ok(())
}

fn count(outcomes: &Outcomes, outcome: ResultOutcome) {
    outcomes.app.metrics.count_result(outcome);
    tryon_trace::note("tryon.outcome", outcome.as_str());
}

/// The attempt of this name, if its sample still waits for an end. Asked before the picture is
/// worked on: most results that come twice cost no more than this.
async fn find_open(outcomes: &Outcomes, name: &str) -> Result<Option<Open>, StoreError> {
    let Ok(attempt) = name.parse::<AttemptId>() else {
        tracing::warn!("a result for something that is no attempt of ours was passed over");
        return Ok(None);
    };
    let job = outcomes.app.store.find_job(attempt.sample.job).await?;
    let found = job.and_then(|job| Some((find_sample(&job, attempt)?.clone(), job)));
    let Some((sample, job)) = found else {
        tracing::warn!(%attempt, "a result for an unknown attempt was passed over");
        return Ok(None);
    };
    if sample.state.is_terminal() {
        tracing::info!(%attempt, "a result for what had ended was passed over");
        return Ok(None);
    }
    let node = outcomes.app.store.find_node_at_work(attempt).await?;
    Ok(Some(Open {
        attempt,
        job,
        latest: sample.attempt,
        node,
    }))
}

fn find_sample(job: &Job, attempt: AttemptId) -> Option<&Sample> {
    let mut samples = job.samples.iter();
    let sample = samples.find(|sample| sample.id == attempt.sample)?;
    (attempt.number <= sample.attempt).then_some(sample)
}

/// A picture as it came.
struct Delivered {
    file: Bytes,
    model_version: String,
    inference_ms: u64,
}

async fn deliver(outcomes: &Outcomes, open: Open, delivered: Delivered) -> Result<(), ApiError> {
    let (app, attempt) = (&outcomes.app, open.attempt);
    let format = open.job.request.output_format;
    let wanted = Wanted {
        format,
        provider: open.job.plan.provider,
        limits: Limits {
            max_bytes: app.config.limits.body_bytes as u64,
            ..Limits::default()
        },
    };
    let file = delivered.file;
    let finished = app.darkroom.run(move || image::finish(file, wanted)).await;
    let file = match finished {
        Ok(Ok(file)) => file,
        Ok(Err(error)) => return unreadable(outcomes, &open, &error).await,
        Err(panic) => return unreadable(outcomes, &open, &panic).await,
    };
    let key = Key::output(attempt, format);
    // The same attempt may be delivered twice at once, or again after a crash, with other bytes:
    // those that were there first stay, so that none are replaced that a link already opens.
    if !app.blobs.put_new(&key, file).await? {
        tracing::info!(%attempt, "a picture of this attempt is there already and stays");
    }
    failpoint::reach("gateway::during-callback").await;
    let output = Output {
        key: key.to_string(),
        format,
        model_version: delivered
            .model_version
            .chars()
            .take(LONGEST_VERSION)
            .collect(),
        inference_ms: delivered.inference_ms,
    };
    let rival = find_rival(outcomes, &open).await?;
    let settled = app
        .store
        .complete_sample(attempt, output, app.clock.now())
        .await?;
    let Settled::Recorded { job_end } = settled else {
        count(outcomes, ResultOutcome::PassedOver);
        return erase_unwanted(outcomes, attempt, key).await;
    };
    failpoint::reach("gateway::after-settlement").await;
    tracing::info!(%attempt, "an image was delivered");
    let took = Duration::from_millis(delivered.inference_ms);
    count(outcomes, ResultOutcome::Delivered);
    app.metrics.count_picture(open.job.plan.provider, took);
    if let Some(node) = &open.node {
        app.node_times.note(&node.name, took);
    }
    log_end(attempt.sample.job, job_end.as_ref());
    reward(outcomes, &open, rival).await;
    Ok(())
}

/// The node that works on a later attempt at the same sample, which an earlier one's image ends.
async fn find_rival(outcomes: &Outcomes, open: &Open) -> Result<Option<Node>, StoreError> {
    if open.attempt.number == open.latest {
        return Ok(None);
    }
    let latest = open.attempt.sample.attempt(open.latest);
    outcomes.app.store.find_node_at_work(latest).await
}

/// What follows from an image for the nodes: a row of faults has ended, and another need not go
/// on. Nothing of it is needed for the job, which has its image.
async fn reward(outcomes: &Outcomes, open: &Open, rival: Option<Node>) {
    if let Some(node) = open.node.as_ref().filter(|node| node.faults > 0)
        && let Err(error) = outcomes.app.store.clear_node_faults(&node.name).await
    {
        tracing::warn!(node = node.name, error = %Chain(&error), "a node's faults stay counted");
    }
    if let Some(node) = rival {
        outcomes.cancel(&node.name, open.attempt.sample.attempt(open.latest));
    }
}

/// The sample ended while its picture was stored. The picture goes, unless it is the one that
/// ended the sample: the same result may have come twice at once, and both have the same key. A
/// sample that has ended stays so, and no other result can come to need what is erased.
async fn erase_unwanted(outcomes: &Outcomes, attempt: AttemptId, key: Key) -> Result<(), ApiError> {
    let app = &outcomes.app;
    let name = key.to_string();
    let job = app.store.find_job(attempt.sample.job).await?;
    let sample = job.as_ref().and_then(|job| find_sample(job, attempt));
    let kept = sample.and_then(|sample| sample.output.as_ref());
    if kept.is_none_or(|kept| kept.key != name) {
        app.blobs.delete(&[key]).await?;
    }
    Ok(())
}

/// A node that delivers what is no picture has failed, and would deliver the same again.
async fn unreadable(
    outcomes: &Outcomes,
    open: &Open,
    error: &(dyn std::error::Error + Sync),
) -> Result<(), ApiError> {
    tracing::error!(attempt = %open.attempt, error = %Chain(&error), "a node delivered what cannot be read");
    let message = "the node delivered a picture that cannot be read; submit the job again";
    let failure = Failure {
        error: JobError::new(JobErrorCode::ProcessingError, message),
        retryable: true,
    };
    fail(outcomes, open, failure).await
}

async fn fail(outcomes: &Outcomes, open: &Open, failure: Failure) -> Result<(), ApiError> {
    let (app, attempt) = (&outcomes.app, open.attempt);
    let Failure { error, retryable } = failure;
    count(outcomes, ResultOutcome::Failed);
    tryon_trace::note("tryon.error", error.name.as_str());
    app.metrics
        .count_failure(open.job.plan.provider, error.name);
    tracing::warn!(%attempt, name = error.name.as_str(), retryable, "an attempt failed");
    // Other failures are the pictures' fault.
    let is_nodes = retryable || error.name == JobErrorCode::PipelineError;
    if let Some(node) = open.node.as_ref().filter(|_| is_nodes) {
        outcomes.fault(&node.name).await?;
    }
    if retryable {
        outcomes
            .lose(attempt, app.config.jobs.max_lost, error)
            .await?;
        return Ok(());
    }
    let settled = app
        .store
        .fail_sample(attempt, error, app.clock.now())
        .await?;
    if let Settled::Recorded { job_end } = settled {
        failpoint::reach("gateway::after-settlement").await;
        log_end(attempt.sample.job, job_end.as_ref());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ::image::{Rgba, RgbaImage};
    use tokio_util::{sync::CancellationToken, task::TaskTracker};
    use tryon_blob::Folder;
    use tryon_core::time::Timestamp;
    use tryon_picture::encode_png;

    use super::*;
    use crate::{
        app::App,
        dispatch::Fleet,
        tests::{Stage, clothes},
    };

    fn delivered(width: u32) -> Delivered {
        let picture = RgbaImage::from_pixel(width, 20, Rgba([200, 100, 50, 255]));
        Delivered {
            file: encode_png(&picture, &[]).unwrap().into(),
            model_version: "1".to_owned(),
            inference_ms: 7,
        }
    }

    fn outcomes(app: Arc<App>) -> Outcomes {
        let fleet = Fleet::new(&app.config, TaskTracker::new(), CancellationToken::new());
        let fleet = Arc::new(fleet.unwrap());
        Outcomes { app, fleet }
    }

    async fn outputs(stage: &Stage) -> Vec<(Key, Bytes)> {
        let future = Timestamp::from_millis(i64::MAX);
        let keys = stage.blobs.list(Folder::Outputs, future).await.unwrap();
        let mut outputs = Vec::new();
        for key in keys {
            let file = stage.blobs.get(&key).await.unwrap().unwrap();
            outputs.push((key, file));
        }
        outputs
    }

    #[tokio::test]
    async fn of_two_deliveries_at_once_the_first_stays_as_it_was_served() {
        let mut stage = Stage::start(|_| {}).await;
        stage.submit(clothes()).await;
        let attempt = stage.attempt().await;
        let app = Arc::clone(stage.gateway.app());
        let outcomes = outcomes(app);
        // Both find the sample open before either has a picture to show.
        let first = find_open(&outcomes, &attempt).await.unwrap().unwrap();
        let second = find_open(&outcomes, &attempt).await.unwrap().unwrap();
        deliver(&outcomes, first, delivered(30)).await.unwrap();
        let served = outputs(&stage).await;
        assert_eq!(served.len(), 1);
        deliver(&outcomes, second, delivered(40)).await.unwrap();
        assert_eq!(outputs(&stage).await, served);
        assert_eq!(stage.credits().await, 9);
    }

    #[tokio::test]
    async fn a_picture_that_a_crash_left_is_the_one_that_is_settled() {
        let mut stage = Stage::start(|_| {}).await;
        let id = stage.submit(clothes()).await;
        let attempt = stage.attempt().await;
        let app = Arc::clone(stage.gateway.app());
        let outcomes = outcomes(app);
        let open = find_open(&outcomes, &attempt).await.unwrap().unwrap();
        let key = Key::output(open.attempt, open.job.request.output_format);
        let left = Bytes::from_static(b"left behind");
        stage.blobs.put(&key, left.clone()).await.unwrap();
        deliver(&outcomes, open, delivered(30)).await.unwrap();
        assert_eq!(outputs(&stage).await, [(key, left)]);
        let job = outcomes.app.store.find_job(id.parse().unwrap()).await;
        let output = job.unwrap().unwrap().samples[0].output.clone().unwrap();
        assert_eq!(output.key, key.to_string());
    }
}
