//! The server: several gateways on it, and what becomes of them when it goes away.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sqlx::{Connection as _, PgConnection};
use tokio::{sync::Notify, task::JoinSet, time::timeout};
use tryon_core::{error::JobErrorCode::Cancelled, id::AttemptId, job::JobState};
use tryon_store::{Change, Changes, PostgresStore, Settled, Store, StoreError};
use tryon_testkit::postgres::PostgresServer;

use crate::{
    file::check_reading,
    fixture::{
        account_id, at, balance, dispatch, dispatch_one, error, inputs, job_id, many_jobs, new_job,
        output, prepare, ready_nodes, rich_account, spec, submit,
    },
    place::Place,
};

/// What is waited for comes long before.
const PATIENCE: Duration = Duration::from_mins(1);

fn empty_database() -> String {
    PostgresServer::shared().create_database().unwrap()
}

fn execute(url: &str, statements: &str) {
    PostgresServer::shared().execute(url, statements).unwrap();
}

// ── opening ─────────────────────────────────────────────────────────────────────────────────────

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_empty_database_can_be_opened_by_many_at_once() {
    let url: Arc<str> = empty_database().into();
    let mut opening = JoinSet::new();
    for number in 0..8 {
        let url = Arc::clone(&url);
        opening.spawn(async move {
            let store = PostgresStore::open(&url).await.unwrap();
            store
                .create_account(account_id(number), "", many_jobs(), at(0))
                .await
                .unwrap();
            store
        });
    }
    let stores = opening.join_all().await;
    assert_eq!(stores[0].list_accounts().await.unwrap().len(), 8);
}

#[tokio::test]
async fn what_was_stored_is_there_after_reopening() {
    let url = empty_database();
    let store = PostgresStore::open(&url).await.unwrap();
    rich_account(&store, 5).await;
    let job = submit(&store, 1, 2).await;
    let found = store.find_job(job).await.unwrap();
    store.close().await;
    let closed = store.find_job(job).await;
    assert!(matches!(closed, Err(StoreError::Database(_))));

    let store = PostgresStore::open(&url).await.unwrap();
    assert_eq!(store.find_job(job).await.unwrap(), found);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("postgres:///tryon?host={}", folder.path().display());
    let refused = PostgresStore::open(&url).await;
    assert!(
        matches!(refused, Err(StoreError::Database(_))),
        "{refused:?}"
    );
}

/// An older program must not write to what a newer one made.
#[tokio::test]
async fn a_schema_of_another_version_is_refused() {
    let url = empty_database();
    PostgresStore::open(&url).await.unwrap().close().await;
    execute(
        &url,
        "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1",
    );
    assert!(matches!(
        PostgresStore::open(&url).await,
        Err(StoreError::Migration(_))
    ));
    assert!(matches!(
        PostgresStore::open_to_read(&url).await,
        Err(StoreError::OtherSchema { found: 9999, .. })
    ));
}

#[tokio::test]
async fn a_store_that_is_opened_to_read_writes_nothing() {
    let url = empty_database();
    let refused = PostgresStore::open_to_read(&url).await;
    assert!(matches!(
        refused,
        Err(StoreError::OtherSchema {
            found: 0,
            known: 1..
        })
    ));

    let live = PostgresStore::open(&url).await.unwrap();
    let reading = PostgresStore::open_to_read(&url).await.unwrap();
    check_reading(&live, &reading).await;
}

// ── several gateways ────────────────────────────────────────────────────────────────────────────

/// Waits until all of this was told, in however many pieces.
async fn hear(changes: &mut Changes, mut missing: Change) {
    while missing != Change::default() {
        let heard = timeout(PATIENCE, changes.next()).await.unwrap().unwrap();
        missing.submitted &= !heard.submitted;
        missing.due &= !heard.due;
        missing.ended &= !heard.ended;
        missing.nodes &= !heard.nodes;
    }
}

#[tokio::test]
async fn a_gateway_hears_what_another_did() {
    let [here, there] = Place::postgres().await.open_twice().await;
    let mut changes = there.changes();
    rich_account(&**here, 5).await;
    let nothing = Change::default();

    submit(&**here, 1, 1).await;
    let submitted = Change {
        submitted: true,
        ..nothing
    };
    hear(&mut changes, submitted).await;
    here.finish_preparation(job_id(1), inputs(job_id(1)), at(1))
        .await
        .unwrap();
    let due = Change {
        due: true,
        ..nothing
    };
    hear(&mut changes, due).await;
    here.end_job(job_id(1), error(Cancelled), at(2))
        .await
        .unwrap();
    let ended = Change {
        ended: true,
        due: true,
        ..nothing
    };
    hear(&mut changes, ended).await;
    let node = spec("a");
    here.register_node(&node, at(9), at(3)).await.unwrap();
    let nodes = Change {
        nodes: true,
        ..nothing
    };
    hear(&mut changes, nodes).await;
}

