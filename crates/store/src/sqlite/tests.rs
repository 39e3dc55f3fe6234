//! Tests that need the statements and the connections themselves.

use std::sync::Arc;

use sqlx::{Row as _, SqlitePool};
use tokio::sync::{Notify, oneshot};
use tryon_core::{
    error::JobErrorCode,
    id::AccountId,
    job::{JobState, SampleState},
    ledger::{EntryKind, Pool},
    limit::Limits,
    task::Provider,
    time::Timestamp,
};

use super::{SqliteStore, dispatch, job, key, settle, sweep, transaction::write};
use crate::{NodeState, Store, StoreError};

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

async fn open_memory() -> SqliteStore {
    SqliteStore::open(":memory:").await.unwrap()
}

// ── plans ───────────────────────────────────────────────────────────────────────────────────────

/// What `SQLite` does for this statement, a step a line.
async fn plan(pool: &SqlitePool, statement: &'static str) -> Vec<String> {
    let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    let rows = sqlx::query(explain).fetch_all(pool).await.unwrap();
    rows.iter().map(|row| row.get("detail")).collect()
}

/// Every statement on the path of a request, of the dispatcher or of the sweep finds its rows by
/// an index; where that index holds only what is open, history does not slow it down.
#[tokio::test]
async fn no_hot_statement_reads_a_whole_table() {
    let store = open_memory().await;
    let hot = [
        (key::FIND_ACCOUNT, "api_keys"),
        (job::FIND, "jobs_1"),
        (job::LIST, "jobs_of_account"),
        (
            job::LIST_AFTER,
            "jobs_of_account (account_id=? AND created_at<?)",
        ),
        (job::CLAIM_PREPARATION, "jobs_to_prepare"),
        (dispatch::LIST_DUE, "samples_to_dispatch"),
        (dispatch::PROGRESS, "PRIMARY KEY (job_id=? AND idx=?)"),
        (settle::JOB_PROGRESS, "PRIMARY KEY (job_id=?)"),
        (sweep::EXPIRED_LEASES, "samples_by_lease"),
        (sweep::OVERDUE_JOBS, "jobs_by_deadline"),
        (sweep::ERASABLE_INPUTS, "jobs_with_inputs"),
        (sweep::ERASABLE_OUTPUTS, "jobs_with_outputs"),
        (sweep::NEXT_DUE, "samples_by_due"),
        (sweep::NEXT_DUE, "samples_by_lease"),
        (sweep::NEXT_DUE, "jobs_by_deadline"),
        (sweep::NEXT_DUE, "jobs_in_preparation"),
    ];
    for (statement, index) in hot {
        let steps = plan(&store.writer, statement).await;
        assert!(
            steps.iter().any(|step| step.contains(index)),
            "{index}: {statement}\n{steps:#?}"
        );
        let full = steps.iter().find(|step| is_full_scan(step));
        assert_eq!(full, None, "{statement}\n{steps:#?}");
    }
}

/// A scan is fine over an index of what is open, over the nodes, which are few, and over the rows
/// that a sub-select already cut down.
fn is_full_scan(step: &str) -> bool {
    let fine = [
        "USING INDEX jobs_to_prepare",
        "SCAN nodes",
        "SCAN j",
        "SCAN due",
        "SCAN json_each",
        "USING INDEX jobs_with_inputs",
    ];
    step.starts_with("SCAN") && !fine.iter().any(|fine| step.contains(fine))
}

// ── names ───────────────────────────────────────────────────────────────────────────────────────

/// A state that the schema does not know could never be stored.
#[tokio::test]
async fn the_schema_knows_every_name() {
    let store = open_memory().await;
    let schema: Vec<String> =
        sqlx::query_scalar("SELECT sql FROM sqlite_schema WHERE type = 'table'")
            .fetch_all(&store.writer)
            .await
            .unwrap();
    let schema = schema.concat();
    let names = JobState::ALL
        .iter()
        .map(|state| state.as_str())
        .chain(SampleState::ALL.iter().map(|state| state.as_str()))
        .chain(NodeState::ALL.iter().map(|state| state.as_str()))
        .chain(EntryKind::ALL.iter().map(|kind| kind.as_str()));
    for name in names {
        assert!(schema.contains(&format!("'{name}'")), "{name}");
    }
    for state in JobState::ALL {
        assert_eq!(JobState::from_name(state.as_str()), Some(*state));
    }
    assert!(
        JobErrorCode::ALL
            .iter()
            .all(|code| JobErrorCode::from_name(code.as_str()).is_some())
    );
}

