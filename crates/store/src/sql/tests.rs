//! What a transaction of either database is, whatever becomes of its caller.

use std::sync::Arc;

use tokio::sync::Notify;
use tryon_core::{
    id::AccountId,
    job::{JobState, SampleState},
    ledger::{EntryKind, Pool},
    limit::Limits,
    time::Timestamp,
};
use tryon_testkit::postgres::PostgresServer;

use super::{SqlStore, statement::query};
use crate::{NodeState, PostgresStore, SqliteStore, Store as _, StoreError, WebhookState};

async fn sqlite() -> SqliteStore {
    SqliteStore::open(":memory:").await.unwrap()
}

async fn postgres() -> PostgresStore {
    let url = PostgresServer::shared().create_database().unwrap();
    PostgresStore::open(&url).await.unwrap()
}

macro_rules! on {
    ($backend:ident: $($case:ident,)+) => {
        mod $backend {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case(&super::$backend().await).await;
                }
            )+
        }
    };
}

macro_rules! on_each {
    ($($case:ident,)+) => {
        on! { sqlite: $($case,)+ }
        on! { postgres: $($case,)+ }
    };
}

on_each! {
    a_transaction_ends_without_its_caller,
    an_error_undoes_the_whole_transaction,
    a_panic_undoes_the_whole_transaction_and_reaches_the_caller,
    a_row_that_something_else_wrote_is_named,
}

const INSERT_NODE: &str = "INSERT INTO nodes (name, url) VALUES ('a', 'http://a')";

/// Writes that work still: no transaction was left open.
pub(crate) async fn assert_writable(store: &impl SqlStore) {
    let (id, now) = (AccountId::from_bytes([1; 12]), Timestamp::from_millis(0));
    let made = store.create_account(id, "", Limits::default(), now);
    made.await.unwrap();
    let granted = store.grant_credits(id, Pool::Purchased, 1, now);
    granted.await.unwrap();
}

/// Each name that the schema has to know: a state that it does not could never be stored.
pub(crate) fn stored_names() -> impl Iterator<Item = &'static str> {
    let jobs = JobState::ALL.iter().map(|state| state.as_str());
    let samples = SampleState::ALL.iter().map(|state| state.as_str());
    let nodes = NodeState::ALL.iter().map(|state| state.as_str());
    let entries = EntryKind::ALL.iter().map(|kind| kind.as_str());
    let webhooks = WebhookState::ALL.iter().map(|state| state.as_str());
    jobs.chain(samples)
        .chain(nodes)
        .chain(entries)
        .chain(webhooks)
}

/// The caller goes away between the statements of its transaction.
async fn a_transaction_ends_without_its_caller(store: &impl SqlStore) {
    let begun = Arc::new(Notify::new());
    let go_on = Arc::new(Notify::new());
    let caller = tokio::spawn({
        let (pools, begun, go_on) = (store.pools().clone(), begun.clone(), go_on.clone());
        async move {
            let work = pools.write::<(), StoreError, _>(move |tx| {
                let (begun, go_on) = (begun.clone(), go_on.clone());
                Box::pin(async move {
                    query(INSERT_NODE).execute(tx).await?;
                    begun.notify_one();
                    go_on.notified().await;
                    query("UPDATE nodes SET faults = 7").execute(tx).await?;
                    Ok(())
                })
            });
            work.await
        }
    });
    begun.notified().await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    go_on.notify_one();

    // The next in line waits for the transaction that nobody waits for any more.
    assert_writable(store).await;
    assert_eq!(store.list_nodes().await.unwrap()[0].faults, 7);
}

async fn an_error_undoes_the_whole_transaction(store: &impl SqlStore) {
    let failed = store.pools().write::<(), StoreError, _>(|tx| {
        Box::pin(async move {
            query(INSERT_NODE).execute(tx).await?;
            query(INSERT_NODE).execute(tx).await?;
            Ok(())
        })
    });
    assert!(matches!(failed.await, Err(StoreError::Database(_))));
    assert_writable(store).await;
    assert_eq!(store.list_nodes().await.unwrap(), []);
}

async fn a_panic_undoes_the_whole_transaction_and_reaches_the_caller(store: &impl SqlStore) {
    let pools = store.pools().clone();
    let caller = tokio::spawn(async move {
        let work = pools.write::<(), StoreError, _>(|tx| {
            Box::pin(async move {
                query(INSERT_NODE).execute(tx).await?;
                panic!("at the worst moment");
            })
        });
        work.await
    });
    assert!(caller.await.unwrap_err().is_panic());
    assert_writable(store).await;
    assert_eq!(store.list_nodes().await.unwrap(), []);
}

async fn a_row_that_something_else_wrote_is_named(store: &impl SqlStore) {
    let written = store.pools().write::<(), StoreError, _>(|tx| {
        Box::pin(async move {
            let foreign =
                "INSERT INTO nodes (name, url, attempt) VALUES ('a', 'http://a', 'job-1')";
            query(foreign).execute(tx).await?;
            Ok(())
        })
    });
    written.await.unwrap();
    let read = store.list_nodes().await;
    assert!(
        matches!(
            read,
            Err(StoreError::Corrupt {
                column: "nodes.attempt",
                ..
            })
        ),
        "{read:?}"
    );
    let known = store.set_node_state("a", NodeState::Ready, &[]);
    known.await.unwrap();
}
