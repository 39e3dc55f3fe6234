//! Rows as SQL returns them, and how they become what the platform works with.
//!
//! Every backend keeps the same columns, so these types know of no backend.

mod key;
mod user;
mod webhook;

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use sqlx_macros::FromRow;
use tryon_core::{
    error::{JobError, JobErrorCode},
    id::{AccountId, AttemptId, JobId, SampleId},
    job::{JobState, SampleState},
    ledger::Balance,
    limit::Limits,
    task::Provider,
    time::Timestamp,
};

use crate::{
    matching::IdleNode,
    record::{
        Account, Assignment, Erasure, ExpiredLease, Inference, Job, Node, NodeState, Output, Pair,
        Plan, Preparation, Registration, Request, Retention, Sample, Source, Submission,
    },
    store::StoreError,
};

pub(crate) use self::{
    key::{CallerRow, KeyRow},
    user::{ActionRow, EntryRow, UsageRow, UserRow, VisitorRow},
    webhook::{WebhookClaimRow, WebhookRow, gather_webhooks},
};

fn corrupt(
    column: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::Corrupt {
        column,
        source: source.into(),
    }
}

/// The value that this column's text spells.
pub(crate) fn parse<T>(column: &'static str, text: &str) -> Result<T, StoreError>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text.parse().map_err(|error| corrupt(column, error))
}

/// The member of a closed set that this column's text names.
fn named<T>(
    column: &'static str,
    name: &str,
    find: impl FnOnce(&str) -> Option<T>,
) -> Result<T, StoreError> {
    find(name).ok_or_else(|| corrupt(column, format!("`{name}` is not a known name")))
}

/// The number in this column, in a narrower type.
pub(crate) fn number<T>(column: &'static str, value: i64) -> Result<T, StoreError>
where
    T: TryFrom<i64, Error: std::error::Error + Send + Sync + 'static>,
{
    value.try_into().map_err(|error| corrupt(column, error))
}

fn time(value: Option<i64>) -> Option<Timestamp> {
    value.map(Timestamp::from_millis)
}

/// The milliseconds in this column.
fn duration(column: &'static str, millis: i64) -> Result<Duration, StoreError> {
    number(column, millis).map(Duration::from_millis)
}

/// The error in this pair of columns.
fn error(
    column: &'static str,
    name: Option<String>,
    message: Option<String>,
) -> Result<Option<JobError>, StoreError> {
    let Some(name) = name else { return Ok(None) };
    let code = named(column, &name, JobErrorCode::from_name)?;
    Ok(Some(JobError::new(code, message.unwrap_or_default())))
}

/// `account.subscription`, `account.purchased`, `account.reserved`.
#[derive(FromRow)]
pub(crate) struct BalanceRow {
    subscription: i64,
    purchased: i64,
    reserved: i64,
}

impl TryFrom<BalanceRow> for Balance {
    type Error = StoreError;

    fn try_from(row: BalanceRow) -> Result<Self, StoreError> {
        Ok(Self {
            subscription: number("accounts.subscription", row.subscription)?,
            purchased: number("accounts.purchased", row.purchased)?,
            reserved: number("accounts.reserved", row.reserved)?,
        })
    }
}

#[derive(FromRow)]
pub(crate) struct AccountRow {
    account_id: String,
    name: String,
    #[sqlx(flatten)]
    balance: BalanceRow,
    open_jobs: i64,
    tryon_per_minute: i64,
    status_per_minute: i64,
    credits_per_minute: i64,
    concurrent_jobs: i64,
    output_retention: Option<i64>,
    created_at: i64,
}

impl TryFrom<AccountRow> for Account {
    type Error = StoreError;

    fn try_from(row: AccountRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("accounts.id", &row.account_id)?,
            name: row.name,
            balance: row.balance.try_into()?,
            limits: Limits {
                tryon_per_minute: number("accounts.tryon_per_minute", row.tryon_per_minute)?,
                status_per_minute: number("accounts.status_per_minute", row.status_per_minute)?,
                credits_per_minute: number("accounts.credits_per_minute", row.credits_per_minute)?,
                concurrent_jobs: number("accounts.concurrent_jobs", row.concurrent_jobs)?,
            },
            output_retention: row
                .output_retention
                .map(|millis| duration("accounts.output_retention", millis))
                .transpose()?,
            open_jobs: number("accounts.open_jobs", row.open_jobs)?,
            created_at: Timestamp::from_millis(row.created_at),
        })
    }
}

