//! Tests that need the statements and the connections themselves.

use sqlx::{Row as _, SqlitePool};
use tryon_core::{error::JobErrorCode, job::JobState};

use super::{SqliteStore, open::MIGRATIONS};
use crate::{
    Store as _, StoreError, Work,
    sql::{
        dispatch, erasure, history, idempotency, job, key, node, queue, registration,
        schema::{known_version, migrator},
        settle,
        statement::{Sql, query},
        sweep,
        tests::{assert_writable, stored_names},
        transaction::Pools,
        user, webhook,
    },
};

async fn open_memory() -> SqliteStore {
    SqliteStore::open(":memory:").await.unwrap()
}

// ── plans ───────────────────────────────────────────────────────────────────────────────────────

fn writer(store: &SqliteStore) -> &SqlitePool {
    let Pools::Sqlite { writer, .. } = &store.pools else {
        unreachable!()
    };
    writer
}

fn readers(store: &SqliteStore) -> &SqlitePool {
    let Pools::Sqlite { readers, .. } = &store.pools else {
        unreachable!()
    };
    readers
}

/// What SQLite does for this statement, a step a line.
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
    let hot: [(Sql, &str); 47] = [
        (key::FIND_ACCOUNT.into(), "api_keys"),
        (
            idempotency::FIND.into(),
            "PRIMARY KEY (account_id=? AND key=?)",
        ),
        (idempotency::FORGET.into(), "idempotency_keys_by_age"),
        (job::FIND.into(), "jobs_1"),
        (
            job::FIND_MANY,
            "SEARCH j USING INDEX sqlite_autoindex_jobs_1",
        ),
        (job::LIST.into(), "jobs_of_account"),
        (
            job::LIST_AFTER.into(),
            "jobs_of_account (account_id=? AND created_at<?)",
        ),
        (job::CLAIM_PREPARATION, "jobs_to_prepare"),
        (dispatch::LOCK_WAITING, "turns_waiting (provider=?)"),
        (dispatch::LIST_IDLE, "USING INDEX nodes_idle"),
        (dispatch::LOCK_DUE, "samples_to_dispatch"),
        (dispatch::PROGRESS, "PRIMARY KEY (job_id=? AND idx=?)"),
        (settle::JOB_PROGRESS.into(), "PRIMARY KEY (job_id=?)"),
        (sweep::EXPIRED_LEASES.into(), "samples_by_lease"),
        (sweep::OVERDUE_JOBS.into(), "jobs_by_deadline"),
        (sweep::ERASABLE_INPUTS.into(), "jobs_with_inputs"),
        (sweep::ERASABLE_OUTPUTS.into(), "jobs_with_outputs"),
        (webhook::CLAIM, "webhooks_to_deliver"),
        (webhook::DISABLE.into(), "webhooks_to_address"),
        (webhook::FIND.into(), "PRIMARY KEY (job_id=?)"),
        (webhook::LIST.into(), "webhooks_of_account"),
        (
            webhook::LIST_AFTER.into(),
            "webhooks_of_account (account_id=? AND created_at<?)",
        ),
        (webhook::FORGET_URLS.into(), "webhooks_by_end"),
        (
            sweep::next_due_of(Work::Delivery).into(),
            "webhooks_to_deliver",
        ),
        (erasure::CLAIM_OF_END_USER.into(), "jobs_of_end_user"),
        (erasure::LIST_CLAIMED.into(), "jobs_to_erase"),
        (erasure::FORGET_NAME.into(), "idempotency_keys_of_job"),
        (erasure::FINISH.into(), "jobs_of_end_user"),
        (erasure::LIST_DUE.into(), "erasures_by_due"),
        (erasure::LIST_ERASED.into(), "jobs_of_erasure"),
        (sweep::next_due_of(Work::Dispatch).into(), "samples_by_due"),
        (sweep::next_due_of(Work::Leases).into(), "samples_by_lease"),
        (
            sweep::next_due_of(Work::Deadlines).into(),
            "jobs_by_deadline",
        ),
        (
            sweep::next_due_of(Work::Preparation).into(),
            "jobs_in_preparation",
        ),
        (sweep::next_due_of(Work::Dispatch).into(), "nodes_by_hold"),
        (sweep::next_due_of(Work::Erasures).into(), "erasures_by_due"),
        (queue::FIND_PLACE.into(), "PRIMARY KEY (job_id=? AND idx=?)"),
        (
            queue::FIND_PLACE.into(),
            "samples_to_dispatch (provider=? AND account_id=?",
        ),
        (
            queue::LIST_RIVALS.into(),
            "turns_waiting (provider=? AND turn<?)",
        ),
        (
            queue::LIST_RIVALS.into(),
            "samples_to_dispatch (provider=? AND account_id=?)",
        ),
        (queue::LIST_INFERENCES, "jobs_with_outputs"),
        (queue::LIST_DEPTHS.into(), "USING INDEX samples_to_dispatch"),
        (node::FIND.into(), "PRIMARY KEY (name=?)"),
        (node::FIND_AT_WORK.into(), "nodes_by_attempt"),
        (registration::COUNT_LAPSED.into(), "nodes_by_registration"),
        (registration::LOSE, "nodes_by_registration"),
        (registration::FORGET, "nodes_by_registration"),
    ];
    check_plans(&store, &hot).await;
}

