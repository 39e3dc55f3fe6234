//! Random lives of many jobs, against a model that fits on a page.
//!
//! Each step is made on the store and on the model; answers and everything that can be read must
//! agree, the audit must find nothing, and what ended must stay as it ended.

mod outbox;
mod turns;

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::Index, test_runner::Config};
use tryon_core::{
    error::{JobError, JobErrorCode},
    id::{AccountId, AttemptId, JobId, SampleId},
    job::{JobEnd, JobState, SampleState},
    ledger::{Balance, Pool},
    limit::Limits,
    task::Provider::{self, Preview, Qwen},
};
use tryon_store::{Assignment, Job, Lost, NewJob, Settled, StoreError, SubmitError};

use self::{
    outbox::{Answer, Outbox},
    turns::Turns,
};
use crate::{
    fixture::{
        account_id, at, attempt_of, error, inputs, job_id, new_job, output, plan, set_ready, spec,
    },
    place::{Place, Shared},
};

const ACCOUNTS: u8 = 2;
const CONCURRENT_JOBS: u32 = 5;
const MAX_LOST: u32 = 2;
/// Seconds that a lease lasts, and a job.
const LEASE: i64 = 20;
const LIFE: i64 = 80;
const NODES: [(&str, &[Provider]); 3] = [
    ("any", &[Preview, Qwen]),
    ("preview", &[Preview]),
    ("qwen", &[Qwen]),
];

/// One call of the store. An [`Index`] picks among the jobs, or among all attempts that were ever
/// given out, so that most of them are late, doubled or stale.
#[derive(Debug, Clone)]
enum Step {
    Wait(u8),
    Grant(u8, Pool, u8),
    Submit(u8, u8, Provider),
    ClaimPreparation,
    FinishPreparation(Index),
    Dispatch(u8),
    Confirm(Index),
    Defer(Index, u8),
    Lose(Index, u8),
    Complete(Index),
    Fail(Index),
    /// A result for an attempt that is yet to come.
    Foresee(Index),
    EndJob(Index),
    Sweep,
    ClaimMessage,
    Tell(Index, Answer),
    Replay(Index),
}

fn step() -> impl Strategy<Value = Step> {
    let pool = prop_oneof![Just(Pool::Subscription), Just(Pool::Purchased)];
    let provider = prop_oneof![Just(Preview), Just(Qwen)];
    let job = any::<Index>;
    let attempt = any::<Index>;
    let answer = prop_oneof![
        Just(Answer::Taken),
        (0..9u8).prop_map(Answer::Busy),
        Just(Answer::TooOften),
        Just(Answer::Gone),
    ];
    prop_oneof![
        2 => (1..30u8).prop_map(Step::Wait),
        1 => (0..ACCOUNTS, pool, 0..6u8).prop_map(|(a, pool, n)| Step::Grant(a, pool, n)),
        4 => (0..ACCOUNTS, 1..=4u8, provider).prop_map(|(a, n, p)| Step::Submit(a, n, p)),
        1 => Just(Step::ClaimPreparation),
        4 => job().prop_map(Step::FinishPreparation),
        6 => (1..4u8).prop_map(Step::Dispatch),
        2 => attempt().prop_map(Step::Confirm),
        2 => (attempt(), 0..9u8).prop_map(|(a, s)| Step::Defer(a, s)),
        2 => (attempt(), 0..9u8).prop_map(|(a, s)| Step::Lose(a, s)),
        5 => attempt().prop_map(Step::Complete),
        2 => attempt().prop_map(Step::Fail),
        1 => attempt().prop_map(Step::Foresee),
        1 => job().prop_map(Step::EndJob),
        1 => Just(Step::Sweep),
        3 => Just(Step::ClaimMessage),
        3 => (any::<Index>(), answer).prop_map(|(claim, answer)| Step::Tell(claim, answer)),
        1 => job().prop_map(Step::Replay),
    ]
}

#[derive(Debug, Clone, PartialEq)]
struct ModelSample {
    state: SampleState,
    attempt: u32,
    lost: u32,
    due_at: Option<i64>,
    lease_until: Option<i64>,
    error: Option<JobError>,
}

#[derive(Debug, Clone)]
struct ModelJob {
    id: JobId,
    account: AccountId,
    provider: Provider,
    created_at: i64,
    preparation_lease: i64,
    state: JobState,
    error: Option<JobError>,
    samples: Vec<ModelSample>,
}

