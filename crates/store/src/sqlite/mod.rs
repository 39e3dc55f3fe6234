//! The store in one `SQLite` file.
//!
//! Architecture invariants:
//! - There is one connection that writes, and every write is a transaction on a task of its own
//!   (`transaction`): a caller that goes away in the middle leaves nothing half done.
//! - The schema (`migrations/sqlite`) refuses what the code must not do: a balance below zero, a
//!   second settlement, a state that was left after the end, an edited ledger row.
//! - Each statement on the path of a request or of the dispatcher finds its rows by an index that
//!   holds only what is open, so that its cost does not grow with history.
//!
//! Several processes may open the same file; it has to lie on a local disk.

use std::path::Path;

use async_trait::async_trait;
use sqlx::SqlitePool;
use tryon_core::{
    error::JobError,
    id::{AccountId, AttemptId, JobId, KeyId},
    job::JobEnd,
    ledger::{Balance, Pool},
    limit::Limits,
    task::Provider,
    time::Timestamp,
};

use self::{
    settle::Loss,
    transaction::{read, write},
};
use crate::{
    record::{
        Account, Assignment, Erasable, ExpiredLease, Job, JobPage, Key, Lost, NewJob, NewKey, Node,
        NodeSpec, NodeState, Output, Pair, Preparation, Settled, Violation,
    },
    store::{Store, StoreError, SubmitError},
};

mod account;
mod audit;
mod dispatch;
mod job;
mod key;
mod ledger;
mod node;
mod open;
mod settle;
mod submit;
mod sweep;
#[cfg(test)]
mod tests;
mod transaction;

