use tryon_core::{
    error::JobErrorCode,
    id::AttemptId,
    job::{JobEnd, JobState, SampleState},
    task::Provider::{Lightxv, Preview, Qwen},
    time::Timestamp,
};
use tryon_store::{Assignment, Lost, NewJob, NodeState, Store};

use crate::fixture::{
    DEADLINE, account_id, at, attempt_of, balance, dispatch, dispatch_one, dispatched_job, error,
    inputs, job_id, new_job, open_jobs, output, plan, prepare, ready_nodes, request, rich_account,
    set_ready, spec, submit,
};

async fn lose(store: &dyn Store, attempt: AttemptId, due_at: Timestamp, max_lost: u32) -> Lost {
    let error = error(JobErrorCode::PipelineError);
    store
        .lose_attempt(attempt, due_at, max_lost, error, at(50))
        .await
        .unwrap()
}

fn samples(given: &[Assignment]) -> Vec<String> {
    given
        .iter()
        .map(|given| given.attempt.sample.to_string())
        .collect()
}

async fn state_of(store: &dyn Store, attempt: AttemptId) -> SampleState {
    let job = store.find_job(attempt.sample.job).await.unwrap().unwrap();
    job.samples[usize::from(attempt.sample.index)].state
}

pub(super) async fn an_assignment_says_what_to_do(store: &dyn Store) {
    rich_account(store, 10).await;
    ready_nodes(store, &["a"]).await;
    let job = prepare(store, 1, 2).await;
    let given = dispatch(store, 2).await;
    let expected = Assignment {
        attempt: job.sample(0).attempt(1),
        account: account_id(1),
        node: "a".to_owned(),
        request: request(),
        plan: plan(Preview),
        inputs: inputs(job),
        seed: u64::MAX,
        deadline: at(DEADLINE),
    };
    assert_eq!(given, [expected]);

    let job = store.find_job(job).await.unwrap().unwrap();
    assert_eq!(job.state, JobState::Running);
    assert_eq!(
        (job.samples[0].state, job.samples[0].attempt),
        (SampleState::Dispatched, 1)
    );
    assert_eq!(
        (job.samples[1].state, job.samples[1].attempt),
        (SampleState::Queued, 0)
    );
    assert_eq!(attempt_of(store, "a").await, Some(given[0].attempt));
    assert_eq!(store.list_expired_leases(at(61), 9).await.unwrap(), []);
    assert_eq!(store.list_expired_leases(at(62), 9).await.unwrap().len(), 1);
}

pub(super) async fn samples_of_the_oldest_job_go_first(store: &dyn Store) {
    rich_account(store, 10).await;
    ready_nodes(store, &["a", "b", "c"]).await;
    // Job 2 is prepared first, but job 1 is older.
    let younger = prepare(store, 2, 2).await;
    let older = prepare(store, 1, 2).await;
    let given = dispatch(store, 3).await;
    let expected = [older.sample(0), older.sample(1), younger.sample(0)];
    assert_eq!(samples(&given), expected.map(|sample| sample.to_string()));
}

pub(super) async fn a_deferred_sample_keeps_its_age(store: &dyn Store) {
    rich_account(store, 10).await;
    let old = dispatched_job(store, 1, "a").await;
    prepare(store, 2, 1).await;
    assert!(store.defer_attempt(old, at(10)).await.unwrap());
    let given = dispatch(store, 10).await;
    assert_eq!(samples(&given), [old.sample.to_string()]);
}

pub(super) async fn a_node_works_on_one_sample(store: &dyn Store) {
    rich_account(store, 10).await;
    ready_nodes(store, &["a", "b"]).await;
    let job = prepare(store, 1, 4).await;
    let given = dispatch(store, 2).await;
    assert_eq!(given.len(), 2);
    assert_ne!(given[0].node, given[1].node);
    assert_eq!(dispatch(store, 3).await, []);

    store
        .complete_sample(given[0].attempt, output("x"), at(4))
        .await
        .unwrap();
    let next = dispatch(store, 5).await;
    assert_eq!(samples(&next), [job.sample(2).to_string()]);
    assert_eq!(next[0].node, given[0].node);
}