#[tokio::test]
async fn the_connections_are_set_up_as_promised() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("tryon.db"))
        .await
        .unwrap();
    for pool in [&store.writer, &store.readers] {
        let pragma = async |statement| {
            let row = sqlx::query(statement).fetch_one(pool).await.unwrap();
            row.try_get::<i64, _>(0)
                .map_or_else(|_| row.get::<String, _>(0), |n| n.to_string())
        };
        assert_eq!(pragma("PRAGMA journal_mode").await, "wal");
        assert_eq!(pragma("PRAGMA synchronous").await, "2", "full");
        assert_eq!(pragma("PRAGMA foreign_keys").await, "1");
        assert!(pragma("PRAGMA busy_timeout").await.parse::<u64>().unwrap() >= 5000);
    }
    let refused = sqlx::query("DELETE FROM accounts")
        .execute(&store.readers)
        .await;
    assert!(refused.is_err(), "readers read");
}

// ── transactions ────────────────────────────────────────────────────────────────────────────────

const INSERT_NODE: &str = "INSERT INTO nodes (name, url) VALUES ('a', 'http://a')";

/// Writes that work still: no transaction was left open.
async fn assert_writable(store: &SqliteStore) {
    let id = AccountId::from_bytes([1; 12]);
    store
        .create_account(id, "", Limits::default(), NOW)
        .await
        .unwrap();
    store
        .grant_credits(id, Pool::Purchased, 1, NOW)
        .await
        .unwrap();
}

/// The caller goes away between the statements of its transaction.
#[tokio::test]
async fn a_transaction_ends_without_its_caller() {
    let store = open_memory().await;
    let begun = Arc::new(Notify::new());
    let (go_on, wait) = oneshot::channel::<()>();
    let caller = tokio::spawn({
        let (pool, begun) = (store.writer.clone(), begun.clone());
        async move {
            write::<(), StoreError>(&pool, move |tx| {
                Box::pin(async move {
                    sqlx::query(INSERT_NODE).execute(&mut *tx).await?;
                    begun.notify_one();
                    wait.await.unwrap();
                    sqlx::query("UPDATE nodes SET faults = 7")
                        .execute(&mut *tx)
                        .await?;
                    Ok(())
                })
            })
            .await
        }
    });
    begun.notified().await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    go_on.send(()).unwrap();

    // The next in line waits for the transaction that nobody waits for any more.
    assert_writable(&store).await;
    assert_eq!(store.list_nodes().await.unwrap()[0].faults, 7);
}

#[tokio::test]
async fn an_error_undoes_the_whole_transaction() {
    let store = open_memory().await;
    let failed = write::<(), StoreError>(&store.writer, |tx| {
        Box::pin(async move {
            sqlx::query(INSERT_NODE).execute(&mut *tx).await?;
            sqlx::query(INSERT_NODE).execute(&mut *tx).await?;
            Ok(())
        })
    });
    assert!(matches!(failed.await, Err(StoreError::Database(_))));
    assert_writable(&store).await;
    assert_eq!(store.list_nodes().await.unwrap(), []);
}

#[tokio::test]
async fn a_panic_undoes_the_whole_transaction_and_reaches_the_caller() {
    let store = open_memory().await;
    let pool = store.writer.clone();
    let caller = tokio::spawn(async move {
        write::<(), StoreError>(&pool, |tx| {
            Box::pin(async move {
                sqlx::query(INSERT_NODE).execute(&mut *tx).await?;
                panic!("at the worst moment");
            })
        })
        .await
    });
    assert!(caller.await.unwrap_err().is_panic());
    assert_writable(&store).await;
    assert_eq!(store.list_nodes().await.unwrap(), []);
}

/// A full disk ends a transaction behind the driver's back. Once there is room again the store
/// works on, on a connection that is not believed to be inside that transaction for ever.
#[tokio::test]
async fn a_full_disk_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("tryon.db"))
        .await
        .unwrap();
    sqlx::query("PRAGMA max_page_count = 1")
        .execute(&store.writer)
        .await
        .unwrap();
    let failed = write::<(), StoreError>(&store.writer, |tx| {
        Box::pin(async move {
            sqlx::query(INSERT_NODE).execute(&mut *tx).await?;
            sqlx::query("UPDATE nodes SET url = hex(zeroblob(1000000))")
                .execute(&mut *tx)
                .await?;
            Ok(())
        })
    });
    let Err(StoreError::Database(sqlx::Error::Database(error))) = failed.await else {
        panic!("a megabyte does not fit");
    };
    assert_eq!(error.code().as_deref(), Some("13"), "SQLITE_FULL: {error}");

    sqlx::query("PRAGMA max_page_count = 1000000")
        .execute(&store.writer)
        .await
        .unwrap();
    assert_writable(&store).await;
    assert_eq!(store.list_nodes().await.unwrap(), []);
    assert_eq!(store.audit().await.unwrap(), []);
}

#[tokio::test]
async fn a_row_that_something_else_wrote_is_named() {
    let store = open_memory().await;
    let foreign = "INSERT INTO nodes (name, url, attempt) VALUES ('a', 'http://a', 'job-1')";
    sqlx::query(foreign).execute(&store.writer).await.unwrap();
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
    let known = store
        .set_node_state("a", NodeState::Ready, &[Provider::Qwen])
        .await;
    known.unwrap();
}