impl ModelJob {
    fn deadline(&self) -> i64 {
        self.created_at + LIFE
    }

    fn is_open(&self) -> bool {
        !self.state.is_terminal()
    }

    fn delivered(&self) -> u32 {
        let images = self
            .samples
            .iter()
            .filter(|sample| sample.state == SampleState::Succeeded);
        u32::try_from(images.count()).unwrap()
    }
}

/// The store as it should be, and the one that is tested.
struct Model {
    store: Shared,
    now: i64,
    balances: BTreeMap<AccountId, Balance>,
    jobs: Vec<ModelJob>,
    attempts: Vec<AttemptId>,
    nodes: BTreeMap<&'static str, Option<AttemptId>>,
    outbox: Outbox,
    turns: Turns,
}

impl Model {
    async fn new(store: Shared) -> Self {
        let limits = Limits {
            concurrent_jobs: CONCURRENT_JOBS,
            ..Limits::default()
        };
        let mut balances = BTreeMap::new();
        for account in 0..ACCOUNTS {
            let id = account_id(account);
            store.create_account(id, "", limits, at(0)).await.unwrap();
            let balance = store
                .grant_credits(id, Pool::Subscription, 12, at(0))
                .await
                .unwrap();
            balances.insert(id, balance);
        }
        store
            .sync_nodes(&NODES.map(|(name, _)| spec(name)))
            .await
            .unwrap();
        for (name, providers) in NODES {
            set_ready(&**store, name, providers).await;
        }
        Self {
            store,
            now: 1,
            balances,
            jobs: Vec::new(),
            attempts: Vec::new(),
            nodes: NODES.map(|(name, _)| (name, None)).into(),
            outbox: Outbox::default(),
            turns: Turns::default(),
        }
    }

    async fn make(&mut self, step: Step) {
        match step {
            Step::Wait(seconds) => self.now += i64::from(seconds),
            Step::Grant(account, pool, amount) => self.grant(account, pool, amount).await,
            Step::Submit(account, samples, provider) => {
                self.submit(account, samples, provider).await;
            }
            Step::ClaimPreparation => self.claim_preparation().await,
            Step::Dispatch(limit) => self.dispatch(limit).await,
            Step::Sweep => self.sweep().await,
            Step::ClaimMessage => self.outbox.claim(&**self.store, self.now).await,
            Step::Tell(claim, answer) => self.tell(claim, answer).await,
            Step::FinishPreparation(_) | Step::EndJob(_) | Step::Replay(_)
                if self.jobs.is_empty() => {}
            Step::Replay(job) => {
                let job = &self.jobs[job.index(self.jobs.len())];
                let outbox = &mut self.outbox;
                outbox
                    .replay(&**self.store, job.account, job.id, self.now)
                    .await;
            }
            Step::FinishPreparation(job) => {
                let job = job.index(self.jobs.len());
                self.finish_preparation(job).await;
            }
            Step::EndJob(job) => {
                let job = job.index(self.jobs.len());
                self.end_job(job, JobErrorCode::Cancelled).await;
            }
            _ if self.attempts.is_empty() => {}
            of_attempt => self.make_attempt_step(of_attempt).await,
        }
    }

    async fn make_attempt_step(&mut self, step: Step) {
        let pick = |index: Index| self.attempts[index.index(self.attempts.len())];
        match step {
            Step::Confirm(index) => self.confirm(pick(index)).await,
            Step::Defer(index, seconds) => self.defer(pick(index), seconds).await,
            Step::Lose(index, seconds) => self.lose(pick(index), seconds).await,
            Step::Complete(index) => self.complete(pick(index)).await,
            Step::Fail(index) => self.fail(pick(index)).await,
            Step::Foresee(index) => self.foresee(pick(index)).await,
            other => unreachable!("{other:?} is not about an attempt"),
        }
    }

    // ── accounts ────────────────────────────────────────────────────────────────────────────────

    async fn grant(&mut self, account: u8, pool: Pool, amount: u8) {
        let balance = self.balances.get_mut(&account_id(account)).unwrap();
        *balance = balance.after(&Balance::grant(pool, amount.into())).unwrap();
        let (id, now) = (account_id(account), at(self.now));
        let granted = self.store.grant_credits(id, pool, amount.into(), now).await;
        assert_eq!(granted.unwrap(), *balance);
    }

