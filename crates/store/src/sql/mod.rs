//! What the databases have in common: every transaction of the store, written once.
//!
//! Architecture invariants:
//! - Every write is a transaction on a task of its own (`transaction`): a caller that goes away in
//!   the middle leaves nothing half done.
//! - The schema (`migrations`) refuses what the code must not do: a balance below zero, a second
//!   settlement, a state that was left after the end, an edited ledger row.
//! - Each statement on the path of a request or of the dispatcher finds its rows by an index that
//!   holds only what is open, so that its cost does not grow with history.
//! - Rows are locked in one order: job, samples, nodes, account. Whoever claims work passes over
//!   jobs and samples that somebody else holds, and waits only for another claim.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use tryon_core::{
    error::JobError,
    id::{AccountId, AttemptId, ErasureId, JobId, KeyId, SampleId, UserId},
    job::JobEnd,
    ledger::{Balance, Pool},
    limit::Limits,
    task::Provider,
    time::Timestamp,
};

use self::{settle::Loss, transaction::Pools};
use crate::{
    change::{Bell, Change, Changes},
    record::{
        Account, Assignment, Caller, Erasable, Erasure, ExpiredLease, Inference, Job, JobPage, Key,
        Lost, NewErasure, NewJob, NewKey, Node, NodeSpec, NodeState, Output, Pair, Preparation,
        QueueDepth, Registered, Settled, Submission, SweptNodes, Violation, Work,
    },
    store::{Store, StoreError, SubmitError},
    user::{
        Action, Before, Entry, Identity, NewAction, NewSession, NewUser, UsageDay, User, Visitor,
    },
    webhook::{Webhook, WebhookClaim, WebhookPage, WebhookTry, WebhookVerdict},
};

pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod dispatch;
pub(crate) mod erasure;
pub(crate) mod history;
pub(crate) mod idempotency;
pub(crate) mod job;
pub(crate) mod key;
pub(crate) mod ledger;
pub(crate) mod node;
pub(crate) mod queue;
pub(crate) mod registration;
pub(crate) mod schema;
pub(crate) mod settle;
pub(crate) mod statement;
pub(crate) mod submit;
pub(crate) mod sweep;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod transaction;
pub(crate) mod user;
pub(crate) mod webhook;

/// A store that is a database.
#[async_trait]
pub(crate) trait SqlStore: Send + Sync + 'static {
    /// Its connections.
    fn pools(&self) -> &Pools;

    /// Who is told what changed.
    fn bell(&self) -> &Bell;

    /// [`Store::may_sweep`].
    async fn may_sweep(&self) -> Result<bool, StoreError>;

    /// Leaves nothing of what was deleted where the database keeps copies of it.
    async fn scrub(&self) -> Result<(), StoreError>;

    /// [`Store::close`].
    async fn close(&self);
}

#[async_trait]
impl<S: SqlStore> Store for S {
    async fn create_account(
        &self,
        id: AccountId,
        name: &str,
        limits: Limits,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.pools()
            .write(move |tx| Box::pin(account::create(tx, id, name.clone(), limits, now)))
            .await
    }