/// Nor does one of the pages.
#[tokio::test]
async fn no_statement_of_a_page_reads_a_whole_table() {
    let store = open_memory().await;
    let hot: [(Sql, &str); 8] = [
        (user::FIND.into(), "users_2 (login=?)"),
        (
            user::FIND_SESSION.into(),
            "SEARCH s USING PRIMARY KEY (hash=?)",
        ),
        (user::FORGET.into(), "sessions_by_expiry"),
        (
            user::FIND_BY_IDENTITY.into(),
            "SEARCH i USING PRIMARY KEY (issuer=? AND subject=?)",
        ),
        (
            user::UNLINK.into(),
            "sqlite_autoindex_identities_2 (user_id=?)",
        ),
        (
            history::LIST_ACTIONS.into(),
            "INTEGER PRIMARY KEY (rowid<?)",
        ),
        (
            history::LIST_ENTRIES.into(),
            "ledger_of_account (account_id=? AND id<?)",
        ),
        (
            history::LIST_USAGE.into(),
            "PRIMARY KEY (account_id=? AND day>?)",
        ),
    ];
    check_plans(&store, &hot).await;
}

async fn check_plans(store: &SqliteStore, hot: &[(Sql, &str)]) {
    for (statement, index) in hot {
        let statement = statement.sqlite;
        let steps = plan(writer(store), statement).await;
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
        "SCAN w",
        "SCAN due",
        "SCAN wanted",
        "SCAN counted",
        "USING INDEX samples_to_dispatch",
        "SCAN json_each",
        "USING INDEX jobs_with_inputs",
    ];
    step.starts_with("SCAN") && !fine.iter().any(|fine| step.contains(fine))
}

// ── migrations ──────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_database_of_any_older_version_is_brought_up_to_date() {
    for version in 1..MIGRATIONS.len() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tryon.db");
        let url = format!("sqlite://{}?mode=rwc", path.display());
        let older = SqlitePool::connect(&url).await.unwrap();
        migrator(&MIGRATIONS[..version]).run(&older).await.unwrap();
        sqlx::query(INSERT_NODE).execute(&older).await.unwrap();
        older.close().await;
        let known = known_version(MIGRATIONS);
        let found = known_version(&MIGRATIONS[..version]);
        assert!(matches!(
            SqliteStore::open_to_read(&path).await,
            Err(StoreError::OtherSchema { found: it, known: newest }) if (it, newest) == (found, known)
        ));
        let store = SqliteStore::open(&path).await.unwrap();
        assert_eq!(store.list_nodes().await.unwrap().len(), 1, "{version}");
        store.close().await;
        SqliteStore::open_to_read(&path).await.unwrap();
    }
}

// ── names ───────────────────────────────────────────────────────────────────────────────────────

/// A state that the schema does not know could never be stored.
#[tokio::test]
async fn the_schema_knows_every_name() {
    let store = open_memory().await;
    let schema: Vec<String> =
        sqlx::query_scalar("SELECT sql FROM sqlite_schema WHERE type = 'table'")
            .fetch_all(writer(&store))
            .await
            .unwrap();
    let schema = schema.concat();
    for name in stored_names() {
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
    for pool in [writer(&store), readers(&store)] {
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
        .execute(readers(&store))
        .await;
    assert!(refused.is_err(), "readers read");
}

// ── transactions ────────────────────────────────────────────────────────────────────────────────

const INSERT_NODE: &str = "INSERT INTO nodes (name, url) VALUES ('a', 'http://a')";

/// A full disk ends a transaction behind the driver's back. Once there is room again the store
/// works on, on a connection that is not believed to be inside that transaction for ever.
#[tokio::test]
async fn a_full_disk_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("tryon.db"))
        .await
        .unwrap();
    sqlx::query("PRAGMA max_page_count = 1")
        .execute(writer(&store))
        .await
        .unwrap();
    let failed = store.pools.write::<(), StoreError, _>(|tx| {
        Box::pin(async move {
            query(INSERT_NODE).execute(tx).await?;
            query("UPDATE nodes SET url = hex(zeroblob(1000000))")
                .execute(tx)
                .await?;
            Ok(())
        })
    });
    let Err(StoreError::Database(sqlx::Error::Database(error))) = failed.await else {
        panic!("a megabyte does not fit");
    };
    assert_eq!(error.code().as_deref(), Some("13"), "SQLITE_FULL: {error}");

    sqlx::query("PRAGMA max_page_count = 1000000")
        .execute(writer(&store))
        .await
        .unwrap();
    assert_writable(&store).await;
    assert_eq!(store.list_nodes().await.unwrap(), []);
    assert_eq!(store.audit().await.unwrap(), []);
}