    fn open_jobs(&self, account: AccountId) -> u32 {
        let open = self
            .jobs
            .iter()
            .filter(|job| job.account == account && job.is_open());
        u32::try_from(open.count()).unwrap()
    }

    async fn submit(&mut self, account: u8, samples: u8, provider: Provider) {
        let (number, account) = (u32::try_from(self.jobs.len()).unwrap(), account_id(account));
        let job = NewJob {
            account,
            plan: plan(provider),
            deadline: at(self.now + LIFE),
            webhook_url: outbox::url(number).map(str::to_owned),
            ..new_job(number, samples.into())
        };
        let submitted = self.store.submit_job(job, at(self.now)).await;
        let open = self.open_jobs(account);
        let balance = self.balances.get_mut(&account).unwrap();
        match (open >= CONCURRENT_JOBS, balance.reserve(samples.into())) {
            (true, _) => assert!(matches!(submitted, Err(SubmitError::TooManyJobs { .. }))),
            (_, Err(expected)) => {
                let Err(SubmitError::OutOfCredits(refused)) = submitted else {
                    panic!("{submitted:?}");
                };
                assert_eq!(refused, expected);
            }
            (false, Ok(movement)) => {
                submitted.unwrap();
                *balance = balance.after(&movement).unwrap();
                self.jobs
                    .push(accepted(number, account, provider, samples, self.now));
            }
        }
    }

    // ── preparation ─────────────────────────────────────────────────────────────────────────────

    async fn claim_preparation(&mut self) {
        let (now, until) = (self.now, self.now + LEASE);
        let claimed = self
            .store
            .claim_preparation(at(now), at(until), &[])
            .await
            .unwrap();
        let free = self.jobs.iter_mut().filter(|job| {
            let accepted = job.state == JobState::Accepted;
            accepted && job.preparation_lease <= now && job.deadline() > now
        });
        let oldest = free.min_by_key(|job| (job.created_at, job.id));
        assert_eq!(
            claimed.map(|claimed| claimed.job),
            oldest.as_ref().map(|job| job.id)
        );
        if let Some(job) = oldest {
            job.preparation_lease = until;
        }
    }

    async fn finish_preparation(&mut self, index: usize) {
        let (job, now) = (&mut self.jobs[index], self.now);
        let finished = self
            .store
            .finish_preparation(job.id, inputs(job.id), at(now))
            .await;
        assert_eq!(finished.unwrap(), job.state == JobState::Accepted);
        if job.state == JobState::Accepted {
            job.state = JobState::Prepared;
            job.samples
                .iter_mut()
                .for_each(|sample| sample.due_at = Some(now));
            self.turns.join(job.account, job.provider);
        }
    }

    // ── dispatch ────────────────────────────────────────────────────────────────────────────────

    async fn dispatch(&mut self, limit: u8) {
        let (now, until) = (self.now, self.now + LEASE);
        let given = self
            .store
            .claim_dispatch(at(now), at(until), limit.into())
            .await
            .unwrap();
        assert!(given.len() <= limit.into());
        for provider in Provider::ALL {
            self.check_turns(*provider, &given);
        }
        for assignment in &given {
            self.assign(assignment, until);
        }
        if given.len() < limit.into() {
            let waiting = NODES.iter().find(|(name, providers)| {
                let is_due = |provider: &Provider| self.due_samples(*provider).next().is_some();
                self.nodes[name].is_none() && providers.iter().any(is_due)
            });
            assert_eq!(
                waiting, None,
                "an idle node and a due sample were left: {given:?}"
            );
        }
    }

    /// Each was its account's oldest, and it was that account's turn.
    fn check_turns(&mut self, provider: Provider, given: &[Assignment]) {
        let mut due: Vec<_> = self.due_samples(provider).collect();
        due.sort_unstable();
        let given = given
            .iter()
            .filter(|given| given.plan.provider == provider)
            .map(|given| given.attempt.sample);
        for sample in given {
            let waiting = due.iter().map(|(_, _, account)| *account);
            let next = self.turns.serve(provider, waiting);
            let at = due
                .iter()
                .position(|(_, _, account)| Some(*account) == next);
            let (_, oldest, _) = due.remove(at.unwrap());
            assert_eq!(oldest, sample);
        }
    }

