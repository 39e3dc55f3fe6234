use std::time::Duration;

use tryon_core::{
    error::JobErrorCode::Cancelled,
    id::{ErasureId, JobId},
    job::{JobState, SampleState},
    task::TaskOptions,
};
use tryon_store::{Erasure, Idempotency, NewErasure, NewJob, Request, Store, Subject, Work};

use crate::fixture::{
    RETENTION, account_id, at, dispatch, dispatch_one, error, inputs, job_id, make_account,
    new_job, output, prepare, ready_nodes, request, rich_account, submit,
};

const LEASE: i64 = 30;
const AGAIN: i64 = 3600;

fn erasure(number: u8, subject: Subject) -> NewErasure {
    NewErasure {
        id: ErasureId::from_bytes([number; 12]),
        account: account_id(1),
        subject,
    }
}

async fn begin(store: &dyn Store, number: u8, subject: Subject, second: i64) -> ErasureId {
    let new = erasure(number, subject);
    let begun = store.begin_erasure(new, at(second + LEASE), at(second));
    begun.await.unwrap().unwrap()
}

/// Erases what the erasure still has, in batches of `limit`, as a gateway does.
async fn carry_out(store: &dyn Store, id: ErasureId, limit: u32, second: i64) -> Erasure {
    loop {
        let due = at(second + LEASE);
        for job in store.claim_erasure(id, limit, due).await.unwrap() {
            let ended = store.end_job(job, error(Cancelled), at(second));
            ended.await.unwrap();
            let keys = [format!("outputs/{job}/0.1.png")];
            store.note_pictures(job, &keys).await.unwrap();
            store.forget_job(job, at(second)).await.unwrap();
        }
        let finished = store.finish_erasure(id, at(second + AGAIN), at(second));
        let finished = finished.await.unwrap().unwrap();
        if finished.finished_at.is_some() {
            return finished;
        }
    }
}

/// Job `number` in the client's words, for the end user of this digest.
fn wordy(number: u32, end_user: u8) -> NewJob {
    NewJob {
        request: Request {
            options: TaskOptions::Tattoo {
                placement: Some("above the scar".to_owned()),
                region: None,
            },
            ..request()
        },
        idempotency: Some(Idempotency {
            key: format!("order of Ada {number}"),
            request: [1; 32],
        }),
        end_user: Some([end_user; 32]),
        webhook_url: Some("https://shop.example/ended?order=of-Ada".to_owned()),
        ..new_job(number, 2)
    }
}

pub(super) async fn a_job_is_forgotten_but_for_what_it_cost(store: &dyn Store) {
    let account = rich_account(store, 10).await;
    ready_nodes(store, &["a"]).await;
    let job = job_id(1);
    store.submit_job(wordy(1, 7), at(1)).await.unwrap();
    let prepared = store.finish_preparation(job, inputs(job), at(1)).await;
    assert!(prepared.unwrap());
    let attempt = dispatch_one(store, 2).await;
    let delivered = store.complete_sample(attempt, output("x"), at(3)).await;
    delivered.unwrap();
    // Of its two samples one is under way.
    dispatch_one(store, 4).await;

    let id = begin(store, 1, Subject::Job(job), 5).await;
    store.forget_job(job, at(5)).await.unwrap();
    let going = store.find_job(job).await.unwrap().unwrap();
    assert_eq!(going.ended_at, None, "it is not forgotten while it runs");
    assert_eq!(going.history.person, "https://example.org/1/person.jpg");
    let receipt = carry_out(store, id, 9, 6).await;
    assert_eq!((receipt.job, receipt.jobs), (Some(job), 1));
    assert_eq!(receipt.requested_at, at(5));
    assert_eq!(receipt.finished_at, Some(at(6)));
    assert_eq!(receipt.pictures["outputs"], 1);

    let left = store.find_job(job).await.unwrap().unwrap();
    assert_eq!(left.state, JobState::Completed);
    assert_eq!((left.created_at, left.ended_at), (at(1), Some(at(6))));
    let nothing = TaskOptions::Tattoo {
        placement: None,
        region: None,
    };
    assert_eq!(left.request.options, nothing);
    assert_eq!(left.history.person, "<erased>");
    assert_eq!(left.history.garment.as_deref(), Some("<erased>"));
    assert_eq!(left.samples[0].state, SampleState::Succeeded);
    assert_eq!(left.samples[0].output, None);
    let failure = left.samples[1].error.as_ref().unwrap();
    assert_eq!(
        (failure.name, &*failure.message),
        (Cancelled, "the job was erased")
    );
    assert_eq!(left.outputs_erased_at, Some(at(6)));
    let told = store.find_webhook(account, job).await;
    assert_eq!(told.unwrap(), None);
    let named = store
        .find_submission(account, "order of Ada 1", at(6))
        .await;
    assert_eq!(named.unwrap(), None);
    let balance = store.find_account(account).await.unwrap().unwrap().balance;
    assert_eq!((balance.available(), balance.reserved), (9, 0));
    // It can be listed, and a name can be used again.
    assert_eq!(store.list_erasable_inputs(9).await.unwrap(), []);
    store.submit_job(wordy(1001, 7), at(7)).await.unwrap();
}

