use std::{collections::BTreeMap, time::Duration};

use tryon_core::{
    error::JobErrorCode,
    id::{AttemptId, JobId},
    job::{JobEnd, JobState, SampleState},
    task::Provider::{self, Lightxv, Preview, Qwen},
    time::Timestamp,
};
use tryon_store::{
    Assignment, Inference, LONGEST_WAIT, Lost, NewJob, NodeState, Output, QueueDepth, Store,
};

use crate::fixture::{
    DEADLINE, account_id, at, attempt_of, balance, dispatch, dispatch_one, dispatched_job, error,
    inputs, job_id, make_account, new_job, open_jobs, output, plan, prepare, ready_nodes, request,
    rich_account, set_ready, spec, submit,
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
        due_at: at(1),
        deadline: at(DEADLINE),
        trace: None,
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
    let [older, younger] = [submit(store, 1, 2).await, submit(store, 2, 2).await];
    for job in [younger, older] {
        let prepared = store.finish_preparation(job, inputs(job), at(3)).await;
        assert!(prepared.unwrap());
    }
    let given = dispatch(store, 3).await;
    let expected = [older.sample(0), older.sample(1), younger.sample(0)];
    assert_eq!(samples(&given), expected.map(|sample| sample.to_string()));
}

/// Submits job `number` of account `account` at second `number` and prepares it at once.
async fn prepare_of(store: &dyn Store, account: u8, number: u32, samples: u64) -> JobId {
    prepare_for(store, account, number, samples, Preview).await
}

async fn prepare_for(
    store: &dyn Store,
    account: u8,
    number: u32,
    samples: u64,
    provider: Provider,
) -> JobId {
    let job = NewJob {
        account: account_id(account),
        plan: plan(provider),
        ..new_job(number, samples)
    };
    let (id, now) = (job.id, at(number.into()));
    store.submit_job(job, now).await.unwrap();
    let prepared = store.finish_preparation(id, inputs(id), now).await;
    assert!(prepared.unwrap());
    id
}

/// The numbers of the jobs that are given to the only node, one after the other.
async fn serve(store: &dyn Store, times: usize) -> Vec<u32> {
    let mut served = Vec::new();
    for _ in 0..times {
        let attempt = dispatch_one(store, 500).await;
        let number = (0..500).find(|number| job_id(*number) == attempt.sample.job);
        served.push(number.unwrap());
        let done = store.complete_sample(attempt, output("x"), at(500)).await;
        done.unwrap();
    }
    served
}

pub(super) async fn accounts_are_served_by_turns(store: &dyn Store) {
    for account in 1..=3 {
        make_account(store, account, 100).await;
    }
    ready_nodes(store, &["a"]).await;
    for number in 1..=6 {
        prepare_of(store, 1, number, 1).await;
    }
    assert_eq!(serve(store, 2).await, [1, 2]);
    // Who comes anew waits for nobody's whole queue, and gets nothing for not having come before.
    prepare_of(store, 2, 11, 3).await;
    prepare_of(store, 3, 12, 1).await;
    assert_eq!(serve(store, 5).await, [11, 12, 3, 11, 4]);
    prepare_of(store, 3, 13, 1).await;
    assert_eq!(serve(store, 4).await, [11, 13, 5, 6]);
}