#[tokio::test]
async fn a_gateway_that_lost_its_ear_looks_at_everything() {
    let place = Place::postgres().await;
    let store = place.open().await;
    let mut changes = store.changes();
    place
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND query LIKE 'LISTEN%'",
        )
        .await
        .unwrap();
    let everything = Change {
        submitted: true,
        due: true,
        ended: true,
        nodes: true,
    };
    hear(&mut changes, everything).await;

    let other = place.open().await;
    rich_account(&**other, 5).await;
    submit(&**other, 1, 1).await;
    let submitted = Change {
        submitted: true,
        ..Change::default()
    };
    hear(&mut changes, submitted).await;
}

#[tokio::test]
async fn one_gateway_sweeps_at_a_time() {
    let place = Place::postgres().await;
    let [first, second] = place.open_twice().await;
    let elsewhere = Place::postgres().await.open().await;
    assert!(first.may_sweep().await.unwrap());
    assert!(!second.may_sweep().await.unwrap());
    assert!(first.may_sweep().await.unwrap(), "it stays its turn");
    assert!(elsewhere.may_sweep().await.unwrap(), "of another database");

    first.close().await;
    assert!(second.may_sweep().await.unwrap());
    assert!(matches!(
        first.may_sweep().await,
        Err(StoreError::Database(_))
    ));
}