/// What an account may spend, and how many jobs it has under way and may have.
#[derive(FromRow)]
pub(crate) struct AllowanceRow {
    #[sqlx(flatten)]
    pub(crate) balance: BalanceRow,
    pub(crate) open_jobs: i64,
    pub(crate) concurrent_jobs: i64,
}

#[derive(FromRow)]
pub(crate) struct SubmissionRow {
    request: Vec<u8>,
    job_id: String,
}

impl TryFrom<SubmissionRow> for Submission {
    type Error = StoreError;

    fn try_from(row: SubmissionRow) -> Result<Self, StoreError> {
        let request = row.request.as_slice().try_into();
        Ok(Self {
            request: request.map_err(|error| corrupt("idempotency_keys.request", error))?,
            job: parse("idempotency_keys.job_id", &row.job_id)?,
        })
    }
}

#[derive(FromRow)]
pub(crate) struct JobRow {
    id: String,
    account_id: String,
    state: String,
    #[sqlx(json)]
    request: Request,
    #[sqlx(json)]
    plan: Plan,
    #[sqlx(json)]
    sources: Pair<Source>,
    error_name: Option<String>,
    error_message: Option<String>,
    created_at: i64,
    deadline: i64,
    ended_at: Option<i64>,
    output_retention: i64,
    outputs_once: bool,
    outputs_erased_at: Option<i64>,
    trace: Option<String>,
}

impl TryFrom<JobRow> for Job {
    type Error = StoreError;

    fn try_from(row: JobRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("jobs.id", &row.id)?,
            account: parse("jobs.account_id", &row.account_id)?,
            state: named("jobs.state", &row.state, JobState::from_name)?,
            request: row.request,
            plan: row.plan,
            history: Pair {
                person: row.sources.person.history().to_owned(),
                garment: row
                    .sources
                    .garment
                    .map(|source| source.history().to_owned()),
            },
            samples: Vec::new(),
            error: error("jobs.error_name", row.error_name, row.error_message)?,
            created_at: Timestamp::from_millis(row.created_at),
            deadline: Timestamp::from_millis(row.deadline),
            ended_at: time(row.ended_at),
            retention: Retention {
                longest: duration("jobs.output_retention", row.output_retention)?,
                once: row.outputs_once,
            },
            outputs_erased_at: time(row.outputs_erased_at),
            trace: row.trace,
        })
    }
}

/// A sample, beside its job in a join.
#[derive(FromRow)]
pub(crate) struct SampleRow {
    idx: i64,
    sample_state: String,
    seed: i64,
    attempt: i64,
    node: Option<String>,
    /// `null` in JSON where it was erased.
    #[sqlx(json(nullable))]
    #[expect(
        clippy::option_option,
        reason = "no output yet, and one that was erased"
    )]
    output: Option<Option<Output>>,
    sample_error_name: Option<String>,
    sample_error_message: Option<String>,
}

impl SampleRow {
    fn into_sample(self, job: JobId) -> Result<Sample, StoreError> {
        Ok(Sample {
            id: job.sample(number("samples.idx", self.idx)?),
            state: named("samples.state", &self.sample_state, SampleState::from_name)?,
            seed: self.seed.cast_unsigned(),
            attempt: number("samples.attempt", self.attempt)?,
            node: self.node,
            output: self.output.flatten(),
            error: error(
                "samples.error_name",
                self.sample_error_name,
                self.sample_error_message,
            )?,
        })
    }
}

/// A job beside one of its samples.
#[derive(FromRow)]
pub(crate) struct JobSampleRow {
    #[sqlx(flatten)]
    job: JobRow,
    #[sqlx(flatten)]
    sample: SampleRow,
}

/// The jobs in these rows, in which the samples of a job follow each other.
pub(crate) fn gather_jobs(rows: Vec<JobSampleRow>) -> Result<Vec<Job>, StoreError> {
    let mut jobs: Vec<Job> = Vec::new();
    for JobSampleRow { job, sample } in rows {
        let id = parse("jobs.id", &job.id)?;
        let sample = sample.into_sample(id)?;
        match jobs.last_mut().filter(|last| last.id == id) {
            Some(last) => last.samples.push(sample),
            None => jobs.push(Job {
                samples: vec![sample],
                ..job.try_into()?
            }),
        }
    }
    Ok(jobs)
}