/// The store in one `SQLite` file. Clones share its connections.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens the database at `path`, creating it for its owner alone where there is none, and
    /// brings its schema up to date. `:memory:` is a store that ends with its last clone.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let (writer, readers) = open::open(path.as_ref()).await?;
        Ok(Self { writer, readers })
    }

    /// Opens the database that is at `path` to look at it: nothing is created, the schema is left
    /// as it is, and what would write fails. A file whose schema is another version's is refused
    /// with [`StoreError::OtherSchema`].
    pub async fn open_to_read(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let readers = open::open_to_read(path.as_ref()).await?;
        let writer = readers.clone();
        Ok(Self { writer, readers })
    }

    /// Closes the file once the transactions under way have ended. What is called afterwards
    /// fails.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn create_account(
        &self,
        id: AccountId,
        name: &str,
        limits: Limits,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let name = name.to_owned();
        write(&self.writer, move |tx| {
            Box::pin(account::create(tx, id, name, limits, now))
        })
        .await
    }

    async fn find_account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        account::find(&self.readers, id).await
    }

    async fn list_accounts(&self) -> Result<Vec<Account>, StoreError> {
        account::list(&self.readers).await
    }

    async fn set_limits(&self, id: AccountId, limits: Limits) -> Result<(), StoreError> {
        write(&self.writer, move |tx| {
            Box::pin(account::set_limits(tx, id, limits))
        })
        .await
    }

    async fn grant_credits(
        &self,
        id: AccountId,
        pool: Pool,
        amount: u32,
        now: Timestamp,
    ) -> Result<Balance, StoreError> {
        write(&self.writer, move |tx| {
            Box::pin(account::grant(tx, id, pool, amount, now))
        })
        .await
    }

    async fn create_key(&self, key: NewKey, now: Timestamp) -> Result<(), StoreError> {
        write(&self.writer, move |tx| Box::pin(key::create(tx, key, now))).await
    }

    async fn find_account_by_key(
        &self,
        hash: &[u8; 32],
    ) -> Result<Option<(KeyId, Account)>, StoreError> {
        key::find_account(&self.readers, hash).await
    }

    async fn list_keys(&self, account: AccountId) -> Result<Vec<Key>, StoreError> {
        key::list(&self.readers, account).await
    }

    async fn revoke_key(&self, id: KeyId, now: Timestamp) -> Result<bool, StoreError> {
        write(&self.writer, move |tx| Box::pin(key::revoke(tx, id, now))).await
    }

    async fn submit_job(&self, job: NewJob, now: Timestamp) -> Result<(), SubmitError> {
        write(&self.writer, move |tx| {
            Box::pin(submit::submit(tx, job, now))
        })
        .await
    }

    async fn find_job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        job::find(&self.readers, id).await
    }

    async fn list_jobs(&self, page: JobPage) -> Result<Vec<Job>, StoreError> {
        job::list(&self.readers, page).await
    }

    async fn claim_preparation(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        passed_over: &[AccountId],
    ) -> Result<Option<Preparation>, StoreError> {
        let passed_over = passed_over.iter().map(AccountId::to_string).collect();
        write(&self.writer, move |tx| {
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
        write(&self.writer, move |tx| {
            Box::pin(job::finish_preparation(tx, job, inputs, now))
        })
        .await
    }

    async fn end_job(
        &self,
        job: JobId,
        error: JobError,
        now: Timestamp,
    ) -> Result<Option<JobEnd>, StoreError> {
        write(&self.writer, move |tx| {
            Box::pin(settle::end_job(tx, job, error, now))
        })
        .await
    }

    async fn claim_dispatch(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Assignment>, StoreError> {
        write(&self.writer, move |tx| {
            Box::pin(dispatch::claim(tx, now, lease_until, limit))
        })
        .await
    }

    async fn confirm_running(
        &self,
        attempt: AttemptId,
        lease_until: Timestamp,
    ) -> Result<bool, StoreError> {
        write(&self.writer, move |tx| {
            Box::pin(dispatch::confirm(tx, attempt, lease_until))
        })
        .await
    }

    async fn defer_attempt(
        &self,
        attempt: AttemptId,
        due_at: Timestamp,
    ) -> Result<bool, StoreError> {
        write(&self.writer, move |tx| {
            Box::pin(dispatch::defer(tx, attempt, due_at))
        })
        .await
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
        write(&self.writer, move |tx| {
            Box::pin(settle::lose_attempt(tx, loss, now))
        })
        .await
    }

    async fn complete_sample(
        &self,
        attempt: AttemptId,
        output: Output,
        now: Timestamp,
    ) -> Result<Settled, StoreError> {
        write(&self.writer, move |tx| {
            Box::pin(settle::complete_sample(tx, attempt, output, now))
        })
        .await
    }

    async fn fail_sample(
        &self,
        attempt: AttemptId,
        error: JobError,
        now: Timestamp,
    ) -> Result<Settled, StoreError> {
        write(&self.writer, move |tx| {
            Box::pin(settle::fail_sample(tx, attempt, error, now))
        })
        .await
    }

    async fn list_expired_leases(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<ExpiredLease>, StoreError> {
        sweep::list_expired_leases(&self.readers, now, limit).await
    }

    async fn list_overdue_jobs(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<JobId>, StoreError> {
        sweep::list_overdue_jobs(&self.readers, now, limit).await
    }

    async fn list_erasable_inputs(&self, limit: u32) -> Result<Vec<Erasable>, StoreError> {
        sweep::list_erasable_inputs(&self.readers, limit).await
    }

    async fn mark_inputs_erased(&self, job: JobId, now: Timestamp) -> Result<(), StoreError> {
        write(&self.writer, move |tx| {
            Box::pin(sweep::mark_inputs_erased(tx, job, now))
        })
        .await
    }

    async fn list_erasable_outputs(
        &self,
        ended_before: Timestamp,
        limit: u32,
    ) -> Result<Vec<Erasable>, StoreError> {
        sweep::list_erasable_outputs(&self.readers, ended_before, limit).await
    }

    async fn mark_outputs_erased(&self, job: JobId, now: Timestamp) -> Result<(), StoreError> {
        write(&self.writer, move |tx| {
            Box::pin(sweep::mark_outputs_erased(tx, job, now))
        })
        .await
    }

    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        sweep::next_due(&self.readers, now).await
    }

    async fn sync_nodes(&self, nodes: &[NodeSpec]) -> Result<(), StoreError> {
        let specs = nodes.to_vec();
        write(&self.writer, move |tx| Box::pin(node::sync(tx, specs))).await
    }

    async fn list_nodes(&self) -> Result<Vec<Node>, StoreError> {
        node::list(&self.readers).await
    }

    async fn set_node_state(
        &self,
        name: &str,
        state: NodeState,
        providers: &[Provider],
    ) -> Result<(), StoreError> {
        let (name, providers) = (name.to_owned(), providers.to_vec());
        write(&self.writer, move |tx| {
            Box::pin(node::set_state(tx, name, state, providers))
        })
        .await
    }

    async fn hold_node(&self, name: &str, until: Timestamp) -> Result<(), StoreError> {
        let name = name.to_owned();
        write(&self.writer, move |tx| {
            Box::pin(node::hold(tx, name, until))
        })
        .await
    }

    async fn count_node_fault(&self, name: &str) -> Result<u32, StoreError> {
        let name = name.to_owned();
        write(&self.writer, move |tx| {
            Box::pin(node::count_fault(tx, name))
        })
        .await
    }

    async fn clear_node_faults(&self, name: &str) -> Result<(), StoreError> {
        let name = name.to_owned();
        write(&self.writer, move |tx| {
            Box::pin(node::clear_faults(tx, name))
        })
        .await
    }

    async fn audit(&self) -> Result<Vec<Violation>, StoreError> {
        read(&self.readers, |tx| Box::pin(audit::audit(tx))).await
    }
}