pub(super) async fn an_erasure_that_is_asked_for_again_is_the_same(store: &dyn Store) {
    rich_account(store, 10).await;
    let job = submit(store, 1, 1).await;
    let subject = Subject::Job(job);
    let id = begin(store, 1, subject, 2).await;
    assert_eq!(begin(store, 2, subject, 3).await, id);
    let receipt = carry_out(store, id, 9, 4).await;
    assert_eq!(begin(store, 3, subject, 5).await, id);
    assert_eq!(carry_out(store, id, 9, 6).await, receipt);
    assert_eq!(store.find_erasure(id).await.unwrap(), Some(receipt));
}

pub(super) async fn a_job_of_somebody_else_is_not_erased(store: &dyn Store) {
    rich_account(store, 10).await;
    make_account(store, 2, 10).await;
    let job = submit(store, 1, 1).await;
    for subject in [Subject::Job(job), Subject::Job(job_id(99))] {
        let theirs = NewErasure {
            account: account_id(2),
            ..erasure(1, subject)
        };
        let begun = store.begin_erasure(theirs, at(40), at(2)).await;
        assert_eq!(begun.unwrap(), None);
    }
    assert_eq!(store.list_due_erasures(at(99), 9).await.unwrap(), []);
}

pub(super) async fn what_a_crash_left_is_known_and_falls_due(store: &dyn Store) {
    rich_account(store, 10).await;
    let job = submit(store, 1, 1).await;
    let id = begin(store, 1, Subject::Job(job), 2).await;
    assert_eq!(store.list_due_erasures(at(31), 9).await.unwrap(), []);
    let next = store.next_due(Work::Erasures, at(31)).await.unwrap();
    assert_eq!(next, Some(at(32)));
    assert_eq!(store.claim_erasure(id, 9, at(50)).await.unwrap(), [job]);
    let keys = |names: [&str; 2]| names.map(str::to_owned);
    let first = keys(["uploads/1/person", "outputs/1/0.1.png"]);
    store.note_pictures(job, &first).await.unwrap();
    // Here it was killed: some were deleted, and one came meanwhile.
    assert_eq!(store.list_due_erasures(at(49), 9).await.unwrap(), []);
    let due = store.list_due_erasures(at(50), 9).await.unwrap();
    assert_eq!((due.len(), due[0].id, due[0].finished_at), (1, id, None));
    let second = keys(["outputs/1/0.1.png", "outputs/1/0.2.png"]);
    store.note_pictures(job, &second).await.unwrap();
    store.end_job(job, error(Cancelled), at(51)).await.unwrap();
    for _ in 0..2 {
        store.forget_job(job, at(51)).await.unwrap();
    }
    let receipt = store.finish_erasure(id, at(60), at(51)).await.unwrap();
    let receipt = receipt.unwrap();
    assert_eq!((receipt.jobs, receipt.pictures["uploads"]), (1, 1));
    assert_eq!(receipt.pictures["outputs"], 2, "each is counted once");
    // It is looked at once more.
    assert_eq!(store.list_due_erasures(at(59), 9).await.unwrap(), []);
    assert_eq!(store.list_due_erasures(at(60), 9).await.unwrap(), [receipt]);
    let erased = store.list_erased_jobs(id, None, 9).await.unwrap();
    assert_eq!(erased, [job]);
    let after = store.list_erased_jobs(id, Some(job), 9).await.unwrap();
    assert_eq!(after, [] as [JobId; 0]);
    store.close_erasure(id).await.unwrap();
    assert_eq!(store.list_due_erasures(at(9999), 9).await.unwrap(), []);
}

