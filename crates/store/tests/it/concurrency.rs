//! Many callers, two stores on one database, and callers that go away.

use std::{collections::HashSet, pin::pin, task::Poll};

use tokio::task::JoinSet;
use tryon_core::id::{AttemptId, JobId};
use tryon_store::{Idempotency, NewJob, SubmitError};

use crate::{
    fixture::{
        account_id, at, balance, dispatch, job_id, many_jobs, new_job, open_jobs, output, prepare,
        ready_nodes, rich_account,
    },
    place::Place,
};

on_each! {
    many_submissions_never_overdraw,
    no_sample_and_no_node_is_given_out_twice,
    a_result_settles_once_however_often_it_arrives,
    callers_that_go_away_leave_nothing_half_done,
    two_stores_share_the_work,
    submissions_of_one_name_at_once_are_one_job,
}

async fn many_submissions_never_overdraw(place: &Place) {
    let stores = place.open_twice().await;
    let account = rich_account(&**stores[0], 30).await;
    let mut submissions = JoinSet::new();
    for number in 0..60 {
        let store = stores[number as usize % 2].clone();
        submissions.spawn(async move {
            match store
                .submit_job(new_job(number, 1 + u64::from(number % 4)), at(1))
                .await
            {
                Ok(()) => 1 + u64::from(number % 4),
                Err(SubmitError::OutOfCredits(_)) => 0,
                Err(error) => panic!("{error}"),
            }
        });
    }
    let reserved: u64 = submissions.join_all().await.iter().sum();
    let held = balance(&**stores[0], account).await;
    assert_eq!(held.reserved, reserved);
    assert!(
        (27..=30).contains(&reserved),
        "nothing that could be paid for was refused: {reserved}"
    );
    assert_eq!(stores[1].audit().await.unwrap(), []);
}

