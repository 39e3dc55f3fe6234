//! Tests that need the statements and the connections themselves.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, PgPool};
use tokio::sync::Barrier;
use tryon_testkit::postgres::PostgresServer;

use super::{PostgresStore, open::MIGRATIONS};
use crate::{
    Store as _, StoreError, Work,
    sql::{
        dispatch, idempotency, job, key, queue,
        schema::migrator,
        settle,
        statement::{Sql, query},
        sweep,
        tests::stored_names,
        transaction::Pools,
        webhook,
    },
};

async fn open() -> PostgresStore {
    let url = PostgresServer::shared().create_database().unwrap();
    PostgresStore::open(&url).await.unwrap()
}

fn pool(store: &PostgresStore) -> &PgPool {
    let Pools::Postgres(pool) = &store.pools else {
        unreachable!()
    };
    pool
}

async fn execute(store: &PostgresStore, statements: &'static str) {
    sqlx::raw_sql(statements)
        .execute(pool(store))
        .await
        .unwrap();
}

// ── plans ───────────────────────────────────────────────────────────────────────────────────────

/// A history of jobs that ended, twice as many as wait, and pictures to be erased.
const FILL: &str = "
    INSERT INTO accounts (id, name, tryon_per_minute, status_per_minute, credits_per_minute,
        concurrent_jobs, created_at)
    VALUES ('010101010101010101010101', '', 1, 1, 1, 1, 0);

    INSERT INTO jobs (id, account_id, state, request, plan, sources, price, created_at, deadline)
    SELECT id, id, 'accepted', '{}', '{}', '{}', 1, 0, 1 FROM accounts;

    INSERT INTO jobs (id, account_id, state, request, plan, sources, inputs, price, created_at,
        deadline, ended_at, inputs_erased_at)
    SELECT 'a' || lpad(to_hex(n), 23, '0'), account_id, 'completed', request, plan, sources,
        '{\"person\": \"p\", \"garment\": null}', 1, n, n + 1000, n + 100,
        CASE WHEN n % 100 > 0 THEN n + 200 END
    FROM jobs, generate_series(1, 40000) AS n;

    INSERT INTO samples (job_id, idx, state, provider, created_at, deadline, seed, attempt, output)
    SELECT id, 0, 'succeeded', 'preview', created_at, deadline, 0, 1, '{}' FROM jobs
    WHERE state = 'completed';

    INSERT INTO jobs (id, account_id, state, request, plan, sources, inputs, price, created_at,
        deadline)
    SELECT 'b' || lpad(to_hex(n), 23, '0'), account_id,
        CASE WHEN n % 2 = 0 THEN 'prepared' ELSE 'accepted' END, request, plan, sources, '{\"person\": \"p\", \"garment\": null}', 1, 50000 + n,
        1000000000000
    FROM jobs, generate_series(1, 20000) AS n WHERE state = 'accepted';

    INSERT INTO samples
        (job_id, account_id, idx, state, provider, created_at, deadline, seed, due_at)
    SELECT id, account_id, 0, 'queued', 'preview', created_at, deadline, 0,
        CASE WHEN state = 'prepared' THEN created_at END
    FROM jobs WHERE state IN ('prepared', 'accepted') AND created_at > 50000 AND price = 1
    ON CONFLICT DO NOTHING;

    INSERT INTO api_keys (id, account_id, name, prefix, hash, created_at)
    SELECT 'c' || lpad(to_hex(n), 23, '0'), accounts.id, '', '',
        sha256(int8send(n)), n
    FROM accounts, generate_series(1, 5000) AS n;

    INSERT INTO idempotency_keys (account_id, key, request, job_id, created_at)
    SELECT account_id, 'key ' || created_at, sha256(''), id, created_at FROM jobs
    WHERE state = 'completed';

    INSERT INTO webhooks (job_id, account_id, url, state, due_at, created_at, ended_at)
    SELECT id, account_id, 'https://a.example/', 'delivered', NULL, ended_at, ended_at FROM jobs
    WHERE state = 'completed' AND created_at % 100 > 0;

    INSERT INTO webhooks (job_id, account_id, url, due_at, created_at)
    SELECT id, account_id, 'https://a.example/', ended_at, ended_at FROM jobs
    WHERE state = 'completed' AND created_at % 100 = 0;

    INSERT INTO webhook_tries (job_id, number, at, took_ms, status)
    SELECT job_id, 1, created_at, 5, 200 FROM webhooks WHERE state = 'delivered';

    INSERT INTO nodes (name, url, state, providers, attempt, hold_until)
    SELECT 'node-' || n, 'http://node', 'ready', '[\"preview\"]',
        CASE WHEN n % 2 = 0 THEN 'at-work-' || n END, CASE WHEN n % 50 = 0 THEN 70000 + n ELSE 0 END
    FROM generate_series(1, 2000) AS n;

    VACUUM ANALYZE";