pub(super) async fn an_end_user_is_forgotten_with_every_job(store: &dyn Store) {
    rich_account(store, 100).await;
    make_account(store, 2, 10).await;
    ready_nodes(store, &["a"]).await;
    for number in 1..=5 {
        store.submit_job(wordy(number, 7), at(1)).await.unwrap();
    }
    store.submit_job(wordy(6, 8), at(1)).await.unwrap();
    let theirs = NewJob {
        account: account_id(2),
        ..wordy(7, 7)
    };
    store.submit_job(theirs, at(1)).await.unwrap();
    // One of them is erased on its own account, and not finished.
    let own = begin(store, 1, Subject::Job(job_id(2)), 2).await;

    let user = Subject::EndUser([7; 32]);
    let id = begin(store, 2, user, 3).await;
    assert_eq!(begin(store, 3, user, 3).await, id);
    let going = store.finish_erasure(id, at(9), at(3)).await.unwrap();
    assert_eq!(going.unwrap().finished_at, None, "there are jobs");
    let receipt = carry_out(store, id, 2, 4).await;
    assert_eq!((receipt.job, receipt.jobs), (None, 4));
    let own = store.finish_erasure(own, at(9), at(4)).await.unwrap();
    assert_eq!(own.unwrap().jobs, 1);
    for number in 1..=7 {
        let job = store.find_job(job_id(number)).await.unwrap().unwrap();
        let forgotten = job.history.person == "<erased>";
        assert_eq!(forgotten, number <= 5, "{number}");
    }
    // What comes later is another matter.
    let none = begin(store, 4, user, 5).await;
    assert_ne!(none, id);
    assert_eq!(carry_out(store, none, 2, 5).await.jobs, 0);
}

pub(super) async fn an_account_has_a_retention_of_its_own(store: &dyn Store) {
    let account = rich_account(store, 10).await;
    let kept = async || {
        store
            .find_account(account)
            .await
            .unwrap()
            .unwrap()
            .output_retention
    };
    assert_eq!(kept().await, None);
    for retention in [Some(Duration::ZERO), Some(Duration::from_secs(90)), None] {
        let set = store.set_output_retention(account, retention).await;
        set.unwrap();
        assert_eq!(kept().await, retention);
    }
    assert!(
        store
            .set_output_retention(account_id(9), None)
            .await
            .is_err()
    );

    // Of two jobs the one that ended last may be due first.
    ready_nodes(store, &["a", "b"]).await;
    prepare(store, 1, 1).await;
    let mut brief = new_job(2, 1);
    (brief.retention.longest, brief.retention.once) = (Duration::from_secs(10), true);
    store.submit_job(brief.clone(), at(2)).await.unwrap();
    let prepared = store
        .finish_preparation(brief.id, inputs(brief.id), at(2))
        .await;
    assert!(prepared.unwrap());
    for (given, second) in dispatch(store, 3).await.iter().zip(4..) {
        let done = store.complete_sample(given.attempt, output("x"), at(second));
        done.await.unwrap();
    }
    let due = async |second| {
        let due = store.list_erasable_outputs(at(second), 9).await.unwrap();
        due.into_iter().map(|it| it.job).collect::<Vec<_>>()
    };
    assert_eq!(due(15).await, [] as [JobId; 0]);
    assert_eq!(due(16).await, [job_id(2)]);
    assert_eq!(due(200).await, [2, 1].map(job_id));
    let found = store.find_job(brief.id).await.unwrap().unwrap();
    assert_eq!(found.retention, brief.retention);
    let other = store.find_job(job_id(1)).await.unwrap().unwrap();
    assert_eq!(other.retention, RETENTION);
}
