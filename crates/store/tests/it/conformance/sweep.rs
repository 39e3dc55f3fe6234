use tryon_core::error::JobErrorCode::{Cancelled, PipelineError};
use tryon_store::{
    Erasable, ExpiredLease, NewJob, Pair, Source, Store,
    Work::{Deadlines, Delivery, Dispatch, Erasures, Leases, Preparation},
};

use crate::fixture::{
    DEADLINE, at, dispatch, dispatched_job, error, inputs, job_id, new_job, output, prepare,
    ready_nodes, rich_account, submit,
};

pub(super) async fn leases_that_ran_out_are_listed_oldest_first(store: &dyn Store) {
    rich_account(store, 10).await;
    ready_nodes(store, &["a", "b", "c"]).await;
    prepare(store, 1, 3).await;
    let given = dispatch(store, 2).await;
    for (given, until) in given.iter().zip([30, 20, 40]) {
        store
            .confirm_running(given.attempt, at(until))
            .await
            .unwrap();
    }
    let lease = |index: usize| ExpiredLease {
        attempt: given[index].attempt,
        node: given[index].node.clone(),
        running: true,
    };
    assert_eq!(store.list_expired_leases(at(19), 9).await.unwrap(), []);
    assert_eq!(
        store.list_expired_leases(at(35), 9).await.unwrap(),
        [lease(1), lease(0)]
    );
    assert_eq!(
        store.list_expired_leases(at(50), 1).await.unwrap(),
        [lease(1)]
    );

    let pipeline = error(PipelineError);
    store
        .lose_attempt(given[1].attempt, at(50), 9, pipeline, at(50))
        .await
        .unwrap();
    let again = store.claim_dispatch(at(50), at(51), 1).await.unwrap();
    let unanswered = ExpiredLease {
        attempt: again[0].attempt,
        node: again[0].node.clone(),
        running: false,
    };
    assert_eq!(
        store.list_expired_leases(at(60), 9).await.unwrap()[2],
        unanswered
    );
}

pub(super) async fn jobs_past_their_deadline_are_listed_oldest_first(store: &dyn Store) {
    rich_account(store, 10).await;
    for (number, deadline) in [(1, 30), (2, 20), (3, 10), (4, 40)] {
        let job = NewJob {
            deadline: at(deadline),
            ..new_job(number, 1)
        };
        store.submit_job(job, at(0)).await.unwrap();
    }
    store
        .end_job(job_id(3), error(Cancelled), at(5))
        .await
        .unwrap();
    assert_eq!(store.list_overdue_jobs(at(19), 9).await.unwrap(), []);
    assert_eq!(
        store.list_overdue_jobs(at(30), 9).await.unwrap(),
        [2, 1].map(job_id)
    );
    assert_eq!(
        store.list_overdue_jobs(at(99), 1).await.unwrap(),
        [2].map(job_id)
    );
}

pub(super) async fn inputs_of_ended_jobs_are_erasable_once(store: &dyn Store) {
    rich_account(store, 10).await;
    let prepared = prepare(store, 1, 1).await;
    let urls = NewJob {
        sources: Pair {
            person: Source::Url("https://example.org/p".to_owned()),
            garment: None,
        },
        ..new_job(2, 1)
    };
    store.submit_job(urls, at(2)).await.unwrap();
    submit(store, 3, 1).await;
    assert_eq!(
        store.list_erasable_inputs(9).await.unwrap(),
        [],
        "none has ended"
    );
    store.mark_inputs_erased(prepared, at(3)).await.unwrap();
    for (number, second) in [(1, 5), (2, 6)] {
        store
            .end_job(job_id(number), error(Cancelled), at(second))
            .await
            .unwrap();
    }

    let kept = inputs(prepared);
    let first = Erasable {
        job: prepared,
        keys: vec![
            "uploads/1/garment".to_owned(),
            kept.person,
            kept.garment.unwrap(),
        ],
    };
    let second = Erasable {
        job: job_id(2),
        keys: vec![],
    };
    assert_eq!(
        store.list_erasable_inputs(9).await.unwrap(),
        [first.clone(), second.clone()]
    );
    assert_eq!(store.list_erasable_inputs(1).await.unwrap(), [first]);
    store.mark_inputs_erased(prepared, at(7)).await.unwrap();
    assert_eq!(store.list_erasable_inputs(9).await.unwrap(), [second]);
    store.mark_inputs_erased(job_id(99), at(7)).await.unwrap();
}

pub(super) async fn outputs_are_erasable_after_their_time(store: &dyn Store) {
    rich_account(store, 10).await;
    ready_nodes(store, &["a", "b"]).await;
    let job = prepare(store, 1, 2).await;
    for (given, key) in dispatch(store, 2).await.iter().zip(["x", "y"]) {
        store
            .complete_sample(given.attempt, output(key), at(10))
            .await
            .unwrap();
    }
    let failed = prepare(store, 3, 1).await;
    store
        .end_job(failed, error(Cancelled), at(4))
        .await
        .unwrap();

    let erasable = Erasable {
        job,
        keys: vec!["x".to_owned(), "y".to_owned()],
    };
    assert_eq!(store.list_erasable_outputs(at(110), 9).await.unwrap(), []);
    assert_eq!(
        store.list_erasable_outputs(at(111), 1).await.unwrap(),
        [erasable]
    );
    store.mark_outputs_erased(job, at(12)).await.unwrap();
    assert_eq!(store.list_erasable_outputs(at(111), 9).await.unwrap(), []);
    store.mark_outputs_erased(job, at(13)).await.unwrap();
    let found = store.find_job(job).await.unwrap().unwrap();
    assert_eq!(found.outputs_erased_at, Some(at(12)));
}

pub(super) async fn the_next_moment_is_known(store: &dyn Store) {
    rich_account(store, 10).await;
    let attempt = dispatched_job(store, 1, "a").await;
    let next = async |work, second| store.next_due(work, at(second)).await.unwrap();
    assert_eq!(next(Leases, 1).await, Some(at(61)));
    assert_eq!(next(Leases, 61).await, None);
    assert_eq!(next(Deadlines, 1).await, Some(at(DEADLINE)));
    assert_eq!(next(Deadlines, DEADLINE).await, None);
    assert_eq!(next(Dispatch, 1).await, None);

    store.defer_attempt(attempt, at(30)).await.unwrap();
    assert_eq!(next(Dispatch, 1).await, Some(at(30)), "the sample");
    assert_eq!(next(Dispatch, 30).await, None);
    assert_eq!(next(Leases, 1).await, None);

    store.hold_node("a", at(20)).await.unwrap();
    assert_eq!(next(Dispatch, 1).await, Some(at(20)), "the node");
    submit(store, 2, 1).await;
    assert_eq!(next(Preparation, 1).await, None);
    store
        .claim_preparation(at(2), at(15), &[])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(next(Preparation, 1).await, Some(at(15)));
}

async fn assert_idle(store: &dyn Store) {
    for work in [Dispatch, Leases, Deadlines, Preparation, Delivery, Erasures] {
        assert_eq!(store.next_due(work, at(0)).await.unwrap(), None, "{work:?}");
    }
}

pub(super) async fn nothing_is_due_in_an_idle_store(store: &dyn Store) {
    assert_idle(store).await;
    rich_account(store, 10).await;
    let attempt = dispatched_job(store, 1, "a").await;
    store
        .complete_sample(attempt, output("x"), at(2))
        .await
        .unwrap();
    assert_idle(store).await;
}