/// As when the gateway that sweeps is killed, or does not ask any more.
#[tokio::test]
async fn the_turn_to_sweep_is_lost_with_its_connection() {
    let place = Place::postgres().await;
    let [first, second] = place.open_twice().await;
    assert!(first.may_sweep().await.unwrap());
    place
        .execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks
             WHERE locktype = 'advisory' AND database =
                (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .await
        .unwrap();
    assert!(second.may_sweep().await.unwrap());
    assert!(!first.may_sweep().await.unwrap());
}

/// A claim does not wait for a transaction that ends a job, or a gateway that is stuck in one.
#[tokio::test]
async fn what_somebody_holds_is_passed_over() {
    let place = Place::postgres().await;
    let store = place.open().await;
    rich_account(&**store, 10).await;
    ready_nodes(&**store, &["a"]).await;
    for number in 1..=2 {
        prepare(&**store, number, 1).await;
        submit(&**store, number + 2, 1).await;
    }
    let mut holder = PgConnection::connect(&place.location()).await.unwrap();
    let mut holding = holder.begin().await.unwrap();
    sqlx::query("SELECT id FROM jobs WHERE id IN ($1, $2) FOR UPDATE")
        .bind(job_id(1).to_string())
        .bind(job_id(3).to_string())
        .execute(&mut *holding)
        .await
        .unwrap();

    assert_eq!(dispatch_one(&**store, 5).await.sample.job, job_id(2));
    let prepared = store.claim_preparation(at(5), at(65), &[]).await.unwrap();
    assert_eq!(prepared.unwrap().job, job_id(4));
    holding.rollback().await.unwrap();
    let prepared = store.claim_preparation(at(5), at(65), &[]).await.unwrap();
    assert_eq!(prepared.unwrap().job, job_id(3));
}

/// Siblings that end at the same time: whoever is last settles the job, and is one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn jobs_of_one_account_end_at_once() {
    let stores = Place::postgres().await.open_twice().await;
    let account = rich_account(&**stores[0], 200).await;
    let names: Vec<String> = (0..40).map(|number| format!("node-{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    ready_nodes(&**stores[0], &names).await;
    for number in 0..20 {
        prepare(&**stores[0], number, 2).await;
    }
    let given = dispatch(&**stores[0], 30).await;
    assert_eq!(given.len(), 40);
    let mut ending = JoinSet::new();
    for (number, given) in given.into_iter().enumerate() {
        let store = stores[number % 2].clone();
        ending.spawn(async move {
            let (attempt, key) = (given.attempt, given.attempt.to_string());
            let job = attempt.sample.job;
            if number % 8 == 0 {
                store.end_job(job, error(Cancelled), at(31)).await.unwrap();
            }
            store
                .complete_sample(attempt, output(&key), at(31))
                .await
                .unwrap();
        });
    }
    ending.join_all().await;
    assert_eq!(stores[0].audit().await.unwrap(), []);
    assert_eq!(balance(&**stores[0], account).await.reserved, 0);
}

// ── the server goes away ────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn after_lost_connections_the_next_call_works() {
    let place = Place::postgres().await;
    let store = place.open().await;
    let account = rich_account(&**store, 5).await;
    for round in 0..3 {
        place.end_connections().await;
        assert!(store.find_account(account).await.unwrap().is_some());
        submit(&**store, round, 1).await;
    }
    assert_eq!(store.audit().await.unwrap(), []);
}

/// Jobs that two gateways settle, two samples each, until there are none.
struct Settling {
    stores: [crate::place::Shared; 2],
    attempts: Vec<AttemptId>,
    answered: AtomicUsize,
    enough: Notify,
}

impl Settling {
    /// Delivers every image until it is known to be recorded. Answers how often it was said to be.
    async fn settle(&self, number: usize) -> HashMap<AttemptId, usize> {
        let mut recorded = HashMap::new();
        for (index, &attempt) in self.attempts.iter().enumerate() {
            if index % 8 != number {
                continue;
            }
            let key = attempt.to_string();
            loop {
                let store = &self.stores[index % 2];
                match store.complete_sample(attempt, output(&key), at(60)).await {
                    Ok(Settled::Recorded { .. }) => {
                        *recorded.entry(attempt).or_default() += 1;
                        break;
                    }
                    Ok(Settled::Ignored) => break,
                    Ok(Settled::Unknown) => panic!("{attempt} was given out"),
                    Err(StoreError::Database(_)) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
            if self.answered.fetch_add(1, Ordering::Relaxed) == self.attempts.len() / 3 {
                self.enough.notify_one();
            }
        }
        recorded
    }
}

/// SIGKILL in the middle of many settlements, and again. Whoever was not answered asks again, as a
/// node does: in the end each image is there once, and each job is paid for once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_server_loses_nothing_and_does_nothing_twice() {
    const JOBS: u32 = 60;
    let server = PostgresServer::start().unwrap();
    let url = server.create_database().unwrap();
    let place = Place::Postgres(url);
    let stores = place.open_twice().await;
    let account = rich_account(&**stores[0], 2 * JOBS).await;
    let names: Vec<String> = (0..2 * JOBS)
        .map(|number| format!("node-{number}"))
        .collect();
    ready_nodes(
        &**stores[0],
        &names.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .await;
    for number in 0..JOBS {
        prepare(&**stores[0], number, 2).await;
    }
    let mut attempts = Vec::new();
    while attempts.len() < 2 * JOBS as usize {
        attempts.extend(
            dispatch(&**stores[0], 90)
                .await
                .iter()
                .map(|given| given.attempt),
        );
    }
    let settling = Arc::new(Settling {
        stores: stores.clone(),
        attempts,
        answered: AtomicUsize::new(0),
        enough: Notify::new(),
    });
    let mut tasks = JoinSet::new();
    for number in 0..8 {
        let settling = Arc::clone(&settling);
        tasks.spawn(async move { settling.settle(number).await });
    }
    timeout(PATIENCE, settling.enough.notified()).await.unwrap();
    server.kill();
    server.restart().unwrap();
    let recorded = tasks.join_all().await;

    assert_eq!(stores[0].audit().await.unwrap(), []);
    let distinct: HashSet<_> = recorded
        .iter()
        .flatten()
        .map(|(attempt, _)| attempt)
        .collect();
    let said: usize = recorded.iter().flatten().map(|(_, count)| count).sum();
    assert_eq!(said, distinct.len(), "none was recorded twice");
    for number in 0..JOBS {
        let job = stores[1].find_job(job_id(number)).await.unwrap().unwrap();
        assert_eq!(job.state, JobState::Completed);
        assert!(job.samples.iter().all(|sample| sample.output.is_some()));
    }
    let held = balance(&**stores[0], account).await;
    assert_eq!((held.subscription, held.reserved), (0, 0));
    ready_nodes(&**stores[0], &["node-0"]).await;
    let fed = stores[0].grant_credits(account, tryon_core::ledger::Pool::Purchased, 1, at(95));
    fed.await.unwrap();
    stores[0]
        .submit_job(new_job(1000, 1), at(95))
        .await
        .unwrap();
    let prepared = stores[0].finish_preparation(job_id(1000), inputs(job_id(1000)), at(95));
    assert!(prepared.await.unwrap());
    dispatch_one(&**stores[0], 96).await;
}