async fn fill(store: &PostgresStore) {
    for statement in FILL.split(';') {
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(pool(store))
            .await
            .unwrap();
    }
}

/// What the server does for this statement with these arguments, a step a line.
async fn plan(pool: &PgPool, statement: &str, arguments: &str) -> Vec<String> {
    let mut connection = pool.acquire().await.unwrap();
    let prepare = AssertSqlSafe(format!("PREPARE hot AS {statement}"));
    let prepared = sqlx::raw_sql(prepare).execute(&mut *connection).await;
    prepared.unwrap();
    let explain = AssertSqlSafe(format!("EXPLAIN EXECUTE hot({arguments})"));
    let steps = sqlx::query_scalar(explain)
        .persistent(false)
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    let forgotten = sqlx::raw_sql("DEALLOCATE hot").execute(&mut *connection);
    forgotten.await.unwrap();
    steps
}

/// A statement, arguments for it and the indices that it has to use.
type Hot = (Sql, String, &'static [&'static str]);

/// Every statement on the path of a request, of the dispatcher or of the sweep finds its rows by
/// an index, so that history does not slow it down.
#[tokio::test]
async fn no_hot_statement_reads_a_whole_table() {
    let store = open().await;
    fill(&store).await;
    let job = "'010101010101010101010101'";
    let account = "'010101010101010101010101'";
    let hash = r"'\x00'";
    let hot: [Hot; 15] = [
        (
            key::FIND_ACCOUNT.into(),
            format!("{hash}, 10"),
            &["api_keys_hash_key"],
        ),
        (
            idempotency::FIND.into(),
            format!("{account}, 'key 7', 0"),
            &["idempotency_keys_pkey"],
        ),
        (
            idempotency::FORGET.into(),
            "10, 10".into(),
            &["idempotency_keys_by_age", "idempotency_keys_pkey"],
        ),
        (job::FIND.into(), job.into(), &["jobs_pkey", "samples_pkey"]),
        (
            job::LIST.into(),
            format!("{account}, 20"),
            &["jobs_of_account"],
        ),
        (
            job::LIST_AFTER.into(),
            format!("{account}, 20, {job}"),
            &["jobs_of_account"],
        ),
        (
            job::CLAIM_PREPARATION,
            "80000, 90000, '[]'".into(),
            &["jobs_to_prepare"],
        ),
        (
            dispatch::LIST_IDLE,
            "'preview', 80000, 32".into(),
            &["nodes_idle"],
        ),
        (
            dispatch::LOCK_DUE,
            format!("'preview', {account}, 80000, 32"),
            &["samples_to_dispatch", "jobs_pkey"],
        ),
        (dispatch::PROGRESS, format!("{job}, 0"), &["samples_pkey"]),
        (settle::JOB_PROGRESS.into(), job.into(), &["samples_pkey"]),
        (
            sweep::EXPIRED_LEASES.into(),
            "80000, 100".into(),
            &["samples_by_lease"],
        ),
        (
            sweep::OVERDUE_JOBS.into(),
            "80000, 100".into(),
            &["jobs_by_deadline"],
        ),
        (
            sweep::ERASABLE_INPUTS.into(),
            "100".into(),
            &["jobs_with_inputs"],
        ),
        (
            sweep::ERASABLE_OUTPUTS.into(),
            "10000, 20".into(),
            &["jobs_with_outputs", "samples_pkey"],
        ),
    ];
    let others = outbox_statements(job, account)
        .into_iter()
        .chain(followed_statements(job));
    for (statement, arguments, indices) in hot.into_iter().chain(others).chain(next_due()) {
        let statement = statement.postgres;
        let steps = plan(pool(&store), statement, &arguments).await;
        for index in indices {
            assert!(
                steps.iter().any(|step| scans(step, index)),
                "{index}: {statement}\n{steps:#?}",
            );
        }
        let whole = steps.iter().find(|step| is_whole_table(step));
        assert_eq!(whole, None, "{statement}\n{steps:#?}");
    }
}