#[derive(FromRow)]
pub(crate) struct PreparationRow {
    id: String,
    account_id: String,
    #[sqlx(json)]
    sources: Pair<Source>,
    #[sqlx(json)]
    request: Request,
    #[sqlx(json)]
    plan: Plan,
    deadline: i64,
    trace: Option<String>,
}

impl TryFrom<PreparationRow> for Preparation {
    type Error = StoreError;

    fn try_from(row: PreparationRow) -> Result<Self, StoreError> {
        Ok(Self {
            job: parse("jobs.id", &row.id)?,
            account: parse("jobs.account_id", &row.account_id)?,
            sources: row.sources,
            request: row.request,
            plan: row.plan,
            deadline: Timestamp::from_millis(row.deadline),
            trace: row.trace,
        })
    }
}

/// How a picture was computed, and how long that took.
#[derive(FromRow)]
pub(crate) struct InferenceRow {
    #[sqlx(json)]
    plan: Plan,
    took_ms: i64,
}

impl TryFrom<InferenceRow> for Inference {
    type Error = StoreError;

    fn try_from(row: InferenceRow) -> Result<Self, StoreError> {
        Ok(Self {
            plan: row.plan,
            took: duration("samples.output", row.took_ms)?,
        })
    }
}

/// A sample that may be dispatched, with what its node needs to know.
#[derive(FromRow)]
pub(crate) struct DueRow {
    job_id: String,
    idx: i64,
    attempt: i64,
    seed: i64,
    account_id: String,
    #[sqlx(json)]
    request: Request,
    #[sqlx(json)]
    plan: Plan,
    #[sqlx(json)]
    inputs: Pair<String>,
    due_at: i64,
    deadline: i64,
    trace: Option<String>,
}

impl DueRow {
    /// What this sample's next attempt is, on this node.
    pub(crate) fn into_assignment(self, node: String) -> Result<Assignment, StoreError> {
        let sample = sample_id(&self.job_id, self.idx)?;
        Ok(Assignment {
            attempt: sample.attempt(number("samples.attempt", self.attempt + 1)?),
            account: parse("jobs.account_id", &self.account_id)?,
            node,
            request: self.request,
            plan: self.plan,
            inputs: self.inputs,
            seed: self.seed.cast_unsigned(),
            due_at: Timestamp::from_millis(self.due_at),
            deadline: Timestamp::from_millis(self.deadline),
            trace: self.trace,
        })
    }
}

fn sample_id(job: &str, idx: i64) -> Result<SampleId, StoreError> {
    let job: JobId = parse("samples.job_id", job)?;
    Ok(job.sample(number("samples.idx", idx)?))
}

/// How far a sample is.
#[derive(FromRow)]
pub(crate) struct ProgressRow {
    idx: i64,
    state: String,
    attempt: i64,
    lost: i64,
    error_name: Option<String>,
    error_message: Option<String>,
}

/// How far a sample is.
pub(crate) struct Progress {
    pub(crate) index: u8,
    pub(crate) state: SampleState,
    /// The number of its latest attempt; 0 before the first.
    pub(crate) attempt: u32,
    pub(crate) lost: u32,
    pub(crate) error: Option<JobError>,
}

impl Progress {
    /// Whether the attempt of this number is under way.
    pub(crate) fn is_current(&self, number: u32) -> bool {
        let under_way = matches!(self.state, SampleState::Dispatched | SampleState::Running);
        under_way && self.attempt == number
    }
}

impl TryFrom<ProgressRow> for Progress {
    type Error = StoreError;

    fn try_from(row: ProgressRow) -> Result<Self, StoreError> {
        Ok(Self {
            index: number("samples.idx", row.idx)?,
            state: named("samples.state", &row.state, SampleState::from_name)?,
            attempt: number("samples.attempt", row.attempt)?,
            lost: number("samples.lost", row.lost)?,
            error: error("samples.error_name", row.error_name, row.error_message)?,
        })
    }
}

#[derive(FromRow)]
pub(crate) struct LeaseRow {
    job_id: String,
    idx: i64,
    attempt: i64,
    state: String,
    node: String,
}

impl TryFrom<LeaseRow> for ExpiredLease {
    type Error = StoreError;

    fn try_from(row: LeaseRow) -> Result<Self, StoreError> {
        let state = named("samples.state", &row.state, SampleState::from_name)?;
        let number = number("samples.attempt", row.attempt)?;
        Ok(Self {
            attempt: sample_id(&row.job_id, row.idx)?.attempt(number),
            node: row.node,
            running: state == SampleState::Running,
        })
    }
}