pub(super) async fn what_is_ahead_is_what_is_served_before(store: &dyn Store) {
    for account in 1..=3 {
        make_account(store, account, 1000).await;
    }
    ready_nodes(store, &["a"]).await;
    for number in 1..=6 {
        prepare_of(store, 1, number, 1).await;
    }
    assert_eq!(serve(store, 2).await, [1, 2]);
    let (two, three) = (
        prepare_of(store, 2, 11, 3).await,
        prepare_of(store, 3, 12, 1).await,
    );
    let waiting = (3..=6).map(|number| job_id(number).sample(0));
    let waiting = waiting.chain((0..3).map(|index| two.sample(index)));
    let waiting: Vec<_> = waiting.chain([three.sample(0)]).collect();
    let ahead = store.count_ahead(&waiting).await.unwrap();
    assert_eq!(ahead.len(), waiting.len());
    for served in 0.. {
        let Some(given) = dispatch(store, 500).await.pop() else {
            assert_eq!(served as usize, waiting.len());
            break;
        };
        let sample = given.attempt.sample;
        assert_eq!(ahead[&sample], served, "{ahead:?}");
        let now = store.count_ahead(&[sample]).await.unwrap();
        assert_eq!(now, BTreeMap::new(), "it is served");
        let done = store.complete_sample(given.attempt, output("x"), at(500));
        done.await.unwrap();
    }
    let unprepared = submit(store, 20, 1).await.sample(0);
    let many = prepare_of(store, 1, 30, 120).await.sample(119);
    let ahead = store.count_ahead(&[unprepared, many]).await.unwrap();
    assert_eq!(ahead, BTreeMap::from([(many, LONGEST_WAIT)]));
}

pub(super) async fn what_waits_is_counted_for_each_provider(store: &dyn Store) {
    rich_account(store, 10).await;
    ready_nodes(store, &["a"]).await;
    assert_eq!(store.list_queues().await.unwrap(), []);
    prepare_of(store, 1, 1, 2).await;
    prepare_of(store, 1, 2, 1).await;
    prepare_for(store, 1, 3, 1, Qwen).await;
    submit(store, 4, 1).await;
    let depth = |provider, waiting, oldest| QueueDepth {
        provider,
        waiting,
        oldest: at(oldest),
    };
    let mut queues = store.list_queues().await.unwrap();
    queues.sort_by_key(|queue| queue.oldest);
    assert_eq!(queues, [depth(Preview, 3, 1), depth(Qwen, 1, 3)]);
    dispatch_one(store, 5).await;
    let queues = store.list_queues().await.unwrap();
    assert!(queues.contains(&depth(Preview, 2, 1)), "{queues:?}");
}

pub(super) async fn it_is_known_how_long_pictures_took(store: &dyn Store) {
    rich_account(store, 10).await;
    assert_eq!(store.list_inferences(9).await.unwrap(), []);
    let attempt = dispatched_job(store, 1, "a").await;
    prepare(store, 2, 1).await;
    let done = store.complete_sample(attempt, output("x"), at(5)).await;
    done.unwrap();
    let expected = Inference {
        plan: plan(Preview),
        took: Duration::from_millis(1234),
    };
    assert_eq!(store.list_inferences(9).await.unwrap(), [expected]);
    let attempt = dispatch_one(store, 6).await;
    let slower = Output {
        inference_ms: 9000,
        ..output("y")
    };
    let done = store.complete_sample(attempt, slower, at(60)).await;
    done.unwrap();
    let latest = store.list_inferences(1).await.unwrap();
    assert_eq!(latest[0].took, Duration::from_secs(9));
}

pub(super) async fn turns_are_of_one_provider(store: &dyn Store) {
    for account in 1..=2 {
        make_account(store, account, 100).await;
    }
    store.sync_nodes(&[spec("a")]).await.unwrap();
    set_ready(store, "a", &[Qwen]).await;
    for number in 1..=4 {
        prepare_for(store, 1, number, 1, Qwen).await;
    }
    assert_eq!(serve(store, 4).await, [1, 2, 3, 4]);
    set_ready(store, "a", &[Preview]).await;
    prepare_of(store, 1, 11, 1).await;
    prepare_of(store, 2, 12, 1).await;
    // Four pictures of another model cost account 1 nothing here.
    assert_eq!(serve(store, 2).await, [11, 12]);
}