    /// One pair must be possible: a due sample and an idle node that offers its provider.
    fn assign(&mut self, given: &Assignment, until: i64) {
        let (name, providers) = NODES
            .into_iter()
            .find(|(name, _)| *name == given.node)
            .unwrap();
        assert!(providers.contains(&given.plan.provider));
        assert_eq!(
            self.nodes.insert(name, Some(given.attempt)),
            Some(None),
            "it was idle"
        );
        let now = self.now;
        let job = self.job_mut(given.attempt);
        assert!(job.deadline() > now);
        assert_eq!(
            (job.account, job.provider),
            (given.account, given.plan.provider)
        );
        job.state = JobState::Running;
        let sample = &mut job.samples[usize::from(given.attempt.sample.index)];
        assert_eq!(sample.state, SampleState::Queued);
        assert!(sample.due_at.is_some_and(|due| due <= now));
        sample.attempt += 1;
        assert_eq!(sample.attempt, given.attempt.number);
        (sample.state, sample.due_at) = (SampleState::Dispatched, None);
        sample.lease_until = Some(until);
        self.attempts.push(given.attempt);
    }

    fn due_samples(&self, provider: Provider) -> impl Iterator<Item = (i64, SampleId, AccountId)> {
        let now = self.now;
        let jobs = self.jobs.iter();
        jobs.filter(move |job| job.provider == provider && job.deadline() > now)
            .flat_map(move |job| {
                let samples = (0..).zip(&job.samples);
                let due = samples.filter(move |(_, s)| s.due_at.is_some_and(|due| due <= now));
                due.map(|(index, _)| (job.created_at, job.id.sample(index), job.account))
            })
    }

    async fn confirm(&mut self, attempt: AttemptId) {
        let until = self.now + LEASE;
        let confirmed = self
            .store
            .confirm_running(attempt, at(until))
            .await
            .unwrap();
        let current = self.current(attempt);
        assert_eq!(confirmed, current.is_some());
        if let Some(sample) = current {
            sample.state = SampleState::Running;
            sample.lease_until = Some(until);
        }
    }

    async fn defer(&mut self, attempt: AttemptId, seconds: u8) {
        let due = self.now + i64::from(seconds);
        let deferred = self.store.defer_attempt(attempt, at(due)).await.unwrap();
        assert_eq!(deferred, self.requeue(attempt, due).is_some());
    }

    fn requeue(&mut self, attempt: AttemptId, due: i64) -> Option<&mut ModelSample> {
        self.current(attempt)?;
        self.free(attempt);
        let job = self.job(attempt);
        let (account, provider) = (job.account, job.provider);
        self.turns.join(account, provider);
        let sample = self.current(attempt)?;
        (sample.state, sample.due_at, sample.lease_until) = (SampleState::Queued, Some(due), None);
        Some(sample)
    }

    async fn lose(&mut self, attempt: AttemptId, seconds: u8) {
        let (now, due) = (self.now, self.now + i64::from(seconds));
        let reason = error(JobErrorCode::PipelineError);
        let lost = self
            .store
            .lose_attempt(attempt, at(due), MAX_LOST, reason.clone(), at(now));
        let lost = lost.await.unwrap();
        let expected = match self.current(attempt).map(|sample| sample.lost + 1) {
            None => Lost::Stale,
            Some(MAX_LOST) => Lost::GivenUp {
                job_end: self.end_sample(attempt, Err(reason)),
            },
            Some(count) => {
                self.requeue(attempt, due).unwrap().lost = count;
                Lost::Requeued
            }
        };
        assert_eq!(lost, expected);
    }

    // ── results ─────────────────────────────────────────────────────────────────────────────────

    async fn complete(&mut self, attempt: AttemptId) {
        let image = output(&attempt.to_string());
        let settled = self
            .store
            .complete_sample(attempt, image, at(self.now))
            .await
            .unwrap();
        let expected = if self.sample_mut(attempt).state.is_terminal() {
            Settled::Ignored
        } else {
            Settled::Recorded {
                job_end: self.end_sample(attempt, Ok(())),
            }
        };
        assert_eq!(settled, expected);
    }

    async fn fail(&mut self, attempt: AttemptId) {
        let reason = error(JobErrorCode::PoseError);
        let settled = self
            .store
            .fail_sample(attempt, reason.clone(), at(self.now))
            .await;
        let expected = match self.current(attempt) {
            None => Settled::Ignored,
            Some(_) => Settled::Recorded {
                job_end: self.end_sample(attempt, Err(reason)),
            },
        };
        assert_eq!(settled.unwrap(), expected);
    }

