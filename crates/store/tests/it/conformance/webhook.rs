use std::time::Duration;

use tryon_core::{
    error::JobErrorCode::Cancelled,
    id::{ErasureId, JobId},
    time::Timestamp,
};
use tryon_store::{
    NewErasure, NewJob, Store, Subject, WEBHOOK_LIFE, Webhook, WebhookAnswer, WebhookClaim,
    WebhookPage, WebhookState, WebhookTry, WebhookVerdict, Work,
};

use crate::fixture::{
    account_id, at, dispatch_one, error, inputs, job_id, make_account, new_job, output,
    ready_nodes, rich_account,
};

const URL: &str = "https://shop.example/ended?order=7";

/// Job `number` of account 1, whose client is to be told at `url`.
fn told(number: u32, url: &str) -> NewJob {
    NewJob {
        webhook_url: Some(url.to_owned()),
        ..new_job(number, 1)
    }
}

/// Submits a job and ends it, both at second `number`.
async fn end(store: &dyn Store, job: NewJob, number: u32) -> JobId {
    let id = job.id;
    store.submit_job(job, at(number.into())).await.unwrap();
    let ended = store.end_job(id, error(Cancelled), at(number.into())).await;
    assert!(ended.unwrap().is_some());
    id
}

/// The job of the message claimed at this second, leased for 60.
async fn claim(store: &dyn Store, second: i64) -> Option<WebhookClaim> {
    let claimed = store.claim_webhook(at(second), at(second + 60), &[]).await;
    claimed.unwrap()
}

fn tried(number: u32, second: i64, status: u16) -> WebhookTry {
    WebhookTry {
        number,
        at: at(second),
        took: Duration::from_millis(1500),
        answer: WebhookAnswer::Status(status),
    }
}

async fn record(store: &dyn Store, job: JobId, tried: WebhookTry, verdict: WebhookVerdict) -> bool {
    let recorded = store.record_webhook_try(job, tried, verdict).await;
    recorded.unwrap()
}

async fn find(store: &dyn Store, job: JobId) -> Webhook {
    let found = store.find_webhook(account_id(1), job).await.unwrap();
    found.unwrap()
}

pub(super) async fn a_job_that_ended_is_told_once(store: &dyn Store) {
    let account = rich_account(store, 10).await;
    ready_nodes(store, &["a"]).await;
    store.submit_job(told(1, URL), at(1)).await.unwrap();
    let prepared = store.finish_preparation(job_id(1), inputs(job_id(1)), at(1));
    assert!(prepared.await.unwrap());
    let attempt = dispatch_one(store, 2).await;
    assert_eq!(claim(store, 3).await, None);
    for second in 4..7 {
        let settled = store
            .complete_sample(attempt, output("x"), at(second))
            .await;
        settled.unwrap();
    }
    let expected = WebhookClaim {
        job: job_id(1),
        account,
        url: URL.to_owned(),
        created_at: at(4),
        number: 1,
        round: 1,
    };
    assert_eq!(claim(store, 7).await, Some(expected));
    assert_eq!(claim(store, 7).await, None);
}

pub(super) async fn however_a_job_ends_it_is_told(store: &dyn Store) {
    rich_account(store, 10).await;
    let id = end(store, told(1, URL), 1).await;
    // One that nobody is to be told of, and the end of one that had ended.
    end(store, new_job(2, 1), 2).await;
    store.end_job(id, error(Cancelled), at(3)).await.unwrap();
    assert_eq!(claim(store, 4).await.unwrap().job, id);
    assert_eq!(claim(store, 4).await, None);
    let listed = list(store, None, 10).await;
    assert_eq!(listed, [id]);
}

pub(super) async fn the_message_that_is_due_longest_is_first(store: &dyn Store) {
    rich_account(store, 10).await;
    let other = make_account(store, 2, 10).await;
    let theirs = NewJob {
        account: other,
        ..told(1, URL)
    };
    end(store, theirs, 1).await;
    for number in 2..=3 {
        end(store, told(number, URL), number).await;
    }
    assert_eq!(
        store.next_due(Work::Delivery, at(0)).await.unwrap(),
        Some(at(1))
    );
    let passed_over = store.claim_webhook(at(9), at(60), &[other]).await;
    assert_eq!(passed_over.unwrap().unwrap().job, job_id(2));
    assert_eq!(claim(store, 9).await.unwrap().job, job_id(1));
    assert_eq!(claim(store, 9).await.unwrap().job, job_id(3));
}

