//! Giving samples to nodes.
//!
//! [`run`] matches due samples with idle nodes and offers each attempt to its node
//! ([`offer`](mod@offer)); [`probe`] keeps the store's picture of the nodes true, and
//! [`breaker`] keeps work away from a node that fails it. Nothing here is remembered but in the
//! store: a gateway that dies between a node's 202 and its own note of it leaves a lease that
//! runs out, and the sweep asks the node.

mod breaker;
mod check;
mod client;
mod fleet;
mod form;
mod offer;
mod outcome;
mod probe;

use std::time::{Duration, SystemTime};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tryon_core::id::AttemptId;
use tryon_store::{Assignment, StoreError, Work};
use tryon_trace::{Kind, Span, TraceContext};

pub(crate) use self::{
    check::find_mask,
    fleet::{Fleet, specs},
    outcome::{Outcomes, log_end},
};
use crate::{
    error::Chain,
    pace::{Backoff, rest, until_due},
};

/// Attempts that are given out in one transaction.
const BATCH: u32 = 32;

/// The longest wait between looks for nodes that come or go.
const FLEET: Duration = Duration::from_secs(10);

/// The longest wait after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// Gives samples to nodes until it is told to stop. Attempts under way are `tasks`.
pub(crate) async fn run(outcomes: Outcomes, tasks: TaskTracker, stop: CancellationToken) {
    let mut backoff = Backoff::up_to(STORE_PAUSE);
    while !stop.is_cancelled() {
        let now = outcomes.app.clock.now();
        let pause = match claim(&outcomes).await {
            Ok(assignments) => {
                backoff.reset();
                let more = assignments.len() >= BATCH as usize;
                start(&outcomes, &tasks, assignments);
                if more {
                    continue;
                }
                until_due(&outcomes.app, Work::Dispatch, now).await
            }
            Err(error) => {
                tracing::error!(error = %Chain(&error), "due samples cannot be given to nodes");
                backoff.fail()
            }
        };
        rest(&stop, &outcomes.app.wake.dispatch, pause).await;
    }
}

async fn claim(outcomes: &Outcomes) -> Result<Vec<Assignment>, StoreError> {
    let now = outcomes.app.clock.now();
    let lease_until = now + outcomes.app.config.jobs.lease.duration();
    outcomes
        .app
        .store
        .claim_dispatch(now, lease_until, BATCH)
        .await
}

fn start(outcomes: &Outcomes, tasks: &TaskTracker, assignments: Vec<Assignment>) {
    let app = &outcomes.app;
    for assignment in assignments {
        let left = assignment.deadline.since(app.clock.now());
        let waited = app.config.jobs.deadline.duration().saturating_sub(left);
        app.metrics.count_dispatch(assignment.plan.provider, waited);
        trace_wait(&assignment, app.clock.now().since(assignment.due_at));
        let outcomes = outcomes.clone();
        tasks.spawn(async move { offer::offer(&outcomes, &assignment).await });
    }
}

/// The wait that has ended with this, as a part of the job's trace.
fn trace_wait(assignment: &Assignment, waited: Duration) {
    if tryon_trace::is_on() {
        let began = SystemTime::now() - waited;
        let trace = assignment.trace.as_deref().and_then(TraceContext::parse);
        let span = Span::since(began, trace.as_ref(), "queue", Kind::Consumer);
        name_attempt(&span, assignment.attempt);
        span.set("tryon.provider", assignment.plan.provider.as_str());
    }
}

/// Says which attempt a span is about.
pub(crate) fn name_attempt(span: &Span, attempt: AttemptId) {
    if tryon_trace::is_on() {
        span.set("tryon.job.id", attempt.sample.job.to_string());
        span.set("tryon.sample", i64::from(attempt.sample.index));
        span.set("tryon.attempt", i64::from(attempt.number));
    }
}

/// Follows the nodes that come and go until it is told to stop.
pub(crate) async fn follow_nodes(outcomes: Outcomes, stop: CancellationToken) {
    let mut backoff = Backoff::up_to(STORE_PAUSE);
    let mut pause = Duration::ZERO;
    while rest(&stop, &outcomes.app.wake.nodes, pause).await {
        pause = match outcomes.refresh_fleet().await {
            Ok(()) => {
                backoff.reset();
                FLEET
            }
            Err(error) => {
                tracing::error!(error = %Chain(&error), "the nodes cannot be looked up");
                backoff.fail()
            }
        };
    }
}