/// Its account waits for a turn, though nothing of that was said when the sample was written.
#[tokio::test]
async fn a_sample_of_an_older_gateway_waits_too() {
    let store = open().await;
    fill(&store).await;
    let queue = "
        UPDATE samples SET account_id = NULL WHERE due_at IS NOT NULL;
        UPDATE samples SET due_at = 5
        WHERE job_id = (SELECT MIN(job_id) FROM samples WHERE due_at IS NOT NULL)";
    sqlx::raw_sql(queue).execute(pool(&store)).await.unwrap();
    let waiting = "
        SELECT turns.account_id = jobs.account_id FROM samples
        JOIN turns USING (account_id, provider) JOIN jobs ON jobs.id = job_id
        WHERE turns.due_at = 5 AND samples.due_at = 5";
    let waiting: Vec<bool> = sqlx::query_scalar(waiting)
        .fetch_all(pool(&store))
        .await
        .unwrap();
    assert_eq!(waiting, [true]);
}

/// The same of what says when loops go on.
fn next_due() -> [Hot; 4] {
    let kinds: [(Work, &[&str]); 4] = [
        (Work::Dispatch, &["samples_by_due", "nodes_by_hold"]),
        (Work::Leases, &["samples_by_lease"]),
        (Work::Deadlines, &["jobs_by_deadline"]),
        (Work::Preparation, &["jobs_in_preparation"]),
    ];
    kinds.map(|(work, indices)| (sweep::next_due_of(work).into(), "80000".into(), indices))
}

/// What is asked for those who follow jobs.
fn followed_statements(job: &str) -> [Hot; 4] {
    [
        (
            job::FIND_MANY,
            format!("jsonb_build_array({job})"),
            &["jobs_pkey", "samples_pkey"],
        ),
        (
            queue::FIND_PLACE.into(),
            format!("{job}, 0, 100"),
            &["samples_pkey", "samples_to_dispatch"],
        ),
        (
            queue::LIST_RIVALS.into(),
            "'preview', 5, 100".into(),
            &["samples_to_dispatch"],
        ),
        (
            queue::LIST_INFERENCES,
            "20".into(),
            &["jobs_with_outputs", "samples_pkey"],
        ),
    ]
}

/// The same of the outbox.
fn outbox_statements(job: &str, account: &str) -> [Hot; 7] {
    [
        (
            webhook::DISABLE.into(),
            format!("{job}, 10"),
            &["webhooks_pkey", "webhooks_to_address"],
        ),
        (
            webhook::CLAIM,
            "80000, 90000, '[]'".into(),
            &["webhooks_to_deliver"],
        ),
        (
            webhook::FIND.into(),
            format!("{job}, {account}"),
            &["webhooks_pkey", "webhook_tries_pkey"],
        ),
        (
            webhook::LIST.into(),
            format!("{account}, 20"),
            &["webhooks_of_account", "webhook_tries_pkey"],
        ),
        (
            webhook::LIST_AFTER.into(),
            format!("{account}, 20, {job}"),
            &["webhooks_of_account"],
        ),
        (
            webhook::FORGET_URLS.into(),
            "10000, 20".into(),
            &["webhooks_by_end"],
        ),
        (
            sweep::next_due_of(Work::Delivery).into(),
            "80000".into(),
            &["webhooks_to_deliver"],
        ),
    ]
}

fn scans(step: &str, index: &str) -> bool {
    let scan = step.split_once(" using ").map(|(_, scanned)| scanned);
    let scanned = scan.or_else(|| Some(step.split_once("Bitmap Index Scan on ")?.1));
    scanned.is_some_and(|scanned| scanned.split(' ').next() == Some(index))
}