pub(super) async fn a_message_is_leased_and_tried_again(store: &dyn Store) {
    rich_account(store, 10).await;
    let id = end(store, told(1, URL), 1).await;
    assert_eq!(claim(store, 2).await.unwrap().number, 1);
    assert_eq!(
        store.next_due(Work::Delivery, at(2)).await.unwrap(),
        Some(at(62))
    );
    assert_eq!(claim(store, 61).await, None);
    // Its sender was killed: the try counts.
    let again = claim(store, 62).await.unwrap();
    assert_eq!((again.number, again.round), (2, 2));
    let verdict = WebhookVerdict::Again(at(100));
    assert!(record(store, id, tried(2, 62, 503), verdict).await);
    assert_eq!(claim(store, 99).await, None);
    assert_eq!(claim(store, 100).await.unwrap().number, 3);
    assert!(record(store, id, tried(3, 100, 500), WebhookVerdict::Failed).await);
    assert_eq!(claim(store, 10_000).await, None);

    let found = find(store, id).await;
    assert_eq!(found.state, WebhookState::Failed);
    assert_eq!(found.ended_at, Some(at(100) + Duration::from_millis(1500)));
    assert_eq!(found.tries, [tried(2, 62, 503), tried(3, 100, 500)]);
}

pub(super) async fn a_late_try_is_logged_and_changes_nothing(store: &dyn Store) {
    rich_account(store, 10).await;
    let id = end(store, told(1, URL), 1).await;
    claim(store, 2).await.unwrap();
    claim(store, 62).await.unwrap();
    for verdict in [WebhookVerdict::Failed, WebhookVerdict::Gone] {
        assert!(!record(store, id, tried(1, 2, 500), verdict).await);
    }
    let found = find(store, id).await;
    assert_eq!(found.state, WebhookState::Pending);
    assert_eq!(found.due_at, Some(at(122)));
    assert_eq!(found.tries, [tried(1, 2, 500)]);
    // That it was taken counts whenever it is heard.
    assert!(record(store, id, tried(1, 2, 200), WebhookVerdict::Delivered).await);
    assert_eq!(find(store, id).await.state, WebhookState::Delivered);
}

pub(super) async fn what_was_delivered_stays_delivered(store: &dyn Store) {
    rich_account(store, 10).await;
    let id = end(store, told(1, URL), 1).await;
    claim(store, 2).await.unwrap();
    assert!(record(store, id, tried(1, 2, 204), WebhookVerdict::Delivered).await);
    let verdicts = [
        WebhookVerdict::Again(at(5)),
        WebhookVerdict::Failed,
        WebhookVerdict::Gone,
        WebhookVerdict::Delivered,
    ];
    for verdict in verdicts {
        assert!(!record(store, id, tried(1, 2, 500), verdict).await);
    }
    assert_eq!(find(store, id).await.tries, [tried(1, 2, 204)]);
    assert_eq!(claim(store, 10_000).await, None);
    // Nor is a message that never was.
    let verdict = WebhookVerdict::Delivered;
    assert!(!record(store, job_id(9), tried(1, 2, 200), verdict).await);
}

pub(super) async fn an_address_that_is_gone_is_told_nothing_more(store: &dyn Store) {
    rich_account(store, 10).await;
    let other = make_account(store, 2, 10).await;
    let first = end(store, told(1, URL), 1).await;
    let waiting = end(store, told(2, URL), 2).await;
    claim(store, 3).await.unwrap();
    assert!(record(store, first, tried(1, 3, 410), WebhookVerdict::Gone).await);
    // What waits, what comes; not what goes elsewhere, nor what others send.
    let later = end(store, told(3, URL), 4).await;
    let elsewhere = end(store, told(4, "https://shop.example/"), 5).await;
    let theirs = NewJob {
        account: other,
        ..told(5, URL)
    };
    end(store, theirs, 6).await;
    assert_eq!(claim(store, 7).await.unwrap().job, elsewhere);
    assert_eq!(claim(store, 7).await.unwrap().job, job_id(5));
    assert_eq!(claim(store, 7).await, None);
    for (job, tries) in [(first, 1), (waiting, 0), (later, 0)] {
        let found = find(store, job).await;
        assert_eq!(found.state, WebhookState::Disabled);
        assert_eq!(found.tries.len(), tries);
    }
}