async fn no_sample_and_no_node_is_given_out_twice(place: &Place) {
    let stores = place.open_twice().await;
    rich_account(&**stores[0], 100).await;
    let names: Vec<String> = (0..12).map(|number| format!("node-{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    ready_nodes(&**stores[0], &names).await;
    for number in 0..20 {
        prepare(&**stores[0], number, 2).await;
    }
    let mut claims = JoinSet::new();
    for number in 0..16 {
        let store = stores[number % 2].clone();
        claims.spawn(async move { store.claim_dispatch(at(30), at(90), 3).await.unwrap() });
    }
    let given: Vec<_> = claims.join_all().await.into_iter().flatten().collect();
    let samples: HashSet<_> = given.iter().map(|given| given.attempt.sample).collect();
    let nodes: HashSet<_> = given.iter().map(|given| given.node.as_str()).collect();
    assert_eq!((given.len(), samples.len(), nodes.len()), (12, 12, 12));
}

/// The same callback arrives at two gateways at once, many times, with a failure among them.
async fn a_result_settles_once_however_often_it_arrives(place: &Place) {
    let stores = place.open_twice().await;
    let account = rich_account(&**stores[0], 10).await;
    ready_nodes(&**stores[0], &["a", "b", "c"]).await;
    prepare(&**stores[0], 1, 3).await;
    let given = dispatch(&**stores[0], 2).await;
    let mut callbacks = JoinSet::new();
    for number in 0..30 {
        let (store, attempt) = (stores[number % 2].clone(), given[number % 3].attempt);
        callbacks.spawn(async move {
            store
                .complete_sample(attempt, output("x"), at(3))
                .await
                .unwrap();
        });
    }
    callbacks.join_all().await;
    let held = balance(&**stores[0], account).await;
    assert_eq!((held.subscription, held.reserved), (7, 0));
    assert_eq!(open_jobs(&**stores[0], account).await, 0);
    assert_eq!(stores[0].audit().await.unwrap(), []);
}

/// Clients hang up at every point of their request; each submission happened whole or not at all.
async fn callers_that_go_away_leave_nothing_half_done(place: &Place) {
    let store = place.open().await;
    let account = rich_account(&**store, 200).await;
    for number in 0..100 {
        let mut submission = pin!(store.submit_job(new_job(number, 2), at(1)));
        for _ in 0..number % 4 {
            let polled =
                std::future::poll_fn(|context| Poll::Ready(submission.as_mut().poll(context)));
            if polled.await.is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    // What was begun above ends before this: where there is one writer, before this call; where
    // there are several, before its connection is closed.
    store.set_limits(account, many_jobs()).await.unwrap();
    store.close().await;
    let store = place.open().await;
    let mut reserved = 0;
    for number in 0..100 {
        let found = store.find_job(job_id(number)).await.unwrap();
        reserved += found.map_or(0, |job| job.samples.len() as u64);
    }
    assert_eq!(balance(&**store, account).await.reserved, reserved);
    assert!(
        (2..=150).contains(&reserved),
        "some were begun, some were not: {reserved}"
    );
    assert_eq!(store.audit().await.unwrap(), []);
}

/// The whole life of many jobs, by two stores at once, with every call made twice.
async fn two_stores_share_the_work(place: &Place) {
    let stores = place.open_twice().await;
    let account = rich_account(&**stores[0], 100).await;
    ready_nodes(&**stores[0], &["a", "b", "c"]).await;
    let jobs: Vec<JobId> = (0..20).map(job_id).collect();
    for number in 0..20 {
        prepare(&**stores[0], number, 2).await;
    }
    let mut workers = JoinSet::new();
    for store in stores.clone() {
        workers.spawn(async move {
            let mut done: Vec<AttemptId> = Vec::new();
            loop {
                let given = store.claim_dispatch(at(50), at(90), 2).await.unwrap();
                for assignment in &given {
                    let key = assignment.attempt.to_string();
                    for _ in 0..2 {
                        let output = output(&key);
                        store
                            .complete_sample(assignment.attempt, output, at(60))
                            .await
                            .unwrap();
                    }
                    done.push(assignment.attempt);
                }
                let open = open_jobs(&**store, account_id(1)).await;
                if open == 0 {
                    return done;
                }
                tokio::task::yield_now().await;
            }
        });
    }
    let done: Vec<AttemptId> = workers.join_all().await.into_iter().flatten().collect();
    let distinct: HashSet<_> = done.iter().collect();
    assert_eq!((done.len(), distinct.len()), (40, 40));
    for job in jobs {
        assert!(
            stores[1]
                .find_job(job)
                .await
                .unwrap()
                .unwrap()
                .ended_at
                .is_some()
        );
    }
    let held = balance(&**stores[0], account).await;
    assert_eq!((held.subscription, held.reserved), (60, 0));
    assert_eq!(stores[0].audit().await.unwrap(), []);
}

async fn submissions_of_one_name_at_once_are_one_job(place: &Place) {
    let stores = place.open_twice().await;
    let account = rich_account(&**stores[0], 1000).await;
    // Later rounds find connections that are open, so that they really are at once.
    for round in 0..10 {
        let mut submissions = JoinSet::new();
        for number in 0..20 {
            let store = stores[number as usize % 2].clone();
            submissions.spawn(async move {
                let id = job_id(round * 100 + number);
                let job = NewJob {
                    idempotency: Some(Idempotency {
                        key: round.to_string(),
                        request: [1; 32],
                    }),
                    id,
                    ..new_job(number, 1)
                };
                match store.submit_job(job, at(1)).await {
                    Ok(()) => id,
                    Err(SubmitError::AcceptedBefore(job)) => job,
                    Err(error) => panic!("{error}"),
                }
            });
        }
        let jobs: HashSet<JobId> = submissions.join_all().await.into_iter().collect();
        assert_eq!(jobs.len(), 1, "{jobs:?}");
    }
    assert_eq!(balance(&**stores[0], account).await.reserved, 10);
    assert_eq!(open_jobs(&**stores[0], account).await, 10);
}
