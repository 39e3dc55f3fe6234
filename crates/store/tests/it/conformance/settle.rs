use tryon_core::{
    error::{
        JobError,
        JobErrorCode::{
            Cancelled, ImageLoadError, PipelineError, PoseError, ProcessingError, Timeout,
        },
    },
    id::{AttemptId, JobId},
    job::{JobEnd, JobState, SampleState},
    ledger::Pool,
};
use tryon_store::{Job, Lost, Output, Settled, Store};

use crate::fixture::{
    at, attempt_of, balance, dispatch, dispatch_one, dispatched_job, error, job_id, open_jobs,
    output, prepare, ready_nodes, rich_account, submit,
};

const GOES_ON: Settled = Settled::Recorded { job_end: None };

fn ends(job_end: JobEnd) -> Settled {
    Settled::Recorded {
        job_end: Some(job_end),
    }
}

/// A job whose samples are all on their way, each to its own node.
async fn dispatched_samples(store: &dyn Store, names: &[&str]) -> (JobId, Vec<AttemptId>) {
    ready_nodes(store, names).await;
    let job = prepare(store, 1, names.len() as u64).await;
    let given = dispatch(store, 2).await;
    assert_eq!(given.len(), names.len());
    (job, given.iter().map(|given| given.attempt).collect())
}

async fn lose(store: &dyn Store, attempt: AttemptId) {
    let lost = store
        .lose_attempt(attempt, at(3), 9, error(PipelineError), at(3))
        .await;
    assert_eq!(lost.unwrap(), Lost::Requeued);
}

async fn find(store: &dyn Store, job: JobId) -> Job {
    store.find_job(job).await.unwrap().unwrap()
}

pub(super) async fn the_last_sample_settles_the_job(store: &dyn Store) {
    let account = rich_account(store, 10).await;
    let (job, attempts) = dispatched_samples(store, &["a", "b"]).await;
    let first = store
        .complete_sample(attempts[1], output("second"), at(5))
        .await
        .unwrap();
    assert_eq!(first, GOES_ON);
    assert_eq!(balance(store, account).await.reserved, 2);
    assert_eq!(find(store, job).await.state, JobState::Running);
    assert_eq!(attempt_of(store, "b").await, None);

    let last = store
        .complete_sample(attempts[0], output("first"), at(6))
        .await
        .unwrap();
    assert_eq!(last, ends(JobEnd::Completed { delivered: 2 }));
    let held = balance(store, account).await;
    assert_eq!((held.subscription, held.reserved), (8, 0));
    assert_eq!(open_jobs(store, account).await, 0);
    assert_eq!(attempt_of(store, "a").await, None);

    let job = find(store, job).await;
    assert_eq!(
        (job.state, job.ended_at, &job.error),
        (JobState::Completed, Some(at(6)), &None)
    );
    assert_eq!(job.samples[0].output, Some(output("first")));
    assert_eq!(job.samples[1].output, Some(output("second")));
    assert!(
        job.samples
            .iter()
            .all(|sample| sample.state == SampleState::Succeeded)
    );
}

pub(super) async fn what_was_not_delivered_is_released(store: &dyn Store) {
    let account = rich_account(store, 10).await;
    let (job, attempts) = dispatched_samples(store, &["a", "b", "c"]).await;
    store
        .fail_sample(attempts[0], error(PoseError), at(3))
        .await
        .unwrap();
    store
        .complete_sample(attempts[1], output("x"), at(4))
        .await
        .unwrap();
    let last = store
        .fail_sample(attempts[2], error(ProcessingError), at(5))
        .await
        .unwrap();
    assert_eq!(last, ends(JobEnd::Completed { delivered: 1 }));
    let held = balance(store, account).await;
    assert_eq!((held.subscription, held.reserved), (9, 0));

    let job = find(store, job).await;
    assert_eq!((job.state, job.error), (JobState::Completed, None));
    assert_eq!(job.samples[0].error, Some(error(PoseError)));
    assert_eq!(job.samples[2].error, Some(error(ProcessingError)));
}

