//! Offering an attempt to the node that was chosen for it.

use std::time::Duration;

use tryon_api::{node::field, public::picture_fields};
use tryon_core::{
    error::{JobError, JobErrorCode},
    task::Task,
    time::Timestamp,
};
use tryon_store::{Assignment, NodeState, StoreError};
use tryon_trace::{Kind, Span, TraceContext, Traced as _};

use super::{
    client::{Answer, OfferError},
    fleet::Member,
    form::{self, FormError},
    name_attempt,
    outcome::{Outcomes, log_end},
};
use crate::{error::Chain, failpoint};

/// How long a sample waits that could not be read from the storage.
const STORAGE_PAUSE: Duration = Duration::from_secs(2);

/// Offers an attempt and acts on the answer. Should the store fail, the attempt's lease runs out
/// and the sweep finds out what became of it.
pub(super) async fn offer(outcomes: &Outcomes, assignment: &Assignment) {
    let trace = assignment.trace.as_deref().and_then(TraceContext::parse);
    let span = Span::of(trace.as_ref(), "dispatch", Kind::Client);
    name_attempt(&span, assignment.attempt);
    span.set("tryon.provider", assignment.plan.provider.as_str());
    span.set("tryon.node", assignment.node.clone());
    if let Err(error) = try_offer(outcomes, assignment).traced(&span).await {
        let attempt = assignment.attempt;
        tracing::error!(%attempt, error = %Chain(&error), "what a node answered cannot be recorded");
    }
}

async fn try_offer(outcomes: &Outcomes, assignment: &Assignment) -> Result<(), StoreError> {
    let Some(member) = outcomes.find_member(&assignment.node).await? else {
        // Another gateway knows this node: it is not given up, and not ours to ask.
        tracing::error!(
            node = assignment.node,
            "this gateway cannot reach a node: give all of them the same `nodes` and the same \
             `registration`"
        );
        return defer(outcomes, assignment, STORAGE_PAUSE).await;
    };
    let pictures = match form::open(&outcomes.app.blobs, &assignment.inputs).await {
        Ok(pictures) => pictures,
        Err(error) => return no_pictures(outcomes, assignment, error).await,
    };
    let form = form::build(assignment, pictures);
    match member.client.offer(form).await {
        Ok(answer) => act(outcomes, assignment, answer).await,
        Err(error @ OfferError::NotConnected(_)) => {
            tryon_trace::note_failure("not connected");
            tracing::warn!(node = assignment.node, ?error, "a node cannot be reached");
            unreachable(outcomes, assignment).await
        }
        Err(error @ OfferError::Unanswered(_)) => {
            tryon_trace::note_failure("not answered");
            tracing::warn!(
                node = assignment.node,
                ?error,
                "a node did not answer an attempt"
            );
            unanswered(outcomes, assignment, &member).await
        }
    }
}

async fn act(
    outcomes: &Outcomes,
    assignment: &Assignment,
    answer: Answer,
) -> Result<(), StoreError> {
    let (node, store) = (assignment.node.as_str(), &outcomes.app.store);
    tracing::debug!(attempt = %assignment.attempt, node, ?answer, "a node answered");
    tryon_trace::note("tryon.answer", answer.as_str());
    if answer != Answer::Accepted {
        tryon_trace::note_failure("not accepted");
    }
    match answer {
        Answer::Accepted => confirm(outcomes, assignment).await,
        Answer::Busy { retry_after } => {
            store.hold_node(node, now(outcomes) + retry_after).await?;
            defer(outcomes, assignment, Duration::ZERO).await
        }
        Answer::Loading => {
            outcomes.demote(node, NodeState::NotReady).await?;
            defer(outcomes, assignment, Duration::ZERO).await
        }
        Answer::Unauthorized => {
            tracing::error!(
                node,
                "a node refuses our token: set `nodes[].token`, or `registration.node_token` where \
                 it registered, to its own"
            );
            outcomes.demote(node, NodeState::Quarantined).await?;
            defer(outcomes, assignment, Duration::ZERO).await
        }
        Answer::UnknownProvider { detail } => unknown_provider(outcomes, assignment, &detail).await,
        Answer::Refused { detail } => {
            let detail = in_the_clients_words(&detail, assignment.request.options.task());
            let error = JobError::new(JobErrorCode::InputValidationError, detail);
            fail(outcomes, assignment, error).await
        }
        Answer::Failed { status } => {
            tracing::warn!(node, %status, "a node failed an attempt");
            outcomes.fault(node).await?;
            outcomes
                .lose_without_trace(assignment.attempt)
                .await
                .map(drop)
        }
        Answer::NoNode { status } => {
            tracing::error!(node, %status, "there is no node at this address: check `nodes[].url`, or its own \
             `registration.advertise_url`");
            unreachable(outcomes, assignment).await
        }
    }
}

