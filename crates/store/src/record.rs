//! What goes into the store and comes out of it.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use tryon_core::{
    error::JobError,
    id::{AccountId, AttemptId, ErasureId, JobId, KeyId, SampleId},
    job::{JobEnd, JobState, SampleState},
    ledger::Balance,
    limit::Limits,
    scope::Scopes,
    task::{Mode, ModerationLevel, OutputFormat, Provider, TaskOptions},
    time::Timestamp,
};

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// What its operator calls it.
    pub name: String,
    /// What it holds.
    pub balance: Balance,
    /// What it may do.
    pub limits: Limits,
    /// How long its outputs are kept, where that is not what the configuration says.
    pub output_retention: Option<Duration>,
    /// Jobs of it that have not ended.
    pub open_jobs: u32,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// Whose it is.
    pub account: AccountId,
    /// What its owner calls it.
    pub name: String,
    /// The first characters of the secret, to tell keys apart in a list.
    pub prefix: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Who a key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The key.
    pub key: KeyId,
    /// What it may be used for.
    pub scopes: Scopes,
    /// Whose it is, as that stands now.
    pub account: Account,
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Its id.
    pub id: KeyId,
    /// Whose it is.
    pub account: AccountId,
    /// What its owner calls it.
    pub name: String,
    /// The first characters of the secret.
    pub prefix: String,
    /// SHA-256 of the secret; the secret itself is never kept.
    pub hash: [u8; 32],
    /// What it may be used for.
    pub scopes: Scopes,
    /// From when on it opens nothing; `None` for one that is valid until it is revoked.
    pub expires_at: Option<Timestamp>,
}

/// Where an input picture comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// To be fetched.
    Url(String),
    /// Sent along with the request and kept under this key.
    Blob(String),
    /// Not to be known any more.
    Erased,
}

impl Source {
    /// What request history keeps of it: its URL, or the literal `<base64>` or `<erased>`.
    pub fn history(&self) -> &str {
        match self {
            Self::Url(url) => url,
            Self::Blob(_) => "<base64>",
            Self::Erased => "<erased>",
        }
    }
}

/// The two pictures of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair<T> {
    /// The person, face or body.
    pub person: T,
    /// The garment or design; a hairstyle has none.
    pub garment: Option<T>,
}

/// How a job is computed: decided at submission from the operator's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Which provider serves it.
    pub provider: Provider,
    /// Denoising steps.
    pub steps: u32,
    /// Guidance scale.
    pub cfg: f32,
    /// Inputs are reduced until their longer side has at most this many pixels.
    pub max_side: u32,
}

/// What a client asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The task and its options.
    pub options: TaskOptions,
    /// Speed against quality.
    pub mode: Mode,
    /// The file format of the outputs.
    pub output_format: OutputFormat,
    /// How strictly to moderate.
    pub moderation: ModerationLevel,
}

/// How long a submission is known by what its client called it.
pub const KEY_LIFE: Duration = Duration::from_hours(24);

/// What a client calls a submission, so that it can send it again and have one job all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The name, which is the account's own.
    pub key: String,
    /// A digest of what is asked for, so that a name that is used for something else is noticed.
    pub request: [u8; 32],
}

/// What a submission that is known by its name became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submission {
    /// The digest of what was asked for.
    pub request: [u8; 32],
    /// The job.
    pub job: JobId,
}

/// How long the outputs of a job are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// From the job's end on, at most.
    pub longest: Duration,
    /// Whether one goes as soon as it was downloaded.
    pub once: bool,
}

/// A job to be accepted.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// Who pays.
    pub account: AccountId,
    /// What was asked for.
    pub request: Request,
    /// How it is computed.
    pub plan: Plan,
    /// Where its inputs come from.
    pub sources: Pair<Source>,
    /// One seed for each sample: their number is the job's price in credits.
    pub seeds: Vec<u64>,
    /// When it must have ended.
    pub deadline: Timestamp,
    /// What its client calls it.
    pub idempotency: Option<Idempotency>,
    /// Who is told of its end.
    pub webhook_url: Option<String>,
    /// A digest of what its client calls the person that it is for.
    pub end_user: Option<[u8; 32]>,
    /// How long its outputs are kept.
    pub retention: Retention,
    /// Where its trace goes on, if it has one.
    pub trace: Option<String>,
}