pub(super) async fn without_an_image_nothing_is_charged(store: &dyn Store) {
    let account = rich_account(store, 10).await;
    let (job, attempts) = dispatched_samples(store, &["a", "b"]).await;
    store
        .fail_sample(attempts[1], error(ProcessingError), at(3))
        .await
        .unwrap();
    let last = store
        .fail_sample(attempts[0], error(PoseError), at(4))
        .await
        .unwrap();
    // The error of the first sample, not of the one that failed first.
    assert_eq!(last, ends(JobEnd::Failed(error(PoseError))));
    let held = balance(store, account).await;
    assert_eq!((held.subscription, held.reserved), (10, 0));
    let job = find(store, job).await;
    assert_eq!(
        (job.state, job.error),
        (JobState::Failed, Some(error(PoseError)))
    );
    assert_eq!(job.ended_at, Some(at(4)));
    assert_eq!(attempt_of(store, "a").await, None);
}

pub(super) async fn the_subscription_is_used_first(store: &dyn Store) {
    let account = rich_account(store, 1).await;
    store
        .grant_credits(account, Pool::Purchased, 5, at(0))
        .await
        .unwrap();
    let (_, attempts) = dispatched_samples(store, &["a", "b"]).await;
    for attempt in attempts {
        store
            .complete_sample(attempt, output("x"), at(5))
            .await
            .unwrap();
    }
    let held = balance(store, account).await;
    assert_eq!(
        (held.subscription, held.purchased, held.reserved),
        (0, 4, 0)
    );
}

pub(super) async fn a_duplicate_changes_nothing(store: &dyn Store) {
    let account = rich_account(store, 10).await;
    let (job, attempts) = dispatched_samples(store, &["a", "b"]).await;
    store
        .complete_sample(attempts[0], output("first"), at(5))
        .await
        .unwrap();
    store
        .fail_sample(attempts[1], error(PoseError), at(6))
        .await
        .unwrap();
    let (before, held) = (find(store, job).await, balance(store, account).await);
    for attempt in attempts {
        let image = store
            .complete_sample(attempt, output("again"), at(7))
            .await
            .unwrap();
        assert_eq!(image, Settled::Ignored);
        let failure = store
            .fail_sample(attempt, error(Timeout), at(7))
            .await
            .unwrap();
        assert_eq!(failure, Settled::Ignored);
    }
    assert_eq!(find(store, job).await, before);
    assert_eq!(balance(store, account).await, held);
}

pub(super) async fn an_image_of_an_earlier_attempt_counts(store: &dyn Store) {
    rich_account(store, 10).await;
    let first = dispatched_job(store, 1, "a").await;
    lose(store, first).await;
    let second = dispatch_one(store, 3).await;
    store.confirm_running(second, at(100)).await.unwrap();

    let late = store
        .complete_sample(first, output("late"), at(4))
        .await
        .unwrap();
    assert_eq!(late, ends(JobEnd::Completed { delivered: 1 }));
    assert_eq!(attempt_of(store, "a").await, None, "its sample ended");
    assert_eq!(store.list_expired_leases(at(500), 9).await.unwrap(), []);
    let after = store
        .complete_sample(second, output("second"), at(5))
        .await
        .unwrap();
    assert_eq!(after, Settled::Ignored);
    let job = find(store, first.sample.job).await;
    assert_eq!(job.samples[0].output, Some(output("late")));
}

pub(super) async fn an_image_for_a_queued_sample_counts(store: &dyn Store) {
    rich_account(store, 10).await;
    let attempt = dispatched_job(store, 1, "a").await;
    lose(store, attempt).await;
    let late = store
        .complete_sample(attempt, output("late"), at(4))
        .await
        .unwrap();
    assert_eq!(late, ends(JobEnd::Completed { delivered: 1 }));
    assert_eq!(dispatch(store, 5).await, [], "it left the queue");
}