pub(super) async fn at_most_the_limit_is_given_out(store: &dyn Store) {
    rich_account(store, 10).await;
    ready_nodes(store, &["a", "b", "c"]).await;
    prepare(store, 1, 3).await;
    let claim = |limit| store.claim_dispatch(at(2), at(60), limit);
    assert_eq!(claim(0).await.unwrap().len(), 0);
    assert_eq!(claim(2).await.unwrap().len(), 2);
    assert_eq!(claim(2).await.unwrap().len(), 1);
}

pub(super) async fn a_provider_is_served_by_itself_only(store: &dyn Store) {
    rich_account(store, 10).await;
    store.sync_nodes(&[spec("a"), spec("b")]).await.unwrap();
    set_ready(store, "a", &[Qwen, Lightxv]).await;
    set_ready(store, "b", &[]).await;
    for (number, provider) in [(1, Preview), (2, Lightxv)] {
        let job = NewJob {
            plan: plan(provider),
            ..new_job(number, 1)
        };
        let id = job.id;
        store.submit_job(job, at(number.into())).await.unwrap();
        store
            .finish_preparation(id, inputs(id), at(3))
            .await
            .unwrap();
    }
    let given = dispatch(store, 4).await;
    assert_eq!(samples(&given), [job_id(2).sample(0).to_string()]);
    assert_eq!(given[0].node, "a");
}

pub(super) async fn only_ready_idle_nodes_are_given_work(store: &dyn Store) {
    rich_account(store, 10).await;
    let states = NodeState::ALL;
    let names = states.map(NodeState::as_str);
    ready_nodes(store, &names).await;
    prepare(store, 1, 4).await;
    for (name, state) in names.iter().zip(states) {
        store.set_node_state(name, state, &[Preview]).await.unwrap();
    }
    store.hold_node("ready", at(10)).await.unwrap();
    assert_eq!(dispatch(store, 9).await, []);
    let given = dispatch(store, 10).await;
    assert_eq!(given.len(), 1);
    assert_eq!(given[0].node, "ready");
}

pub(super) async fn the_longest_idle_node_is_next(store: &dyn Store) {
    rich_account(store, 10).await;
    ready_nodes(store, &["a", "b"]).await;
    prepare(store, 1, 3).await;
    for (second, node) in [(2, "a"), (3, "b"), (4, "a")] {
        let given = store.claim_dispatch(at(second), at(60), 1).await.unwrap();
        assert_eq!(given[0].node, node, "at second {second}");
        store
            .complete_sample(given[0].attempt, output("x"), at(second))
            .await
            .unwrap();
    }
}

pub(super) async fn unprepared_and_overdue_jobs_stay(store: &dyn Store) {
    rich_account(store, 10).await;
    ready_nodes(store, &["a", "b"]).await;
    submit(store, 1, 1).await;
    prepare(store, 2, 1).await;
    assert_eq!(dispatch(store, DEADLINE).await, []);
    let given = dispatch(store, DEADLINE - 1).await;
    assert_eq!(samples(&given), [job_id(2).sample(0).to_string()]);
}

pub(super) async fn an_accepted_attempt_runs_and_extends_its_lease(store: &dyn Store) {
    rich_account(store, 10).await;
    let attempt = dispatched_job(store, 1, "a").await;
    assert!(store.confirm_running(attempt, at(100)).await.unwrap());
    assert_eq!(state_of(store, attempt).await, SampleState::Running);
    assert!(store.confirm_running(attempt, at(200)).await.unwrap());
    assert_eq!(store.list_expired_leases(at(199), 9).await.unwrap(), []);
    assert_eq!(
        store.list_expired_leases(at(200), 9).await.unwrap().len(),
        1
    );
    assert_eq!(attempt_of(store, "a").await, Some(attempt));
}

