use std::time::Duration;

use tryon_core::{error::JobErrorCode, limit::Limits};
use tryon_store::{Idempotency, KEY_LIFE, NewJob, Store, Submission, SubmitError};

use crate::fixture::{
    account_id, at, balance, error, job_id, make_account, many_jobs, new_job, open_jobs,
    rich_account,
};

fn idempotency(key: &str, request: u8) -> Idempotency {
    Idempotency {
        key: key.to_owned(),
        request: [request; 32],
    }
}

/// Job `number`, which its client calls so.
fn named(number: u32, key: &str, request: u8) -> NewJob {
    NewJob {
        idempotency: Some(idempotency(key, request)),
        ..new_job(number, 2)
    }
}

pub(super) async fn a_submission_that_is_sent_again_is_one_job(store: &dyn Store) {
    let account = rich_account(store, 2).await;
    let limits = Limits {
        concurrent_jobs: 1,
        ..many_jobs()
    };
    store.set_limits(account, limits).await.unwrap();
    store.submit_job(named(1, "a", 1), at(1)).await.unwrap();
    // There is room for nothing more, and it asks for nothing more.
    let again = store.submit_job(named(2, "a", 1), at(2)).await;
    assert!(matches!(again, Err(SubmitError::AcceptedBefore(id)) if id == job_id(1)));
    let found = store.find_submission(account, "a", at(2)).await.unwrap();
    let expected = Submission {
        request: [1; 32],
        job: job_id(1),
    };
    assert_eq!(found, Some(expected));
    // However it ended.
    let cancelled = error(JobErrorCode::Cancelled);
    store.end_job(job_id(1), cancelled, at(3)).await.unwrap();
    let again = store.submit_job(named(2, "a", 1), at(4)).await;
    assert!(matches!(again, Err(SubmitError::AcceptedBefore(id)) if id == job_id(1)));

    assert_eq!(store.find_job(job_id(2)).await.unwrap(), None);
    assert_eq!(balance(store, account).await.available(), 2);
    assert_eq!(open_jobs(store, account).await, 0);
}

pub(super) async fn a_name_is_for_one_request_of_one_account(store: &dyn Store) {
    let account = rich_account(store, 10).await;
    let other = make_account(store, 2, 5).await;
    store.submit_job(named(1, "a", 1), at(1)).await.unwrap();
    let refused = store.submit_job(named(2, "a", 2), at(2)).await;
    assert!(matches!(refused, Err(SubmitError::OtherRequest)));
    assert_eq!(balance(store, account).await.reserved, 2);
    // A refused job leaves its name free.
    let dear = NewJob {
        idempotency: Some(idempotency("b", 1)),
        ..new_job(3, 9)
    };
    let refused = store.submit_job(dear, at(3)).await;
    assert!(matches!(refused, Err(SubmitError::OutOfCredits(_))));
    store.submit_job(named(3, "b", 2), at(4)).await.unwrap();
    // Somebody else's names are others.
    let theirs = NewJob {
        account: other,
        ..named(4, "a", 2)
    };
    store.submit_job(theirs, at(5)).await.unwrap();
    let found = store.find_submission(account_id(1), "a", at(6)).await;
    assert_eq!(found.unwrap().unwrap().job, job_id(1));
}

pub(super) async fn a_name_is_known_for_a_day(store: &dyn Store) {
    let account = rich_account(store, 10).await;
    for number in 1..=3 {
        let job = named(number, &format!("{number}"), 1);
        store.submit_job(job, at(number.into())).await.unwrap();
    }
    let (known, over) = (
        at(1) + KEY_LIFE - Duration::from_millis(1),
        at(1) + KEY_LIFE,
    );
    let found = async |key, now| store.find_submission(account, key, now).await.unwrap();
    assert_eq!(found("1", known).await.unwrap().job, job_id(1));
    assert_eq!(found("1", over).await, None);
    assert_eq!(store.forget_submissions(known, 10).await.unwrap(), 0);

    // It may be used again before it is forgotten.
    store.submit_job(named(4, "1", 2), over).await.unwrap();
    assert_eq!(found("1", over).await.unwrap().job, job_id(4));
    let later = at(3) + KEY_LIFE;
    for forgotten in [1, 1, 0] {
        assert_eq!(store.forget_submissions(later, 1).await.unwrap(), forgotten);
    }
    assert_eq!(found("1", later).await.unwrap().job, job_id(4));
}