pub(super) async fn a_failure_of_an_earlier_attempt_does_not_count(store: &dyn Store) {
    rich_account(store, 10).await;
    let first = dispatched_job(store, 1, "a").await;
    lose(store, first).await;
    let queued = store
        .fail_sample(first, error(PoseError), at(4))
        .await
        .unwrap();
    assert_eq!(queued, Settled::Ignored);

    let second = dispatch_one(store, 4).await;
    let late = store
        .fail_sample(first, error(PoseError), at(4))
        .await
        .unwrap();
    assert_eq!(late, Settled::Ignored);
    assert_eq!(attempt_of(store, "a").await, Some(second));
    let current = store
        .fail_sample(second, error(PoseError), at(5))
        .await
        .unwrap();
    assert_eq!(current, ends(JobEnd::Failed(error(PoseError))));
}

pub(super) async fn an_attempt_that_never_was_is_unknown(store: &dyn Store) {
    rich_account(store, 10).await;
    let known = dispatched_job(store, 1, "a").await;
    let undispatched = submit(store, 2, 1).await.sample(0).attempt(1);
    let strangers = [
        job_id(9).sample(0).attempt(1),
        known.sample.job.sample(1).attempt(1),
        known.sample.attempt(2),
        undispatched,
    ];
    for stranger in strangers {
        let image = store
            .complete_sample(stranger, output("x"), at(3))
            .await
            .unwrap();
        assert_eq!(image, Settled::Unknown, "{stranger}");
        let failure = store
            .fail_sample(stranger, error(PoseError), at(3))
            .await
            .unwrap();
        assert_eq!(failure, Settled::Unknown, "{stranger}");
    }
}

pub(super) async fn an_ended_job_is_released(store: &dyn Store) {
    let account = rich_account(store, 10).await;
    let (job, _) = dispatched_samples(store, &["a", "b"]).await;
    let end = store.end_job(job, error(Timeout), at(9)).await.unwrap();
    assert_eq!(end, Some(JobEnd::Failed(error(Timeout))));
    assert_eq!(balance(store, account).await.available(), 10);
    assert_eq!(open_jobs(store, account).await, 0);
    for name in ["a", "b"] {
        assert_eq!(attempt_of(store, name).await, None);
    }
    let job = find(store, job).await;
    assert_eq!((job.state, job.ended_at), (JobState::Failed, Some(at(9))));
    assert_eq!(job.error, Some(error(Timeout)));
    assert!(
        job.samples
            .iter()
            .all(|sample| sample.error == Some(error(Timeout)))
    );
    assert_eq!(store.list_expired_leases(at(500), 9).await.unwrap(), []);
}

pub(super) async fn an_ended_job_keeps_what_was_delivered(store: &dyn Store) {
    let account = rich_account(store, 10).await;
    let (job, attempts) = dispatched_samples(store, &["a", "b", "c"]).await;
    store
        .complete_sample(attempts[1], output("x"), at(5))
        .await
        .unwrap();
    let end = store.end_job(job, error(Timeout), at(9)).await.unwrap();
    assert_eq!(end, Some(JobEnd::Completed { delivered: 1 }));
    let held = balance(store, account).await;
    assert_eq!((held.subscription, held.reserved), (9, 0));
    let job = find(store, job).await;
    assert_eq!((job.state, job.error), (JobState::Completed, None));
    assert_eq!(job.samples[1].output, Some(output("x")));
    assert_eq!(job.samples[0].error, Some(error(Timeout)));
}

