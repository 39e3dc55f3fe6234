//! What becomes of an attempt that did not deliver, and of its node.

use std::{sync::Arc, time::Duration};

use axum::extract::FromRef;
use tryon_core::{
    error::{JobError, JobErrorCode},
    id::{AttemptId, JobId},
    job::JobEnd,
};
use tryon_store::{Lost, Node, NodeState, StoreError};

use super::{
    breaker,
    fleet::{Fleet, Member},
    probe,
};
use crate::app::App;

/// Acts on attempts and nodes, for whoever learns about them first: the dispatcher, a callback or
/// the sweep.
#[derive(Clone)]
pub(crate) struct Outcomes {
    pub(crate) app: Arc<App>,
    pub(crate) fleet: Arc<Fleet>,
}

impl FromRef<Outcomes> for Arc<App> {
    fn from_ref(outcomes: &Outcomes) -> Self {
        Self::clone(&outcomes.app)
    }
}

impl Outcomes {
    /// The attempt came to nothing: its sample is tried again, or fails with `error` when that
    /// happened `max_lost` times.
    pub(crate) async fn lose(
        &self,
        attempt: AttemptId,
        max_lost: u32,
        error: JobError,
    ) -> Result<Lost, StoreError> {
        let now = self.app.clock.now();
        let due = now + pause(attempt);
        let lost = self
            .app
            .store
            .lose_attempt(attempt, due, max_lost, error, now)
            .await?;
        tracing::warn!(%attempt, outcome = ?lost, "an attempt was lost");
        if let Lost::GivenUp { job_end } = &lost {
            log_end(attempt.sample.job, job_end.as_ref());
        }
        Ok(lost)
    }

    /// The same for an attempt of which nobody knows what became.
    pub(crate) async fn lose_without_trace(&self, attempt: AttemptId) -> Result<Lost, StoreError> {
        let max_lost = self.app.config.jobs.max_lost;
        let message = "the nodes that worked on this image stopped answering; submit the job again";
        self.lose(
            attempt,
            max_lost,
            JobError::new(JobErrorCode::PipelineError, message),
        )
        .await
    }

    /// A node failed: counted, and the node held when it goes on failing.
    pub(crate) async fn fault(&self, node: &str) -> Result<(), StoreError> {
        let faults = self.app.store.count_node_fault(node).await?;
        let Some(hold) = breaker::hold(faults) else {
            return Ok(());
        };
        tracing::warn!(
            node,
            faults,
            seconds = hold.as_secs(),
            "a node fails its jobs and is held"
        );
        self.app
            .store
            .hold_node(node, self.app.clock.now() + hold)
            .await
    }

    /// Makes the fleet what the store says, and has new members looked after.
    pub(crate) async fn refresh_fleet(&self) -> Result<(), StoreError> {
        let _refreshing = self.fleet.refreshing.lock().await;
        let nodes = self.app.store.list_nodes().await?;
        for (name, member) in self.fleet.update(&nodes) {
            let app = Arc::clone(&self.app);
            self.fleet.tasks.spawn(probe::watch(app, name, member));
        }
        Ok(())
    }

    /// How to reach a node, also one that registered at another gateway a moment ago.
    pub(crate) async fn find_member(&self, node: &str) -> Result<Option<Arc<Member>>, StoreError> {
        if let Some(member) = self.fleet.find(node) {
            return Ok(Some(member));
        }
        self.refresh_fleet().await?;
        Ok(self.fleet.find(node))
    }

    /// Records that a node stands otherwise than before, and has it probed.
    pub(crate) async fn demote(&self, node: &str, state: NodeState) -> Result<(), StoreError> {
        tracing::warn!(node, state = state.as_str(), "a node is given no work");
        self.app.store.set_node_state(node, state, &[]).await?;
        if let Some(member) = self.fleet.find(node) {
            member.probe.notify_one();
        }
        Ok(())
    }

    /// Ends a job, unless it has ended: `nodes`, which were asked for before, are told that nobody
    /// wants it any more where they work on it.
    pub(crate) async fn end_job(
        &self,
        job: JobId,
        error: JobError,
        nodes: &[Node],
    ) -> Result<(), StoreError> {
        let end = self.app.store.end_job(job, error, self.app.clock.now());
        let Some(end) = end.await? else {
            return Ok(());
        };
        log_end(job, Some(&end));
        for node in nodes {
            if let Some(attempt) = node.attempt.filter(|attempt| attempt.sample.job == job) {
                self.cancel(&node.name, attempt);
            }
        }
        Ok(())
    }

    /// Tells a node that nobody wants an attempt any more. It need not listen: what it delivers
    /// all the same is passed over.
    pub(crate) fn cancel(&self, node: &str, attempt: AttemptId) {
        let Some(client) = self.fleet.find(node).map(|member| member.client.clone()) else {
            return;
        };
        tokio::spawn(async move {
            if let Err(error) = client.cancel(attempt).await {
                tracing::debug!(%attempt, %error, "a node was not told that an attempt is over");
            }
        });
    }
}

/// Says that a job ended, if it did.
pub(crate) fn log_end(job: JobId, end: Option<&JobEnd>) {
    if let Some(end) = end {
        tracing::info!(%job, state = end.state().as_str(), "a job ended");
    }
}

/// Lost samples wait 1, 2, then 4 seconds.
fn pause(attempt: AttemptId) -> Duration {
    Duration::from_secs(1 << attempt.number.saturating_sub(1).min(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_further_attempt_waits_longer() {
        let sample = JobId::from_bytes([1; 12]).sample(0);
        let seconds = |number| pause(sample.attempt(number)).as_secs();
        assert_eq!([1, 2, 3, 9].map(seconds), [1, 2, 4, 4]);
    }
}