pub(super) async fn a_message_is_sent_anew(store: &dyn Store) {
    let account = rich_account(store, 10).await;
    let other = make_account(store, 2, 10).await;
    let id = end(store, told(1, URL), 1).await;
    claim(store, 2).await.unwrap();
    assert!(record(store, id, tried(1, 2, 410), WebhookVerdict::Gone).await);

    assert!(!store.replay_webhook(other, id, at(3)).await.unwrap());
    assert!(
        !store
            .replay_webhook(account, job_id(9), at(3))
            .await
            .unwrap()
    );
    assert!(store.replay_webhook(account, id, at(3)).await.unwrap());
    let again = claim(store, 3).await.unwrap();
    assert_eq!((again.number, again.round), (2, 1));
    assert!(record(store, id, tried(2, 3, 200), WebhookVerdict::Delivered).await);
    assert_eq!(find(store, id).await.tries.len(), 2);
    // The address is not gone any more.
    let next = end(store, told(2, URL), 4).await;
    assert_eq!(claim(store, 5).await.unwrap().job, next);
    // What is under way is sent anew at once, too, whatever comes of that try.
    assert!(store.replay_webhook(account, next, at(6)).await.unwrap());
    for verdict in [WebhookVerdict::Failed, WebhookVerdict::Gone] {
        assert!(!record(store, next, tried(1, 5, 410), verdict).await);
    }
    let again = claim(store, 6).await.unwrap();
    assert_eq!((again.job, again.number, again.round), (next, 2, 1));
}

async fn list(store: &dyn Store, after: Option<u32>, limit: u32) -> Vec<JobId> {
    let page = WebhookPage {
        account: account_id(1),
        after: after.map(job_id),
        limit,
    };
    let listed = store.list_webhooks(page).await.unwrap();
    listed.iter().map(|webhook| webhook.job).collect()
}

pub(super) async fn messages_are_listed_newest_first_in_pages(store: &dyn Store) {
    rich_account(store, 10).await;
    let other = make_account(store, 2, 10).await;
    for number in 1..=3 {
        end(store, told(number, URL), number).await;
    }
    let theirs = NewJob {
        account: other,
        ..told(4, URL)
    };
    end(store, theirs, 4).await;
    // The tries of one do not take the place of others.
    for second in [5, 65, 125] {
        assert_eq!(claim(store, second).await.unwrap().job, job_id(1));
        let number = u32::try_from(second / 60 + 1).unwrap();
        let verdict = WebhookVerdict::Again(at(0));
        assert!(record(store, job_id(1), tried(number, second, 500), verdict).await);
    }
    assert_eq!(list(store, None, 2).await, [job_id(3), job_id(2)]);
    assert_eq!(list(store, Some(2), 2).await, [job_id(1)]);
    assert_eq!(list(store, Some(1), 2).await, []);
    assert_eq!(list(store, Some(4), 2).await, [], "it is somebody else's");
    assert_eq!(list(store, Some(9), 2).await, []);
    let none = store.find_webhook(account_id(1), job_id(4)).await;
    assert_eq!(none.unwrap(), None);
}

/// What is known of an address goes with the job that was told there.
pub(super) async fn an_erased_job_leaves_no_address(store: &dyn Store) {
    let account = rich_account(store, 10).await;
    let id = end(store, told(1, URL), 1).await;
    claim(store, 2).await.unwrap();
    assert!(record(store, id, tried(1, 2, 410), WebhookVerdict::Gone).await);
    let erasure = NewErasure {
        id: ErasureId::from_bytes([1; 12]),
        account,
        subject: Subject::Job(id),
    };
    let begun = store.begin_erasure(erasure, at(9), at(3)).await.unwrap();
    assert!(begun.is_some());
    store.forget_job(id, at(4)).await.unwrap();
    assert_eq!(store.find_webhook(account, id).await.unwrap(), None);
    // Whether it still is gone is asked anew.
    let next = end(store, told(2, URL), 5).await;
    assert_eq!(claim(store, 6).await.unwrap().job, next);
}

pub(super) async fn a_message_is_forgotten_with_its_address(store: &dyn Store) {
    rich_account(store, 10).await;
    let gone = end(store, told(1, URL), 1).await;
    claim(store, 2).await.unwrap();
    assert!(record(store, gone, tried(1, 2, 410), WebhookVerdict::Gone).await);
    let pending = end(store, told(2, "https://other.example/"), 3).await;
    let ended: Timestamp = at(2) + Duration::from_millis(1500);
    let early = ended + WEBHOOK_LIFE - Duration::from_millis(1);
    assert_eq!(store.forget_webhooks(early, 10).await.unwrap(), 0);
    for forgotten in [1, 0] {
        let late = ended + WEBHOOK_LIFE;
        assert_eq!(store.forget_webhooks(late, 10).await.unwrap(), forgotten);
    }
    assert_eq!(list(store, None, 10).await, [pending]);
    // Whether it still is gone is asked anew.
    let next = end(store, told(3, URL), 4).await;
    assert_eq!(claim(store, 5).await.unwrap().job, pending);
    assert_eq!(claim(store, 5).await.unwrap().job, next);
}