/// A job as its owner sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Who pays.
    pub account: AccountId,
    /// Where it is.
    pub state: JobState,
    /// What was asked for.
    pub request: Request,
    /// How it is computed.
    pub plan: Plan,
    /// Its inputs as request history keeps them: URLs, or `<base64>`.
    pub history: Pair<String>,
    /// Its samples, in the order of their index.
    pub samples: Vec<Sample>,
    /// Why it failed.
    pub error: Option<JobError>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it must have ended.
    pub deadline: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How long its outputs are kept.
    pub retention: Retention,
    /// When its outputs were erased.
    pub outputs_erased_at: Option<Timestamp>,
    /// Where its trace goes on, if it has one.
    pub trace: Option<String>,
}

/// A sample as its job's owner sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its id.
    pub id: SampleId,
    /// Where it is.
    pub state: SampleState,
    /// Its seed.
    pub seed: u64,
    /// The number of its latest attempt; 0 before the first.
    pub attempt: u32,
    /// The node that was given that attempt, and has not ended it.
    pub node: Option<String>,
    /// Its image; none is known of a job that was erased.
    pub output: Option<Output>,
    /// Why it failed.
    pub error: Option<JobError>,
}

/// An image that a sample delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Where it is kept.
    pub key: String,
    /// Its file format.
    pub format: OutputFormat,
    /// What made it.
    pub model_version: String,
    /// How long inference took.
    pub inference_ms: u64,
}

/// A job whose inputs are to be prepared.
#[derive(Debug, Clone, PartialEq)]
pub struct Preparation {
    /// The job.
    pub job: JobId,
    /// Whose job it is.
    pub account: AccountId,
    /// Where its inputs come from.
    pub sources: Pair<Source>,
    /// What was asked for.
    pub request: Request,
    /// How it is computed.
    pub plan: Plan,
    /// When it must have ended.
    pub deadline: Timestamp,
    /// Where its trace goes on, if it has one.
    pub trace: Option<String>,
}

/// A sample that was given to a node in the same transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The attempt this is: what the node is told as `job_id`.
    pub attempt: AttemptId,
    /// Whose job it is.
    pub account: AccountId,
    /// The node.
    pub node: String,
    /// What was asked for.
    pub request: Request,
    /// How it is computed.
    pub plan: Plan,
    /// The keys of the prepared inputs.
    pub inputs: Pair<String>,
    /// The sample's seed.
    pub seed: u64,
    /// Since when it waited for a node.
    pub due_at: Timestamp,
    /// When the job must have ended.
    pub deadline: Timestamp,
    /// Where the job's trace goes on, if it has one.
    pub trace: Option<String>,
}

/// An attempt whose lease ran out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiredLease {
    /// The attempt.
    pub attempt: AttemptId,
    /// The node that has, or had, it.
    pub node: String,
    /// Whether the node had accepted it.
    pub running: bool,
}

/// What became of a result that a node reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It counts. When it was the job's last sample the job ended with it.
    Recorded {
        /// How the job ended, if it did.
        job_end: Option<JobEnd>,
    },
    /// The sample had ended before, or the attempt had been given up and reports a failure:
    /// nothing changed.
    Ignored,
    /// There is no such attempt.
    Unknown,
}

/// How a lost attempt goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// The sample is queued again.
    Requeued,
    /// It was lost too often: the sample failed, and its job with it when it was the last.
    GivenUp {
        /// How the job ended, if it did.
        job_end: Option<JobEnd>,
    },
    /// The attempt is not the sample's current one: nothing changed.
    Stale,
}

/// A node as the operator configured it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// Its name in this gateway's configuration.
    pub name: String,
    /// Where it listens.
    pub url: String,
}

/// That a node made itself known, and until when that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration {
    /// When it was last heard of.
    pub seen_at: Timestamp,
    /// It is given nothing from then on, unless it is heard of again before.
    pub until: Timestamp,
}

/// What became of a node's call to register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    /// It is known from now on: it is new, or was not heard of for too long.
    Joined,
    /// It goes on being known.
    Renewed,
    /// A gateway's configuration lists it under this name and address: that is what counts.
    Listed,
    /// The name is that of another node, which is listed or was heard of.
    Taken {
        /// Where that one listens.
        url: String,
    },
}

/// Registered nodes that were not heard of any more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweptNodes {
    /// They are given nothing until they are.
    pub lost: Vec<String>,
    /// They are not known any more.
    pub forgotten: Vec<String>,
}

/// Whether a node is given work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// Not heard from since the gateway started.
    Unknown,
    /// It answers and its model is loaded.
    Ready,
    /// It answers; its model is being loaded, or cannot be.
    NotReady,
    /// It does not answer.
    Unreachable,
    /// It refused our token: an operator must look at it.
    Quarantined,
}