    async fn find_account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(account::find(connection, id)))
            .await
    }

    async fn list_accounts(&self) -> Result<Vec<Account>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(account::list(connection)))
            .await
    }

    async fn sum_balances(&self) -> Result<Balance, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(account::sum(connection)))
            .await
    }

    async fn set_limits(&self, id: AccountId, limits: Limits) -> Result<(), StoreError> {
        self.pools()
            .write(move |tx| Box::pin(account::set_limits(tx, id, limits)))
            .await
    }

    async fn set_output_retention(
        &self,
        id: AccountId,
        retention: Option<Duration>,
    ) -> Result<(), StoreError> {
        self.pools()
            .write(move |tx| Box::pin(account::set_output_retention(tx, id, retention)))
            .await
    }

    async fn grant_credits(
        &self,
        id: AccountId,
        pool: Pool,
        amount: u32,
        now: Timestamp,
    ) -> Result<Balance, StoreError> {
        self.pools()
            .write(move |tx| Box::pin(account::grant(tx, id, pool, amount, now)))
            .await
    }

    async fn create_key(&self, key: NewKey, now: Timestamp) -> Result<(), StoreError> {
        self.pools()
            .write(move |tx| Box::pin(key::create(tx, key.clone(), now)))
            .await
    }

    async fn find_account_by_key(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Caller>, StoreError> {
        let hash = *hash;
        self.pools()
            .look(move |connection| Box::pin(key::find_account(connection, hash, now)))
            .await
    }

    async fn list_keys(&self, account: AccountId) -> Result<Vec<Key>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(key::list(connection, account)))
            .await
    }

    async fn revoke_key(&self, id: KeyId, now: Timestamp) -> Result<bool, StoreError> {
        self.pools()
            .write(move |tx| Box::pin(key::revoke(tx, id, now)))
            .await
    }

    async fn create_user(&self, user: NewUser, now: Timestamp) -> Result<bool, StoreError> {
        self.pools()
            .write(move |tx| Box::pin(user::create(tx, user.clone(), now)))
            .await
    }

    async fn find_user(&self, login: &str) -> Result<Option<User>, StoreError> {
        let login = login.to_owned();
        self.pools()
            .look(move |connection| Box::pin(user::find(connection, login)))
            .await
    }

    async fn list_users(&self) -> Result<Vec<User>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(user::list(connection)))
            .await
    }

    async fn set_password(&self, user: UserId, password: &str) -> Result<bool, StoreError> {
        let password = password.to_owned();
        self.pools()
            .write(move |tx| Box::pin(user::set_password(tx, user, password.clone())))
            .await
    }

    async fn set_user_disabled(
        &self,
        user: UserId,
        since: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        self.pools()
            .write(move |tx| Box::pin(user::set_disabled(tx, user, since)))
            .await
    }

    async fn set_operator(&self, user: UserId, is_operator: bool) -> Result<bool, StoreError> {
        self.pools()
            .write(move |tx| Box::pin(user::set_operator(tx, user, is_operator)))
            .await
    }

    async fn link_identity(
        &self,
        identity: &Identity,
        user: UserId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let identity = identity.clone();
        self.pools()
            .write(move |tx| Box::pin(user::link(tx, identity.clone(), user, now)))
            .await
    }

    async fn unlink_identities(&self, user: UserId) -> Result<bool, StoreError> {
        self.pools()
            .write(move |tx| Box::pin(user::unlink(tx, user)))
            .await
    }

    async fn find_identity(&self, identity: &Identity) -> Result<Option<User>, StoreError> {
        let identity = identity.clone();
        self.pools()
            .look(move |connection| Box::pin(user::find_by_identity(connection, identity)))
            .await
    }

    async fn open_session(&self, session: NewSession, now: Timestamp) -> Result<bool, StoreError> {
        self.pools()
            .write(move |tx| Box::pin(user::open_session(tx, session.clone(), now)))
            .await
    }

    async fn find_session(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Visitor>, StoreError> {
        let hash = *hash;
        self.pools()
            .look(move |connection| Box::pin(user::find_session(connection, hash, now)))
            .await
    }

    async fn close_session(&self, hash: &[u8; 32]) -> Result<(), StoreError> {
        let hash = *hash;
        self.pools()
            .write(move |tx| Box::pin(user::close_session(tx, hash)))
            .await
    }

    async fn forget_sessions(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.pools()
            .write(move |tx| Box::pin(user::forget_sessions(tx, now, limit)))
            .await
    }

    async fn record_action(&self, action: NewAction, now: Timestamp) -> Result<bool, StoreError> {
        self.pools()
            .write(move |tx| Box::pin(history::record_action(tx, action.clone(), now)))
            .await
    }

    async fn list_actions(&self, page: Before) -> Result<Vec<Action>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(history::list_actions(connection, page)))
            .await
    }

    async fn list_entries(
        &self,
        account: AccountId,
        page: Before,
    ) -> Result<Vec<Entry>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(history::list_entries(connection, account, page)))
            .await
    }

    async fn list_usage(
        &self,
        account: AccountId,
        since_day: i64,
    ) -> Result<Vec<UsageDay>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(history::list_usage(connection, account, since_day)))
            .await
    }

    async fn submit_job(&self, job: NewJob, now: Timestamp) -> Result<(), SubmitError> {
        self.pools()
            .write(move |tx| Box::pin(submit::submit(tx, job.clone(), now)))
            .await?;
        self.bell().ring(Change::SUBMITTED);
        Ok(())
    }

    async fn find_submission(
        &self,
        account: AccountId,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<Submission>, StoreError> {
        let key = key.to_owned();
        self.pools()
            .look(move |connection| Box::pin(idempotency::find(connection, account, key, now)))
            .await
    }

    async fn forget_submissions(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.pools()
            .write(move |tx| Box::pin(idempotency::forget(tx, now, limit)))
            .await
    }

    async fn find_job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(job::find(connection, id)))
            .await
    }

    async fn find_jobs(&self, ids: &[JobId]) -> Result<Vec<Job>, StoreError> {
        let ids: Vec<_> = ids.iter().map(JobId::to_string).collect();
        self.pools()
            .look(move |connection| Box::pin(job::find_many(connection, ids)))
            .await
    }

    async fn list_jobs(&self, page: JobPage) -> Result<Vec<Job>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(job::list(connection, page)))
            .await
    }

    async fn claim_preparation(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        passed_over: &[AccountId],
    ) -> Result<Option<Preparation>, StoreError> {
        let passed_over: Vec<_> = passed_over.iter().map(AccountId::to_string).collect();
        self.pools()
            .write(move |tx| {
                let passed_over = passed_over.clone();
                Box::pin(job::claim_preparation(tx, now, lease_until, passed_over))
            })
            .await
    }

    async fn finish_preparation(
        &self,
        job: JobId,
        inputs: Pair<String>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let outcome = self
            .pools()
            .write(move |tx| Box::pin(job::finish_preparation(tx, job, inputs.clone(), now)))
            .await?;
        if outcome {
            self.bell().ring(Change::DUE);
        }
        Ok(outcome)
    }

    async fn end_job(
        &self,
        job: JobId,
        error: JobError,
        now: Timestamp,
    ) -> Result<Option<JobEnd>, StoreError> {
        let outcome = self
            .pools()
            .write(move |tx| Box::pin(settle::end_job(tx, job, error.clone(), now)))
            .await?;
        if outcome.is_some() {
            self.bell().ring(Change::DUE | Change::ENDED);
        }
        Ok(outcome)
    }

    async fn claim_dispatch(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Assignment>, StoreError> {
        self.pools()
            .write(move |tx| Box::pin(dispatch::claim(tx, now, lease_until, limit)))
            .await
    }

    async fn confirm_running(
        &self,
        attempt: AttemptId,
        lease_until: Timestamp,
    ) -> Result<bool, StoreError> {
        self.pools()
            .write(move |tx| Box::pin(dispatch::confirm(tx, attempt, lease_until)))
            .await
    }

    async fn defer_attempt(
        &self,
        attempt: AttemptId,
        due_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let outcome = self
            .pools()
            .write(move |tx| Box::pin(dispatch::defer(tx, attempt, due_at)))
            .await?;
        if outcome {
            self.bell().ring(Change::DUE);
        }
        Ok(outcome)
    }

    async fn lose_attempt(
        &self,
        attempt: AttemptId,
        due_at: Timestamp,
        max_lost: u32,
        error: JobError,
        now: Timestamp,
    ) -> Result<Lost, StoreError> {
        let loss = Loss {
            attempt,
            due_at,
            max_lost,
            error,
        };
        let outcome = self
            .pools()
            .write(move |tx| Box::pin(settle::lose_attempt(tx, loss.clone(), now)))
            .await?;
        self.bell().ring(outcome.change());
        Ok(outcome)
    }

    async fn complete_sample(
        &self,
        attempt: AttemptId,
        output: Output,
        now: Timestamp,
    ) -> Result<Settled, StoreError> {
        let outcome = self
            .pools()
            .write(move |tx| Box::pin(settle::complete_sample(tx, attempt, output.clone(), now)))
            .await?;
        self.bell().ring(outcome.change());
        Ok(outcome)
    }

    async fn fail_sample(
        &self,
        attempt: AttemptId,
        error: JobError,
        now: Timestamp,
    ) -> Result<Settled, StoreError> {
        let outcome = self
            .pools()
            .write(move |tx| Box::pin(settle::fail_sample(tx, attempt, error.clone(), now)))
            .await?;
        self.bell().ring(outcome.change());
        Ok(outcome)
    }

    async fn count_ahead(
        &self,
        samples: &[SampleId],
    ) -> Result<BTreeMap<SampleId, u32>, StoreError> {
        let samples = samples.to_vec();
        self.pools()
            .read(move |connection| Box::pin(queue::count_ahead(connection, samples.clone())))
            .await
    }

    async fn list_queues(&self) -> Result<Vec<QueueDepth>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(queue::list_depths(connection)))
            .await
    }

    async fn list_inferences(&self, limit: u32) -> Result<Vec<Inference>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(queue::list_inferences(connection, limit)))
            .await
    }

    async fn claim_webhook(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        passed_over: &[AccountId],
    ) -> Result<Option<WebhookClaim>, StoreError> {
        let passed_over: Vec<_> = passed_over.iter().map(AccountId::to_string).collect();
        self.pools()
            .write(move |tx| {
                let passed_over = passed_over.clone();
                Box::pin(webhook::claim(tx, now, lease_until, passed_over))
            })
            .await
    }

    async fn record_webhook_try(
        &self,
        job: JobId,
        tried: WebhookTry,
        verdict: WebhookVerdict,
    ) -> Result<bool, StoreError> {
        self.pools()
            .write(move |tx| Box::pin(webhook::record(tx, job, tried.clone(), verdict)))
            .await
    }

    async fn replay_webhook(
        &self,
        account: AccountId,
        job: JobId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let replayed = self
            .pools()
            .write(move |tx| Box::pin(webhook::replay(tx, account, job, now)))
            .await?;
        if replayed {
            self.bell().ring(Change::ENDED);
        }
        Ok(replayed)
    }

    async fn find_webhook(
        &self,
        account: AccountId,
        job: JobId,
    ) -> Result<Option<Webhook>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(webhook::find(connection, account, job)))
            .await
    }

    async fn list_webhooks(&self, page: WebhookPage) -> Result<Vec<Webhook>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(webhook::list(connection, page)))
            .await
    }

    async fn forget_webhooks(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.pools()
            .write(move |tx| Box::pin(webhook::forget(tx, now, limit)))
            .await
    }

    async fn list_expired_leases(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<ExpiredLease>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(sweep::list_expired_leases(connection, now, limit)))
            .await
    }

    async fn list_overdue_jobs(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<JobId>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(sweep::list_overdue_jobs(connection, now, limit)))
            .await
    }

    async fn list_erasable_inputs(&self, limit: u32) -> Result<Vec<Erasable>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(sweep::list_erasable_inputs(connection, limit)))
            .await
    }

    async fn mark_inputs_erased(&self, job: JobId, now: Timestamp) -> Result<(), StoreError> {
        self.pools()
            .write(move |tx| Box::pin(sweep::mark_inputs_erased(tx, job, now)))
            .await
    }

    async fn list_erasable_outputs(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Erasable>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(sweep::list_erasable_outputs(connection, now, limit)))
            .await
    }

    async fn mark_outputs_erased(&self, job: JobId, now: Timestamp) -> Result<(), StoreError> {
        self.pools()
            .write(move |tx| Box::pin(sweep::mark_outputs_erased(tx, job, now)))
            .await
    }

    async fn begin_erasure(
        &self,
        erasure: NewErasure,
        due_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<ErasureId>, StoreError> {
        self.pools()
            .write(move |tx| Box::pin(erasure::begin(tx, erasure, due_at, now)))
            .await
    }

    async fn claim_erasure(
        &self,
        id: ErasureId,
        limit: u32,
        due_at: Timestamp,
    ) -> Result<Vec<JobId>, StoreError> {
        self.pools()
            .write(move |tx| Box::pin(erasure::claim(tx, id, limit, due_at)))
            .await
    }

    async fn note_pictures(&self, job: JobId, keys: &[String]) -> Result<(), StoreError> {
        let keys = keys.to_vec();
        self.pools()
            .write(move |tx| Box::pin(erasure::note_pictures(tx, job, keys.clone())))
            .await
    }

    async fn forget_job(&self, job: JobId, now: Timestamp) -> Result<(), StoreError> {
        self.pools()
            .write(move |tx| Box::pin(erasure::forget_job(tx, job, now)))
            .await
    }

    async fn finish_erasure(
        &self,
        id: ErasureId,
        due_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Erasure>, StoreError> {
        let found = self
            .pools()
            .write(move |tx| Box::pin(erasure::finish(tx, id, due_at, now)))
            .await?;
        if found
            .as_ref()
            .is_some_and(|found| found.finished_at.is_some() && found.jobs > 0)
        {
            self.scrub().await?;
        }
        Ok(found)
    }

    async fn find_erasure(&self, id: ErasureId) -> Result<Option<Erasure>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(erasure::find(connection, id)))
            .await
    }

    async fn list_due_erasures(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Erasure>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(erasure::list_due(connection, now, limit)))
            .await
    }

    async fn list_erased_jobs(
        &self,
        id: ErasureId,
        after: Option<JobId>,
        limit: u32,
    ) -> Result<Vec<JobId>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(erasure::list_erased(connection, id, after, limit)))
            .await
    }

    async fn close_erasure(&self, id: ErasureId) -> Result<(), StoreError> {
        self.pools()
            .write(move |tx| Box::pin(erasure::close(tx, id)))
            .await?;
        // A reader may have kept the first time from it.
        self.scrub().await
    }

    async fn next_due(&self, work: Work, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(sweep::next_due(connection, work, now)))
            .await
    }

    async fn may_sweep(&self) -> Result<bool, StoreError> {
        SqlStore::may_sweep(self).await
    }

    fn changes(&self) -> Changes {
        self.bell().changes()
    }

    async fn sync_nodes(&self, nodes: &[NodeSpec]) -> Result<(), StoreError> {
        let specs = nodes.to_vec();
        self.pools()
            .write(move |tx| Box::pin(node::sync(tx, specs.clone())))
            .await?;
        self.bell().ring(Change::NODES);
        Ok(())
    }

    async fn register_node(
        &self,
        node: &NodeSpec,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Registered, StoreError> {
        let node = node.clone();
        let outcome = self
            .pools()
            .write(move |tx| Box::pin(registration::register(tx, node.clone(), until, now)))
            .await?;
        if outcome == Registered::Joined {
            self.bell().ring(Change::NODES);
        }
        Ok(outcome)
    }

    async fn leave_node(
        &self,
        name: &str,
        url: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (name, url) = (name.to_owned(), url.map(str::to_owned));
        self.pools()
            .write(move |tx| Box::pin(registration::leave(tx, name.clone(), url.clone(), now)))
            .await
    }

    async fn sweep_nodes(
        &self,
        now: Timestamp,
        forgotten_before: Timestamp,
    ) -> Result<SweptNodes, StoreError> {
        let has_lapsed = self
            .pools()
            .look(move |connection| {
                Box::pin(registration::has_lapsed(connection, now, forgotten_before))
            })
            .await?;
        if !has_lapsed {
            return Ok(SweptNodes::default());
        }
        let swept = self
            .pools()
            .write(move |tx| Box::pin(registration::sweep(tx, now, forgotten_before)))
            .await?;
        if !swept.forgotten.is_empty() {
            self.bell().ring(Change::NODES);
        }
        Ok(swept)
    }

    async fn list_nodes(&self) -> Result<Vec<Node>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(node::list(connection)))
            .await
    }

    async fn find_node(&self, name: &str) -> Result<Option<Node>, StoreError> {
        let name = name.to_owned();
        self.pools()
            .look(move |connection| Box::pin(node::find(connection, name)))
            .await
    }

    async fn find_node_at_work(&self, attempt: AttemptId) -> Result<Option<Node>, StoreError> {
        self.pools()
            .look(move |connection| Box::pin(node::find_at_work(connection, attempt)))
            .await
    }

    async fn set_node_state(
        &self,
        name: &str,
        state: NodeState,
        providers: &[Provider],
    ) -> Result<(), StoreError> {
        let (name, providers) = (name.to_owned(), providers.to_vec());
        self.pools()
            .write(move |tx| Box::pin(node::set_state(tx, name.clone(), state, providers.clone())))
            .await?;
        if state == NodeState::Ready {
            self.bell().ring(Change::DUE);
        }
        Ok(())
    }

    async fn set_node_drained(&self, name: &str, drained: bool) -> Result<bool, StoreError> {
        let name = name.to_owned();
        let known = self
            .pools()
            .write(move |tx| Box::pin(node::set_drained(tx, name.clone(), drained)))
            .await?;
        if !drained {
            self.bell().ring(Change::DUE);
        }
        Ok(known)
    }

    async fn hold_node(&self, name: &str, until: Timestamp) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.pools()
            .write(move |tx| Box::pin(node::hold(tx, name.clone(), until)))
            .await
    }

    async fn count_node_fault(&self, name: &str) -> Result<u32, StoreError> {
        let name = name.to_owned();
        self.pools()
            .write(move |tx| Box::pin(node::count_fault(tx, name.clone())))
            .await
    }

    async fn clear_node_faults(&self, name: &str) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.pools()
            .write(move |tx| Box::pin(node::clear_faults(tx, name.clone())))
            .await
    }

    async fn audit(&self) -> Result<Vec<Violation>, StoreError> {
        self.pools().read(|tx| Box::pin(audit::audit(tx))).await
    }

    async fn close(&self) {
        SqlStore::close(self).await;
    }
}
