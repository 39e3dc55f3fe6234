//! What every backend promises.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use tryon_core::{
    error::JobError,
    id::{AccountId, AttemptId, ErasureId, JobId, KeyId, SampleId, UserId},
    job::JobEnd,
    ledger::{Balance, OutOfCredits, Pool},
    limit::Limits,
    task::Provider,
    time::Timestamp,
};

use crate::change::Changes;
use crate::record::{
    Account, Assignment, Caller, Erasable, Erasure, ExpiredLease, Inference, Job, JobPage, Key,
    Lost, NewErasure, NewJob, NewKey, Node, NodeSpec, NodeState, Output, Pair, Preparation,
    QueueDepth, Registered, Settled, Submission, SweptNodes, Violation, Work,
};
use crate::user::{
    Action, Before, Entry, Identity, NewAction, NewSession, NewUser, UsageDay, User, Visitor,
};
use crate::webhook::{Webhook, WebhookClaim, WebhookPage, WebhookTry, WebhookVerdict};

/// The store failed; nothing of the call was done. Only where a connection was lost while the
/// database committed nobody knows: it was done whole or not at all.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database answered with an error or not at all.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the database schema could not be brought up to date")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The schema is not this program's, in a file that was opened to be read alone.
    #[error("the database schema is at version {found}, not {known}")]
    OtherSchema {
        /// The version it is at; 0 before the first.
        found: i64,
        /// The version that this program knows.
        known: i64,
    },
    /// A row does not read back: it was written by something else.
    #[error("the database holds a value that cannot be read: `{column}`")]
    Corrupt {
        /// Where it is.
        column: &'static str,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No such account.
    #[error("there is no account `{0}`")]
    NoSuchAccount(AccountId),
}