    async fn foresee(&mut self, attempt: AttemptId) {
        let number = self.sample_mut(attempt).attempt + 1;
        let future = attempt.sample.attempt(number);
        let settled = self
            .store
            .complete_sample(future, output("x"), at(self.now))
            .await;
        assert_eq!(settled.unwrap(), Settled::Unknown);
    }

    /// Ends a sample, whichever attempt did it, and its job with it when it was the last.
    fn end_sample(&mut self, by: AttemptId, result: Result<(), JobError>) -> Option<JobEnd> {
        let current = by.sample.attempt(self.sample_mut(by).attempt);
        self.free(current);
        end(self.sample_mut(by), result);
        let job = self.job(by);
        let samples = job
            .samples
            .iter()
            .map(|sample| (sample.state, sample.error.as_ref()));
        let job_end = JobEnd::of_samples(samples)?;
        self.settle(by.sample.job, &job_end);
        Some(job_end)
    }

    async fn end_job(&mut self, index: usize, reason: JobErrorCode) {
        let (id, now, reason) = (self.jobs[index].id, at(self.now), error(reason));
        let ended = self.store.end_job(id, reason.clone(), now).await.unwrap();
        if !self.jobs[index].is_open() {
            assert_eq!(ended, None);
            return;
        }
        for attempt in self.nodes.values_mut() {
            attempt.take_if(|attempt| attempt.sample.job == id);
        }
        let job = &mut self.jobs[index];
        for sample in job
            .samples
            .iter_mut()
            .filter(|sample| !sample.state.is_terminal())
        {
            end(sample, Err(reason.clone()));
        }
        let expected = match job.delivered() {
            0 => JobEnd::Failed(reason),
            delivered => JobEnd::Completed { delivered },
        };
        self.settle(id, &expected);
        assert_eq!(ended, Some(expected));
    }

    fn settle(&mut self, id: JobId, end: &JobEnd) {
        let number = self.jobs.iter().position(|job| job.id == id).unwrap();
        let job = &mut self.jobs[number];
        self.outbox
            .write(id, job.account, u32::try_from(number).unwrap(), self.now);
        job.state = end.state();
        job.error = match end {
            JobEnd::Failed(error) => Some(error.clone()),
            JobEnd::Completed { .. } => None,
        };
        let balance = self.balances.get_mut(&job.account).unwrap();
        let price = u32::try_from(job.samples.len()).unwrap();
        *balance = balance
            .after(&balance.settle(price, end.delivered()))
            .unwrap();
    }

    /// What the gateway does of its own: leases that ran out are lost, overdue jobs are ended.
    async fn sweep(&mut self) {
        let expired = self
            .store
            .list_expired_leases(at(self.now), 100)
            .await
            .unwrap();
        let due = |sample: &ModelSample| sample.lease_until.is_some_and(|until| until <= self.now);
        let expected = self
            .jobs
            .iter()
            .flat_map(|job| &job.samples)
            .filter(|sample| due(sample));
        assert_eq!(expired.len(), expected.count());
        for lease in expired {
            self.lose(lease.attempt, 0).await;
        }
        for id in self
            .store
            .list_overdue_jobs(at(self.now), 100)
            .await
            .unwrap()
        {
            let index = self.jobs.iter().position(|job| job.id == id).unwrap();
            self.end_job(index, JobErrorCode::Timeout).await;
        }
        let overdue = self
            .jobs
            .iter()
            .find(|job| job.is_open() && job.deadline() <= self.now);
        assert!(overdue.is_none(), "{overdue:?} outlived its deadline");
    }

    // ── telling clients ─────────────────────────────────────────────────────────────────────────

    async fn tell(&mut self, claim: Index, answer: Answer) {
        if self.outbox.claims.is_empty() {
            return;
        }
        let claim = &self.outbox.claims[claim.index(self.outbox.claims.len())];
        let tried = (claim.job, claim.number);
        self.outbox
            .tell(&**self.store, tried, answer, self.now)
            .await;
    }

    // ── looking things up ───────────────────────────────────────────────────────────────────────