/// The kept pictures of an ended job's inputs.
#[derive(FromRow)]
pub(crate) struct InputsRow {
    pub(crate) id: String,
    #[sqlx(json)]
    pub(crate) sources: Pair<Source>,
    #[sqlx(json(nullable))]
    pub(crate) inputs: Option<Pair<String>>,
}

/// One output of an ended job.
#[derive(FromRow)]
pub(crate) struct OutputRow {
    pub(crate) job_id: String,
    #[sqlx(json)]
    pub(crate) output: Output,
}

#[derive(FromRow)]
pub(crate) struct NodeRow {
    name: String,
    url: String,
    state: String,
    #[sqlx(json)]
    providers: Vec<Provider>,
    attempt: Option<String>,
    hold_until: i64,
    faults: i64,
    drained: bool,
    seen_at: Option<i64>,
    registered_until: Option<i64>,
}

impl TryFrom<NodeRow> for Node {
    type Error = StoreError;

    fn try_from(row: NodeRow) -> Result<Self, StoreError> {
        let attempt = row.attempt.as_deref();
        Ok(Self {
            name: row.name,
            url: row.url,
            state: named("nodes.state", &row.state, NodeState::from_name)?,
            providers: row.providers,
            attempt: attempt
                .map(|text| parse::<AttemptId>("nodes.attempt", text))
                .transpose()?,
            hold_until: Timestamp::from_millis(row.hold_until),
            faults: number("nodes.faults", row.faults)?,
            drained: row.drained,
            registration: registration(row.seen_at, row.registered_until),
        })
    }
}

/// The schema keeps both or neither.
fn registration(seen_at: Option<i64>, until: Option<i64>) -> Option<Registration> {
    let (seen_at, until) = seen_at.zip(until)?;
    Some(Registration {
        seen_at: Timestamp::from_millis(seen_at),
        until: Timestamp::from_millis(until),
    })
}

/// The columns of [`IdleNode`].
#[derive(FromRow)]
pub(crate) struct IdleNodeRow {
    faults: i64,
    #[sqlx(json)]
    providers: Vec<Provider>,
    pace: i64,
    assigned_at: i64,
    name: String,
}

impl From<IdleNodeRow> for IdleNode {
    fn from(row: IdleNodeRow) -> Self {
        Self {
            faults: row.faults,
            offers: row.providers.len(),
            pace: row.pace,
            assigned_at: row.assigned_at,
            name: row.name,
            providers: row.providers,
        }
    }
}

/// The account that pays for a job, and what it set aside.
#[derive(FromRow)]
pub(crate) struct ReservationRow {
    account_id: String,
    price: i64,
    pub(crate) webhook_url: Option<String>,
}

impl ReservationRow {
    pub(crate) fn read(&self) -> Result<(AccountId, u32), StoreError> {
        Ok((
            parse("jobs.account_id", &self.account_id)?,
            number("jobs.price", self.price)?,
        ))
    }
}
/// What an erasure has to know of a job.
#[derive(FromRow)]
pub(crate) struct ErasableRow {
    pub(crate) erasure_id: String,
    #[sqlx(json)]
    pub(crate) request: Request,
    #[sqlx(json)]
    pub(crate) sources: Pair<Source>,
    #[sqlx(json(nullable))]
    pub(crate) pictures: Option<Vec<String>>,
}

#[derive(FromRow)]
pub(crate) struct ErasureRow {
    id: String,
    account_id: String,
    job_id: Option<String>,
    requested_at: i64,
    finished_at: Option<i64>,
    jobs: i64,
    #[sqlx(json)]
    pictures: BTreeMap<String, u64>,
}

impl TryFrom<ErasureRow> for Erasure {
    type Error = StoreError;

    fn try_from(row: ErasureRow) -> Result<Self, StoreError> {
        let job = row.job_id.as_deref();
        Ok(Self {
            id: parse("erasures.id", &row.id)?,
            account: parse("erasures.account_id", &row.account_id)?,
            job: job.map(|id| parse("erasures.job_id", id)).transpose()?,
            requested_at: Timestamp::from_millis(row.requested_at),
            finished_at: time(row.finished_at),
            jobs: number("erasures.jobs", row.jobs)?,
            pictures: row.pictures,
        })
    }
}