pub(super) async fn a_deferred_attempt_is_not_lost(store: &dyn Store) {
    rich_account(store, 10).await;
    let first = dispatched_job(store, 1, "a").await;
    let mut attempt = first;
    for second in 2..10 {
        assert!(store.defer_attempt(attempt, at(second)).await.unwrap());
        assert_eq!(attempt_of(store, "a").await, None);
        assert_eq!(state_of(store, attempt).await, SampleState::Queued);
        assert_eq!(dispatch(store, second - 1).await, [], "not due yet");
        let next = dispatch_one(store, second).await;
        assert_eq!(next.number, attempt.number + 1);
        attempt = next;
    }
    assert_eq!(lose(store, attempt, at(11), 2).await, Lost::Requeued);
}

pub(super) async fn a_lost_attempt_is_queued_again(store: &dyn Store) {
    rich_account(store, 10).await;
    let attempt = dispatched_job(store, 1, "a").await;
    store.confirm_running(attempt, at(30)).await.unwrap();
    assert_eq!(lose(store, attempt, at(40), 3).await, Lost::Requeued);
    assert_eq!(attempt_of(store, "a").await, None);
    assert_eq!(store.list_expired_leases(at(500), 9).await.unwrap(), []);
    assert_eq!(dispatch(store, 39).await, []);
    assert_eq!(dispatch_one(store, 40).await, attempt.sample.attempt(2));
}

pub(super) async fn an_attempt_is_lost_once(store: &dyn Store) {
    rich_account(store, 10).await;
    let attempt = dispatched_job(store, 1, "a").await;
    assert_eq!(lose(store, attempt, at(2), 2).await, Lost::Requeued);
    for _ in 0..3 {
        assert_eq!(lose(store, attempt, at(2), 2).await, Lost::Stale);
    }
    assert_eq!(state_of(store, attempt).await, SampleState::Queued);
}

pub(super) async fn lost_too_often_the_sample_fails(store: &dyn Store) {
    let account = rich_account(store, 10).await;
    ready_nodes(store, &["a"]).await;
    let job = prepare(store, 1, 2).await;
    for number in 1..=2 {
        let attempt = dispatch_one(store, 2).await;
        assert_eq!(attempt, job.sample(0).attempt(number));
        assert_eq!(lose(store, attempt, at(2), 3).await, Lost::Requeued);
    }
    let third = dispatch_one(store, 2).await;
    let given_up = lose(store, third, at(2), 3).await;
    assert_eq!(given_up, Lost::GivenUp { job_end: None });
    assert_eq!(attempt_of(store, "a").await, None);
    let found = store.find_job(job).await.unwrap().unwrap();
    assert_eq!(
        found.samples[0].error,
        Some(error(JobErrorCode::PipelineError))
    );
    assert_eq!(found.state, JobState::Running);

    let last = dispatch_one(store, 2).await;
    let job_end = Some(JobEnd::Failed(error(JobErrorCode::PipelineError)));
    assert_eq!(lose(store, last, at(2), 1).await, Lost::GivenUp { job_end });
    assert_eq!(
        store.find_job(job).await.unwrap().unwrap().ended_at,
        Some(at(50))
    );
    assert_eq!(balance(store, account).await.available(), 10);
    assert_eq!(open_jobs(store, account).await, 0);
}

pub(super) async fn who_is_not_current_changes_nothing(store: &dyn Store) {
    rich_account(store, 10).await;
    let first = dispatched_job(store, 1, "a").await;
    lose(store, first, at(2), 9).await;
    let second = dispatch_one(store, 2).await;
    let before = store.find_job(first.sample.job).await.unwrap();

    let never = job_id(77).sample(0).attempt(1);
    let no_such_sample = first.sample.job.sample(7).attempt(1);
    for stale in [first, second.sample.attempt(3), never, no_such_sample] {
        assert!(!store.confirm_running(stale, at(500)).await.unwrap());
        assert!(!store.defer_attempt(stale, at(500)).await.unwrap());
        assert_eq!(lose(store, stale, at(500), 1).await, Lost::Stale);
    }
    assert_eq!(store.find_job(first.sample.job).await.unwrap(), before);
    assert_eq!(attempt_of(store, "a").await, Some(second));
    assert_eq!(
        store.list_expired_leases(at(62), 9).await.unwrap()[0].attempt,
        second
    );
}