    fn job(&self, attempt: AttemptId) -> &ModelJob {
        let id = attempt.sample.job;
        self.jobs.iter().find(|job| job.id == id).unwrap()
    }

    fn job_mut(&mut self, attempt: AttemptId) -> &mut ModelJob {
        let id = attempt.sample.job;
        self.jobs.iter_mut().find(|job| job.id == id).unwrap()
    }

    fn sample_mut(&mut self, attempt: AttemptId) -> &mut ModelSample {
        &mut self.job_mut(attempt).samples[usize::from(attempt.sample.index)]
    }

    /// The attempt's sample, if a node works on that very attempt.
    fn current(&mut self, attempt: AttemptId) -> Option<&mut ModelSample> {
        let sample = self.sample_mut(attempt);
        let current = sample.attempt == attempt.number && sample.lease_until.is_some();
        current.then_some(sample)
    }

    fn free(&mut self, attempt: AttemptId) {
        for node in self.nodes.values_mut() {
            node.take_if(|on_it| *on_it == attempt);
        }
    }

    // ── comparing ───────────────────────────────────────────────────────────────────────────────

    async fn check(&self) -> Result<(), StoreError> {
        for (id, balance) in &self.balances {
            let account = self.store.find_account(*id).await?.unwrap();
            assert_eq!(account.balance, *balance);
            assert_eq!(account.open_jobs, self.open_jobs(*id));
        }
        for job in &self.jobs {
            let found = self.store.find_job(job.id).await?.unwrap();
            check_job(job, &found);
        }
        for (name, attempt) in &self.nodes {
            assert_eq!(attempt_of(&**self.store, name).await, *attempt, "{name}");
        }
        let accounts: Vec<_> = self.balances.keys().copied().collect();
        self.outbox.check(&**self.store, &accounts).await;
        assert_eq!(self.store.audit().await?, []);
        Ok(())
    }
}

fn accepted(
    number: u32,
    account: AccountId,
    provider: Provider,
    samples: u8,
    now: i64,
) -> ModelJob {
    let sample = ModelSample {
        state: SampleState::Queued,
        attempt: 0,
        lost: 0,
        due_at: None,
        lease_until: None,
        error: None,
    };
    ModelJob {
        id: job_id(number),
        account,
        provider,
        created_at: now,
        preparation_lease: 0,
        state: JobState::Accepted,
        error: None,
        samples: vec![sample; samples.into()],
    }
}

fn end(sample: &mut ModelSample, result: Result<(), JobError>) {
    (sample.due_at, sample.lease_until) = (None, None);
    sample.error = result.err();
    sample.state = match sample.error {
        None => SampleState::Succeeded,
        Some(_) => SampleState::Failed,
    };
}

fn check_job(job: &ModelJob, found: &Job) {
    assert_eq!((found.state, &found.error), (job.state, &job.error));
    assert_eq!(found.ended_at.is_some(), job.state.is_terminal());
    assert_eq!(found.samples.len(), job.samples.len());
    for (sample, found) in job.samples.iter().zip(&found.samples) {
        assert_eq!((found.state, found.attempt), (sample.state, sample.attempt));
        assert_eq!(found.error, sample.error);
        assert_eq!(
            found.output.is_some(),
            sample.state == SampleState::Succeeded
        );
    }
}

/// Whatever happened, a sweep after every deadline leaves no job open and no credit reserved.
async fn live(place: Place, steps: Vec<Step>) {
    let mut model = Model::new(place.open().await).await;
    for step in steps {
        model.make(step).await;
        model.check().await.unwrap();
    }
    model.now += 1000;
    model.sweep().await;
    model.check().await.unwrap();
    assert!(model.balances.values().all(|balance| balance.reserved == 0));
    assert!(model.jobs.iter().all(|job| !job.is_open()));
    model.store.close().await;
}

fn run(life: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(life);
}

proptest! {
    #![proptest_config(Config { cases: 96, ..Config::default() })]

    #[test]
    fn sqlite_does_what_the_model_does(steps in prop::collection::vec(step(), 1..80)) {
        run(async { live(Place::memory().await, steps).await });
    }
}

proptest! {
    // Each makes a database of its own.
    #![proptest_config(Config { cases: 24, ..Config::default() })]

    #[test]
    fn postgres_does_what_the_model_does(steps in prop::collection::vec(step(), 1..80)) {
        run(async { live(Place::postgres().await, steps).await });
    }
}