pub(super) async fn the_reason_of_the_end_is_the_jobs_error(store: &dyn Store) {
    rich_account(store, 10).await;
    let (job, attempts) = dispatched_samples(store, &["a", "b"]).await;
    store
        .fail_sample(attempts[0], error(PoseError), at(5))
        .await
        .unwrap();
    let end = store.end_job(job, error(Cancelled), at(9)).await.unwrap();
    assert_eq!(end, Some(JobEnd::Failed(error(Cancelled))));
    let job = find(store, job).await;
    assert_eq!(job.error, Some(error(Cancelled)));
    assert_eq!(job.samples[0].error, Some(error(PoseError)));
}

pub(super) async fn a_job_ends_once(store: &dyn Store) {
    rich_account(store, 10).await;
    let job = prepare(store, 1, 1).await;
    assert!(
        store
            .end_job(job, error(Cancelled), at(2))
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(
        store.end_job(job, error(Timeout), at(3)).await.unwrap(),
        None
    );
    assert_eq!(find(store, job).await.error, Some(error(Cancelled)));
    assert_eq!(
        store
            .end_job(job_id(9), error(Timeout), at(3))
            .await
            .unwrap(),
        None
    );
}

pub(super) async fn after_the_end_nothing_counts(store: &dyn Store) {
    rich_account(store, 10).await;
    let attempt = dispatched_job(store, 1, "a").await;
    store
        .end_job(attempt.sample.job, error(Cancelled), at(2))
        .await
        .unwrap();
    let before = find(store, attempt.sample.job).await;

    let image = store
        .complete_sample(attempt, output("late"), at(3))
        .await
        .unwrap();
    assert_eq!(image, Settled::Ignored);
    let failure = store
        .fail_sample(attempt, error(PoseError), at(3))
        .await
        .unwrap();
    assert_eq!(failure, Settled::Ignored);
    assert!(!store.confirm_running(attempt, at(100)).await.unwrap());
    assert!(!store.defer_attempt(attempt, at(4)).await.unwrap());
    let lost = store
        .lose_attempt(attempt, at(4), 1, error(Timeout), at(4))
        .await;
    assert_eq!(lost.unwrap(), Lost::Stale);
    assert_eq!(dispatch(store, 5).await, []);
    assert_eq!(find(store, attempt.sample.job).await, before);
}

pub(super) async fn an_unprepared_job_can_be_ended(store: &dyn Store) {
    let account = rich_account(store, 10).await;
    let job = submit(store, 1, 2).await;
    store
        .claim_preparation(at(2), at(60), &[])
        .await
        .unwrap()
        .unwrap();
    let end = store
        .end_job(job, error(ImageLoadError), at(3))
        .await
        .unwrap();
    assert_eq!(end, Some(JobEnd::Failed(error(ImageLoadError))));
    assert_eq!(balance(store, account).await.available(), 10);
    assert_eq!(
        store
            .claim_preparation(at(100), at(200), &[])
            .await
            .unwrap(),
        None
    );
}

/// A node may say anything: what a backend cannot keep must not keep a job from ending.
pub(super) async fn a_reason_may_hold_any_character(store: &dyn Store) {
    rich_account(store, 10).await;
    let attempt = dispatched_job(store, 1, "a").await;
    let reason = JobError::new(PoseError, "no\0where \u{1f9e5} 'quoted' \\u0000");
    let settled = store.fail_sample(attempt, reason.clone(), at(2)).await;
    assert!(matches!(
        settled,
        Ok(Settled::Recorded { job_end: Some(_) })
    ));
    let kept = find(store, job_id(1)).await.error.unwrap().message;
    assert_eq!(kept.replace('\u{fffd}', "\0"), reason.message);

    let attempt = dispatched_job(store, 2, "a").await;
    let image = Output {
        model_version: "v\0.1 \\u0000".to_owned(),
        ..output("x")
    };
    store
        .complete_sample(attempt, image.clone(), at(3))
        .await
        .unwrap();
    let kept = find(store, job_id(2)).await.samples[0]
        .output
        .clone()
        .unwrap();
    let kept = kept.model_version.replace('\u{fffd}', "\0");
    assert_eq!(kept, image.model_version);
}