/// Why a job was not accepted. Nothing was charged.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The account cannot pay for it.
    #[error(transparent)]
    OutOfCredits(#[from] OutOfCredits),
    /// The account has too many jobs under way.
    #[error("{open} jobs are under way and {limit} are allowed")]
    TooManyJobs {
        /// Jobs under way.
        open: u32,
        /// Jobs allowed.
        limit: u32,
    },
    /// The same request was accepted under the same name before.
    #[error("it was accepted before, as the job `{0}`")]
    AcceptedBefore(JobId),
    /// Another request was accepted under the same name.
    #[error("another request has the same name")]
    OtherRequest,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The platform's memory. Every method is one transaction: it happens whole or not at all, also
/// when its future is dropped or the process is killed. A method whose future is dropped may still
/// happen afterwards.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    // ── accounts and keys ──────────────────────────────────────────────────────────────────────

    /// Makes an account without credits.
    async fn create_account(
        &self,
        id: AccountId,
        name: &str,
        limits: Limits,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// The account of this id.
    async fn find_account(&self, id: AccountId) -> Result<Option<Account>, StoreError>;

    /// Every account, oldest first.
    async fn list_accounts(&self) -> Result<Vec<Account>, StoreError>;

    /// What all accounts hold together.
    async fn sum_balances(&self) -> Result<Balance, StoreError>;

    /// Replaces an account's limits.
    async fn set_limits(&self, id: AccountId, limits: Limits) -> Result<(), StoreError>;

    /// Keeps the outputs of the account's jobs for this long, or for as long as the configuration
    /// says. It counts for jobs that are submitted from now on.
    async fn set_output_retention(
        &self,
        id: AccountId,
        retention: Option<Duration>,
    ) -> Result<(), StoreError>;

    /// Gives credits: one ledger row. Returns the balance afterwards.
    async fn grant_credits(
        &self,
        id: AccountId,
        pool: Pool,
        amount: u32,
        now: Timestamp,
    ) -> Result<Balance, StoreError>;

    /// Makes a key. [`StoreError::NoSuchAccount`] when nobody could own it.
    async fn create_key(&self, key: NewKey, now: Timestamp) -> Result<(), StoreError>;

    /// Whose key the one with this hash is; `None` for a key that is unknown, revoked or
    /// expired.
    async fn find_account_by_key(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Caller>, StoreError>;

    /// An account's keys, oldest first, revoked ones included.
    async fn list_keys(&self, account: AccountId) -> Result<Vec<Key>, StoreError>;

    /// Revokes a key. False when there is none of this id that is still valid.
    async fn revoke_key(&self, id: KeyId, now: Timestamp) -> Result<bool, StoreError>;

    // ── users of the pages, and what they look back at ─────────────────────────────────────────

    /// Makes somebody known. False, and nothing changed, when their login is taken.
    /// [`StoreError::NoSuchAccount`] when there is nothing for them to look after.
    async fn create_user(&self, user: NewUser, now: Timestamp) -> Result<bool, StoreError>;

    /// Who has this login.
    async fn find_user(&self, login: &str) -> Result<Option<User>, StoreError>;

    /// Everybody, oldest first.
    async fn list_users(&self) -> Result<Vec<User>, StoreError>;

    /// Replaces a password's hash, and signs its owner out everywhere. False when there is nobody of
    /// this id.
    async fn set_password(&self, user: UserId, password: &str) -> Result<bool, StoreError>;

    /// Shuts somebody out, and signs them out everywhere; `None` lets them in again. False when there
    /// is nobody of this id.
    async fn set_user_disabled(
        &self,
        user: UserId,
        since: Option<Timestamp>,
    ) -> Result<bool, StoreError>;

    /// Says whether somebody looks after the platform. False when there is nobody of this id.
    async fn set_operator(&self, user: UserId, is_operator: bool) -> Result<bool, StoreError>;

    /// Whoever a provider calls so signs in as this user from now on. False, and nothing changed, when
    /// somebody else does, the provider calls this user otherwise, or there is nobody of this id.
    async fn link_identity(
        &self,
        identity: &Identity,
        user: UserId,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Forgets what providers call a user, and signs them out everywhere. False when there was nothing
    /// to forget.
    async fn unlink_identities(&self, user: UserId) -> Result<bool, StoreError>;

    /// Whom a provider calls so.
    async fn find_identity(&self, identity: &Identity) -> Result<Option<User>, StoreError>;

    /// Somebody signs in. False, and nothing changed, when they may not, or have another password, or
    /// were parted from what their provider calls them, by now.
    async fn open_session(&self, session: NewSession, now: Timestamp) -> Result<bool, StoreError>;

    /// Who signed in with this session, unless it is over.
    async fn find_session(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Visitor>, StoreError>;

    /// Somebody signs out.
    async fn close_session(&self, hash: &[u8; 32]) -> Result<(), StoreError>;

    /// Forgets sessions that are over, oldest first, at most `limit`. Returns how many it were.
    async fn forget_sessions(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// Writes down what somebody changes. False, and nothing was written, when the same form was
    /// written down before.
    async fn record_action(&self, action: NewAction, now: Timestamp) -> Result<bool, StoreError>;

    /// What was changed, newest first.
    async fn list_actions(&self, page: Before) -> Result<Vec<Action>, StoreError>;

    /// An account's rows of the ledger, newest first.
    async fn list_entries(
        &self,
        account: AccountId,
        page: Before,
    ) -> Result<Vec<Entry>, StoreError>;

    /// What an account used on each day from this one on, counted from 1970-01-01, oldest first; none
    /// for days without use.
    async fn list_usage(
        &self,
        account: AccountId,
        since_day: i64,
    ) -> Result<Vec<UsageDay>, StoreError>;

    // ── the life of a job ──────────────────────────────────────────────────────────────────────

    /// Accepts a job: reserves its price (one credit a sample), writes the ledger row, inserts
    /// the job and its samples.
    async fn submit_job(&self, job: NewJob, now: Timestamp) -> Result<(), SubmitError>;

    /// What the account's submission of this name became, if it was accepted within
    /// [`KEY_LIFE`](crate::record::KEY_LIFE).
    async fn find_submission(
        &self,
        account: AccountId,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<Submission>, StoreError>;

    /// Forgets the names of submissions that are not known by them any more, oldest first, at most
    /// `limit`. Returns how many it were.
    async fn forget_submissions(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// The job of this id, whoever owns it.
    async fn find_job(&self, id: JobId) -> Result<Option<Job>, StoreError>;

    /// Those of these jobs that there are, in the order of their ids.
    async fn find_jobs(&self, ids: &[JobId]) -> Result<Vec<Job>, StoreError>;

    /// An account's jobs, newest first; none when `after` names no job of it.
    async fn list_jobs(&self, page: JobPage) -> Result<Vec<Job>, StoreError>;

    /// Leases the oldest accepted job whose inputs nobody prepares and whose deadline is not
    /// past; the lease ends at `lease_until`, and from then on another caller may be given it.
    /// Jobs of `passed_over` are left where they are.
    async fn claim_preparation(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        passed_over: &[AccountId],
    ) -> Result<Option<Preparation>, StoreError>;

    /// The inputs are ready: the job's samples may be dispatched. False, and nothing changed,
    /// when the job is not `accepted` any more; the caller then erases what it prepared.
    async fn finish_preparation(
        &self,
        job: JobId,
        inputs: Pair<String>,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Ends a job that has not ended, whatever its samples do: the reservation is settled, with
    /// images that were already delivered captured and the job then `completed`. `None`, and
    /// nothing changed, when it had ended before or never was.
    async fn end_job(
        &self,
        job: JobId,
        error: JobError,
        now: Timestamp,
    ) -> Result<Option<JobEnd>, StoreError>;

    // ── dispatch ───────────────────────────────────────────────────────────────────────────────

    /// Matches due samples with idle ready nodes that offer their provider, at most `limit`. Raises
    /// each sample's attempt, leases it and marks the node. Samples of a job past its deadline stay.
    ///
    /// Accounts that wait for the same provider are served by turns, a sample each, and each
    /// account's oldest job first; providers that share a node take turns as well. Of the nodes that
    /// offer a provider those are taken first that have not failed since their last picture, then
    /// those that offer little else, then faster ones, then the longest idle one.
    async fn claim_dispatch(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Assignment>, StoreError>;

    /// The node accepted the attempt, or still works on it: the sample is `running` and its lease
    /// ends at `lease_until`. False, and nothing changed, when the attempt is not the current one.
    async fn confirm_running(
        &self,
        attempt: AttemptId,
        lease_until: Timestamp,
    ) -> Result<bool, StoreError>;

    /// The node did not take the attempt: the sample is queued again, due at `due_at`, and no
    /// attempt is counted as lost. The node is idle again. False when the attempt is not current.
    async fn defer_attempt(
        &self,
        attempt: AttemptId,
        due_at: Timestamp,
    ) -> Result<bool, StoreError>;

    /// The attempt came to nothing through no fault of the request. The sample is queued again,
    /// due at `due_at`, or fails with `error` when `max_lost` attempts were lost. The node is
    /// idle again.
    #[expect(clippy::too_many_arguments, reason = "one more than five, with `self`")]
    async fn lose_attempt(
        &self,
        attempt: AttemptId,
        due_at: Timestamp,
        max_lost: u32,
        error: JobError,
        now: Timestamp,
    ) -> Result<Lost, StoreError>;

    /// A node delivered an image. It counts for any attempt of a sample that has not ended: a
    /// valid image is a valid image. The last sample ends and settles the job.
    async fn complete_sample(
        &self,
        attempt: AttemptId,
        output: Output,
        now: Timestamp,
    ) -> Result<Settled, StoreError>;

    /// A node reported that the request cannot be served. It counts for the current attempt only.
    async fn fail_sample(
        &self,
        attempt: AttemptId,
        error: JobError,
        now: Timestamp,
    ) -> Result<Settled, StoreError>;

    /// How many samples are likely to be given out before each of these, as the turns of their
    /// accounts are now: at most [`LONGEST_WAIT`](crate::LONGEST_WAIT). Those that do not wait are not
    /// in it.
    async fn count_ahead(
        &self,
        samples: &[SampleId],
    ) -> Result<BTreeMap<SampleId, u32>, StoreError>;

    /// What waits for each provider; none for those that nothing waits for.
    async fn list_queues(&self) -> Result<Vec<QueueDepth>, StoreError>;

    /// How long pictures took that are still kept, of at most `limit` jobs: of those that are kept
    /// longest from now on, which are the last where all are kept for as long.
    async fn list_inferences(&self, limit: u32) -> Result<Vec<Inference>, StoreError>;

    // ── telling clients ────────────────────────────────────────────────────────────────────────

    /// Claims the message about a job's end that is due longest, for a try that ends by
    /// `lease_until`; from then on it may be claimed again. Messages of `passed_over` are left
    /// where they are.
    async fn claim_webhook(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        passed_over: &[AccountId],
    ) -> Result<Option<WebhookClaim>, StoreError>;

    /// Logs a try and says how its message goes on. False, and only logged, when the message ended
    /// meanwhile, was sent anew or was claimed again; that it was delivered counts while it is
    /// pending. With `Gone` whatever else waits for that address, and what is to be sent there
    /// within [`WEBHOOK_LIFE`](crate::WEBHOOK_LIFE), ends as `Disabled`.
    async fn record_webhook_try(
        &self,
        job: JobId,
        tried: WebhookTry,
        verdict: WebhookVerdict,
    ) -> Result<bool, StoreError>;

    /// Sends a message anew, however it ended, with all its tries; its address counts as gone no
    /// more. False when the account has no such message.
    async fn replay_webhook(
        &self,
        account: AccountId,
        job: JobId,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// The account's message about this job.
    async fn find_webhook(
        &self,
        account: AccountId,
        job: JobId,
    ) -> Result<Option<Webhook>, StoreError>;

    /// An account's messages, newest first; none when `after` names no message.
    async fn list_webhooks(&self, page: WebhookPage) -> Result<Vec<Webhook>, StoreError>;

    /// Forgets messages that ended [`WEBHOOK_LIFE`](crate::WEBHOOK_LIFE) ago, oldest first, at most
    /// `limit`, and addresses that have been gone for as long. Returns how many messages it were.
    async fn forget_webhooks(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError>;

    // ── sweeping ───────────────────────────────────────────────────────────────────────────────

    /// Attempts whose lease ran out, oldest first.
    async fn list_expired_leases(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<ExpiredLease>, StoreError>;

    /// Jobs that have not ended and are past their deadline, oldest first.
    async fn list_overdue_jobs(&self, now: Timestamp, limit: u32)
    -> Result<Vec<JobId>, StoreError>;

    /// Ended jobs whose inputs are not erased yet, with the keys of what was sent along and of
    /// what was prepared from it: none for a job that ended before its URLs were fetched.
    async fn list_erasable_inputs(&self, limit: u32) -> Result<Vec<Erasable>, StoreError>;

    /// The inputs of an ended job are gone.
    async fn mark_inputs_erased(&self, job: JobId, now: Timestamp) -> Result<(), StoreError>;

    /// Completed jobs whose outputs were to be kept until before `now` and are not erased yet.
    async fn list_erasable_outputs(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Erasable>, StoreError>;

    /// The outputs of a job are gone.
    async fn mark_outputs_erased(&self, job: JobId, now: Timestamp) -> Result<(), StoreError>;

    // ── erasure ────────────────────────────────────────────────────────────────────────────────

    /// Begins to erase. The id of the erasure that there is already, where the job has one or that
    /// of the end user has not finished; `None` when the account has no such job. Until `due_at`
    /// the caller has it to itself.
    async fn begin_erasure(
        &self,
        erasure: NewErasure,
        due_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<ErasureId>, StoreError>;

    /// At most `limit` jobs of an erasure that are not erased yet, ended or not, which the caller
    /// has to itself until `due_at`. Jobs that the end user was given since it began are among
    /// them.
    async fn claim_erasure(
        &self,
        id: ErasureId,
        limit: u32,
        due_at: Timestamp,
    ) -> Result<Vec<JobId>, StoreError>;

    /// Takes note of pictures before they are deleted, so that whoever goes on after a crash knows
    /// of them. Those that were noted before stay so.
    async fn note_pictures(&self, job: JobId, keys: &[String]) -> Result<(), StoreError>;

    /// The pictures of an ended job are gone: forgets all that is personal of it, and counts it in
    /// its erasure. Nothing happens for a job that has not ended, is not to be erased or is erased.
    async fn forget_job(&self, job: JobId, now: Timestamp) -> Result<(), StoreError>;

    /// Finishes an erasure of which nothing is left, and looks at it again at `due_at`. Returns how
    /// it stands, and `None` when there is none. What was deleted is then gone from the files of
    /// the database too, as far as that is in its power.
    async fn finish_erasure(
        &self,
        id: ErasureId,
        due_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Erasure>, StoreError>;

    /// The erasure of this id, whoever asked for it.
    async fn find_erasure(&self, id: ErasureId) -> Result<Option<Erasure>, StoreError>;

    /// Erasures that fell due, oldest first: to be gone on with, or to be looked at again.
    async fn list_due_erasures(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Erasure>, StoreError>;

    /// Erased jobs of an erasure after this one, by id.
    async fn list_erased_jobs(
        &self,
        id: ErasureId,
        after: Option<JobId>,
        limit: u32,
    ) -> Result<Vec<JobId>, StoreError>;

    /// A finished erasure was looked at again.
    async fn close_erasure(&self, id: ErasureId) -> Result<(), StoreError>;

    /// When the next work of this kind falls due after `now`, so that nobody polls for it.
    async fn next_due(&self, work: Work, now: Timestamp) -> Result<Option<Timestamp>, StoreError>;

    /// Whether this store is the one that sweeps, so that several gateways do not all do the same
    /// work. To be asked before each round, at least every ten seconds: of the stores on one
    /// database the first that asks sweeps until it is closed, loses its connection or does not
    /// ask any more. Sweeping is right without it, only wasteful, so nothing rests on the answer.
    async fn may_sweep(&self) -> Result<bool, StoreError>;

    /// What changes from now on, through this store and, where several gateways share a database,
    /// through the others. Others' changes can be missed while a connection is lost, so look at
    /// intervals too.
    fn changes(&self) -> Changes;

    // ── nodes ──────────────────────────────────────────────────────────────────────────────────

    /// Makes the list of nodes that did not register equal to the configured one. What is known of
    /// a node stays, but a node whose address changed is `Unknown` until it was probed. A registered
    /// node of a configured name is a configured one from then on.
    async fn sync_nodes(&self, nodes: &[NodeSpec]) -> Result<(), StoreError>;

    /// A node makes itself known until `until`, or goes on being known. Its name is its own until
    /// then, and that of a configured node is never given away.
    async fn register_node(
        &self,
        node: &NodeSpec,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Registered, StoreError>;

    /// A registered node, at this address if one is given, ends: it is given nothing more, and its
    /// name is free. False when there is none. What it works on ends as ever.
    async fn leave_node(
        &self,
        name: &str,
        url: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Marks registered nodes that were not heard of in time as unreachable, and forgets those
    /// whose registration ended before `forgotten_before` and that work on nothing. That a node
    /// whose registration ended is given nothing does not wait for this.
    async fn sweep_nodes(
        &self,
        now: Timestamp,
        forgotten_before: Timestamp,
    ) -> Result<SweptNodes, StoreError>;

    /// Every node, by name.
    async fn list_nodes(&self) -> Result<Vec<Node>, StoreError>;

    /// The node of this name.
    async fn find_node(&self, name: &str) -> Result<Option<Node>, StoreError>;

    /// The node that works on this attempt.
    async fn find_node_at_work(&self, attempt: AttemptId) -> Result<Option<Node>, StoreError>;

    /// Records what a probe found. Faults stay counted: a node that answers probes can fail every
    /// attempt all the same. A node that is not configured any more is passed over, here and below.
    async fn set_node_state(
        &self,
        name: &str,
        state: NodeState,
        providers: &[Provider],
    ) -> Result<(), StoreError>;

    /// Gives a node nothing more, or work again: what it works on ends as ever. It stays so when
    /// gateways start again. False when there is no such node.
    async fn set_node_drained(&self, name: &str, drained: bool) -> Result<bool, StoreError>;

    /// Gives a node nothing before `until`; this replaces an earlier hold.
    async fn hold_node(&self, name: &str, until: Timestamp) -> Result<(), StoreError>;

    /// Counts a fault of the node; returns how many it has had in a row, 0 for an unknown one.
    async fn count_node_fault(&self, name: &str) -> Result<u32, StoreError>;

    /// Ends a node's row of faults: it delivered an image.
    async fn clear_node_faults(&self, name: &str) -> Result<(), StoreError>;

    // ── audit ──────────────────────────────────────────────────────────────────────────────────

    /// Every promise of the ledger that does not hold: an empty list, always.
    async fn audit(&self) -> Result<Vec<Violation>, StoreError>;

    /// Closes the database once the transactions under way have ended, and gives the turn to sweep
    /// to others. What is called afterwards fails.
    async fn close(&self);
}
