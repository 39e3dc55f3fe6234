//! How far nodes are with followed jobs.
//!
//! A node is asked, and need not tell: what it is asked for it answers in milliseconds whatever its
//! device does.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tryon_api::node::GpuStatus;
use tryon_core::id::AttemptId;

use super::{Steps, at_work};
use crate::dispatch::Outcomes;

/// The time between two questions to a node.
const PAUSE: Duration = Duration::from_millis(500);

/// How long a node may take to answer: one that does not is asked again.
const PATIENCE: Duration = Duration::from_secs(1);

/// Nodes that are asked at the same time.
const ASKED: usize = 32;

/// Asks the nodes that work on followed jobs, again and again.
pub(crate) async fn run(outcomes: Outcomes, stop: CancellationToken) {
    loop {
        let attempts = outcomes.app.following.collect(|it| Some(at_work(&it.job)));
        stream::iter(attempts.into_iter().flatten())
            .for_each_concurrent(ASKED, |(attempt, node)| ask(&outcomes, attempt, node))
            .await;
        let slept = tokio::time::sleep(PAUSE);
        if stop.run_until_cancelled(slept).await.is_none() {
            return;
        }
    }
}

async fn ask(outcomes: &Outcomes, attempt: AttemptId, node: String) {
    let Some(member) = outcomes.fleet.find(&node) else {
        return;
    };
    let Ok(Ok(Some(steps))) = timeout(PATIENCE, member.client.progress(attempt)).await else {
        return;
    };
    let sample = attempt.sample;
    outcomes.app.following.note(sample.job, |standing| {
        let still = at_work(&standing.job).iter().any(|(it, _)| *it == attempt);
        still && standing.steps.insert(sample, steps) != Some(steps)
    });
}

impl From<GpuStatus> for Steps {
    fn from(status: GpuStatus) -> Self {
        Self {
            count: status.progress,
            remaining: status.eta_ms.map(Duration::from_millis),
        }
    }
}