impl NodeState {
    /// Every one of them.
    pub const ALL: [Self; 5] = [
        Self::Unknown,
        Self::Ready,
        Self::NotReady,
        Self::Unreachable,
        Self::Quarantined,
    ];

    /// Its name in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ready => "ready",
            Self::NotReady => "not-ready",
            Self::Unreachable => "unreachable",
            Self::Quarantined => "quarantined",
        }
    }

    /// The state of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// A node as the dispatcher sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub url: String,
    /// Whether it is given work.
    pub state: NodeState,
    /// The providers it answers for.
    pub providers: Vec<Provider>,
    /// The attempt it works on.
    pub attempt: Option<AttemptId>,
    /// It is given nothing before then.
    pub hold_until: Timestamp,
    /// Faults in a row.
    pub faults: u32,
    /// Whether an operator wants it to be given nothing more.
    pub drained: bool,
    /// That it registered; `None` for one that is configured.
    pub registration: Option<Registration>,
}

impl Node {
    /// Whether it registered and was not heard of in time.
    pub fn is_lost(&self, now: Timestamp) -> bool {
        let registration = self.registration;
        registration.is_some_and(|registration| registration.until <= now)
    }
}

/// How many samples are counted that wait before another.
pub const LONGEST_WAIT: u32 = 100;

/// What waits for a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueDepth {
    /// The provider.
    pub provider: Provider,
    /// How many samples.
    pub waiting: u64,
    /// When the job was accepted that did so first.
    pub oldest: Timestamp,
}

/// How long a picture took that was made lately.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Inference {
    /// How it was computed.
    pub plan: Plan,
    /// How long that took.
    pub took: Duration,
}

/// Which jobs to list.
#[derive(Debug, Clone, Copy)]
pub struct JobPage {
    /// Whose.
    pub account: AccountId,
    /// Only those that come after this one in the list, newest first.
    pub after: Option<JobId>,
    /// How many at most.
    pub limit: u32,
}

/// Pictures that may be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasable {
    /// Whose pictures they are.
    pub job: JobId,
    /// Where they are kept.
    pub keys: Vec<String>,
}

/// What is to be erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A job.
    Job(JobId),
    /// Every job for an end user, by the digest that they were submitted with.
    EndUser([u8; 32]),
}

/// An erasure to begin.
#[derive(Debug, Clone, Copy)]
pub struct NewErasure {
    /// Its id, unless the same was begun before.
    pub id: ErasureId,
    /// Who asks.
    pub account: AccountId,
    /// Of what.
    pub subject: Subject,
}

/// An erasure, as its receipt says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Its id.
    pub id: ErasureId,
    /// Who asked.
    pub account: AccountId,
    /// The job, where it is of one.
    pub job: Option<JobId>,
    /// When it was asked for first.
    pub requested_at: Timestamp,
    /// When the last of it was gone.
    pub finished_at: Option<Timestamp>,
    /// Jobs that were erased so far.
    pub jobs: u64,
    /// Pictures that were erased with them, by the first part of their keys.
    pub pictures: BTreeMap<String, u64>,
}

/// A promise of the ledger that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// Σ ledger ≠ balance.
    Sum {
        /// Whose.
        account: AccountId,
    },
    /// More is reserved than there is.
    Overdrawn {
        /// Whose.
        account: AccountId,
    },
    /// What is reserved is not the price of the jobs under way.
    Reserved {
        /// Whose.
        account: AccountId,
    },
    /// A terminal job without exactly one settlement, or one under way with a settlement.
    Settlements {
        /// Which job.
        job: JobId,
        /// How many it has.
        count: u32,
    },
    /// Captured ≠ images delivered.
    Captured {
        /// Which job.
        job: JobId,
        /// Credits captured.
        captured: i64,
        /// Images delivered.
        delivered: u32,
    },
    /// A job that ended without the message about it, or one under way with a message.
    Untold {
        /// Which job.
        job: JobId,
    },
    /// The account's count of open jobs is wrong.
    OpenJobs {
        /// Whose.
        account: AccountId,
    },
}

/// What falls due by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A sample may be given out, or the hold of a node ends.
    Dispatch,
    /// The lease of an attempt runs out.
    Leases,
    /// A job has to have ended.
    Deadlines,
    /// The lease of a preparation runs out.
    Preparation,
    /// A message is to be sent.
    Delivery,
    /// An erasure goes on.
    Erasures,
}