/// A node names the fields of its own form, which the client does not know.
fn in_the_clients_words(detail: &str, task: Task) -> String {
    let (person, garment) = picture_fields(task);
    let named = detail.replace(field::GARMENT, garment);
    named.replace(field::PERSON, person)
}

async fn confirm(outcomes: &Outcomes, assignment: &Assignment) -> Result<(), StoreError> {
    failpoint::reach("gateway::after-202").await;
    let lease_until = now(outcomes) + outcomes.app.config.jobs.lease.duration();
    // False when the result was faster than this, or the job ended meanwhile.
    outcomes
        .app
        .store
        .confirm_running(assignment.attempt, lease_until)
        .await
        .map(drop)
}

/// Queues the sample again: the node did not take it, and that is nobody's fault.
async fn defer(
    outcomes: &Outcomes,
    assignment: &Assignment,
    pause: Duration,
) -> Result<(), StoreError> {
    let due = now(outcomes) + pause;
    outcomes
        .app
        .store
        .defer_attempt(assignment.attempt, due)
        .await
        .map(drop)
}

async fn unreachable(outcomes: &Outcomes, assignment: &Assignment) -> Result<(), StoreError> {
    outcomes.fault(&assignment.node).await?;
    outcomes
        .demote(&assignment.node, NodeState::Unreachable)
        .await?;
    defer(outcomes, assignment, Duration::ZERO).await
}

/// The node may have the attempt or not: it is asked before another is given it.
async fn unanswered(
    outcomes: &Outcomes,
    assignment: &Assignment,
    member: &Member,
) -> Result<(), StoreError> {
    let Assignment { attempt, node, .. } = assignment;
    let works = member.client.works_on(*attempt).await;
    if let Ok(true) = works {
        return confirm(outcomes, assignment).await;
    }
    outcomes.fault(node).await?;
    if works.is_err() {
        outcomes.demote(node, NodeState::Unreachable).await?;
    }
    outcomes.lose_without_trace(*attempt).await.map(drop)
}

/// A node that does not serve what it said it serves is a fault of the configuration, not of the
/// request.
async fn unknown_provider(
    outcomes: &Outcomes,
    assignment: &Assignment,
    detail: &str,
) -> Result<(), StoreError> {
    let (node, provider) = (assignment.node.as_str(), assignment.plan.provider);
    tracing::error!(node, %provider, detail, "a node does not serve what it said it serves");
    if let Some(known) = outcomes.app.store.find_node(node).await? {
        let mut others = known.providers;
        others.retain(|other| *other != provider);
        outcomes
            .app
            .store
            .set_node_state(node, known.state, &others)
            .await?;
    }
    outcomes
        .lose_without_trace(assignment.attempt)
        .await
        .map(drop)
}

async fn no_pictures(
    outcomes: &Outcomes,
    assignment: &Assignment,
    error: FormError,
) -> Result<(), StoreError> {
    tracing::error!(attempt = %assignment.attempt, error = %Chain(&error), "prepared pictures cannot be read");
    match error {
        FormError::Blob(_) => defer(outcomes, assignment, STORAGE_PAUSE).await,
        FormError::Gone { .. } => {
            let message = "the prepared pictures of this job were lost; submit it again";
            let error = JobError::new(JobErrorCode::PipelineError, message);
            fail(outcomes, assignment, error).await
        }
    }
}

async fn fail(
    outcomes: &Outcomes,
    assignment: &Assignment,
    error: JobError,
) -> Result<(), StoreError> {
    let attempt = assignment.attempt;
    let settled = outcomes
        .app
        .store
        .fail_sample(attempt, error, now(outcomes))
        .await?;
    if let tryon_store::Settled::Recorded { job_end } = settled {
        log_end(attempt.sample.job, job_end.as_ref());
    }
    Ok(())
}

fn now(outcomes: &Outcomes) -> Timestamp {
    outcomes.app.clock.now()
}