/// Accounts and nodes are few.
fn is_whole_table(step: &str) -> bool {
    let grows = [
        "jobs",
        "samples",
        "ledger",
        "api_keys",
        "idempotency_keys",
        "webhook",
    ];
    let scan = step.split_once("Seq Scan on ").map(|(_, table)| table);
    scan.is_some_and(|table| grows.iter().any(|grows| table.starts_with(grows)))
}

// ── migrations ──────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_database_of_any_older_version_is_brought_up_to_date() {
    for version in 1..MIGRATIONS.len() {
        let url = PostgresServer::shared().create_database().unwrap();
        let older = PgPool::connect(&url).await.unwrap();
        migrator(&MIGRATIONS[..version]).run(&older).await.unwrap();
        let insert = "INSERT INTO nodes (name, url) VALUES ('a', 'http://a')";
        sqlx::query(insert).execute(&older).await.unwrap();
        older.close().await;
        let store = PostgresStore::open(&url).await.unwrap();
        assert_eq!(store.list_nodes().await.unwrap().len(), 1, "{version}");
        store.close().await;
        PostgresStore::open_to_read(&url).await.unwrap();
    }
}

// ── names ───────────────────────────────────────────────────────────────────────────────────────

/// A state that the schema does not know could never be stored.
#[tokio::test]
async fn the_schema_knows_every_name() {
    let store = open().await;
    let rules = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c'";
    let rules: Vec<String> = sqlx::query_scalar(rules)
        .fetch_all(pool(&store))
        .await
        .unwrap();
    let rules = rules.concat();
    for name in stored_names() {
        assert!(rules.contains(&format!("'{name}'")), "{name}");
    }
}

#[tokio::test]
async fn the_connections_are_set_up_as_promised() {
    let store = open().await;
    for (setting, expected) in [
        ("statement_timeout", "30s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("synchronous_commit", "on"),
    ] {
        let value: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(setting)
            .fetch_one(pool(&store))
            .await
            .unwrap();
        assert_eq!(value, expected, "{setting}");
    }
}

/// Whoever logs a store does not log how to open it.
#[tokio::test]
async fn the_password_is_not_shown() {
    let url = PostgresServer::shared().create_database().unwrap();
    let store = PostgresStore::open(&format!("{url}&password=hunter2")).await;
    let shown = format!("{:?}", store.unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
    let wrong = PostgresStore::open("postgres://me:hunter2@[::1").await;
    let shown = format!("{:?}", wrong.unwrap_err());
    assert!(!shown.contains("hunter2"), "{shown}");
}

// ── transactions ────────────────────────────────────────────────────────────────────────────────

const COUNT: &str = "UPDATE nodes SET faults = faults + 1 WHERE name = $1";

/// Two transactions that wait for each other: the server undoes one, and it is made again.
#[tokio::test]
async fn a_deadlock_is_not_an_error() {
    let store = open().await;
    execute(
        &store,
        "INSERT INTO nodes (name, url) VALUES ('a', 'http://a'), ('b', 'http://b')",
    )
    .await;
    let both_hold_one = Arc::new(Barrier::new(2));
    let count = |first: &'static str, second: &'static str| {
        let meet = Arc::new(tokio::sync::Mutex::new(Some(Arc::clone(&both_hold_one))));
        store.pools.write::<(), StoreError, _>(move |tx| {
            let meet = Arc::clone(&meet);
            Box::pin(async move {
                query(COUNT).bind(first).execute(tx).await?;
                // They meet once: who is undone comes back alone.
                if let Some(barrier) = meet.lock().await.take() {
                    barrier.wait().await;
                }
                query(COUNT).bind(second).execute(tx).await?;
                Ok(())
            })
        })
    };
    let (one, other) = tokio::join!(count("a", "b"), count("b", "a"));
    one.unwrap();
    other.unwrap();
    let nodes = store.list_nodes().await.unwrap();
    assert!(nodes.iter().all(|node| node.faults == 2), "{nodes:?}");
}