pub(super) async fn providers_that_share_a_node_are_served_by_turns(store: &dyn Store) {
    rich_account(store, 100).await;
    store.sync_nodes(&[spec("a")]).await.unwrap();
    set_ready(store, "a", &[Qwen, Lightxv]).await;
    for number in 1..=4 {
        prepare_for(store, 1, number, 1, Lightxv).await;
    }
    for number in 11..=12 {
        prepare_for(store, 1, number, 1, Qwen).await;
    }
    let mut served = Vec::new();
    for second in 20..26 {
        let attempt = dispatch_one(store, second).await;
        served.push(attempt.sample.job);
        let done = store.complete_sample(attempt, output("x"), at(second));
        done.await.unwrap();
    }
    assert_eq!(served, [11, 1, 12, 2, 3, 4].map(job_id));
}

/// Most of what one account asks for ends before it is served.
pub(super) async fn who_asks_for_too_much_has_a_share_all_the_same(store: &dyn Store) {
    for account in 1..=2 {
        make_account(store, account, 1000).await;
    }
    ready_nodes(store, &["a"]).await;
    let mut served = [0, 0];
    for second in 1..=60_i64 {
        let number = u32::try_from(second).unwrap() * 10;
        for (account, number) in [
            (1, number),
            (1, number + 1),
            (1, number + 2),
            (2, number + 3),
        ] {
            let job = NewJob {
                account: account_id(account),
                deadline: at(second + 5),
                ..new_job(number, 1)
            };
            let id = job.id;
            store.submit_job(job, at(second)).await.unwrap();
            let prepared = store.finish_preparation(id, inputs(id), at(second));
            assert!(prepared.await.unwrap());
        }
        let given = dispatch(store, second).await;
        served[usize::from(given[0].account == account_id(2))] += 1;
        let done = store.complete_sample(given[0].attempt, output("x"), at(second));
        done.await.unwrap();
        for late in store.list_overdue_jobs(at(second), 100).await.unwrap() {
            let error = error(JobErrorCode::Timeout);
            store.end_job(late, error, at(second)).await.unwrap();
        }
    }
    assert_eq!(served, [30, 30]);
}

pub(super) async fn the_node_that_is_expected_to_finish_first_is_next(store: &dyn Store) {
    rich_account(store, 100).await;
    ready_nodes(store, &["fast", "slow"]).await;
    prepare(store, 1, 20).await;
    let claim = async |second| {
        let given = store.claim_dispatch(at(second), at(900), 1).await.unwrap();
        (given[0].attempt, given[0].node.clone())
    };
    let complete = async |attempt, inference_ms| {
        let output = Output {
            inference_ms,
            ..output("x")
        };
        store.complete_sample(attempt, output, at(9)).await.unwrap();
    };
    // Both are tried.
    for (second, expected, took) in [(2, "fast", 2000), (3, "slow", 9000)] {
        let (attempt, node) = claim(second).await;
        assert_eq!(node, expected);
        complete(attempt, took).await;
    }
    for second in 10..13 {
        let (attempt, node) = claim(second).await;
        assert_eq!(node, "fast", "at second {second}");
        complete(attempt, 2100).await;
    }
    // It is passed over once it fails, for as long as it has made no picture.
    let (attempt, node) = claim(13).await;
    assert_eq!(node, "fast");
    store.count_node_fault("fast").await.unwrap();
    assert_eq!(lose(store, attempt, at(14), 99).await, Lost::Requeued);
    let (attempt, node) = claim(14).await;
    assert_eq!(node, "slow");
    complete(attempt, 9000).await;
    store.clear_node_faults("fast").await.unwrap();
    // It became slow, which some pictures show.
    let mut pictures = 0;
    for second in 20..30 {
        let (attempt, node) = claim(second).await;
        if node == "slow" {
            break;
        }
        complete(attempt, 50_000).await;
        pictures += 1;
    }
    assert_eq!(pictures, 2);
    // At another address it is another machine, of which nothing is known.
    let [mut fast, slow] = [spec("fast"), spec("slow")];
    fast.url.push('0');
    store.sync_nodes(&[fast, slow]).await.unwrap();
    set_ready(store, "fast", &[Preview]).await;
    assert_eq!(claim(40).await.1, "fast");
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
        prepare_for(store, 1, number, 1, provider).await;
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
