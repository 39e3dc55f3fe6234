//! Connecting, and the schema.

use std::time::Duration;

use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{
    sql::schema::{Migrations, check_version, migrator},
    store::StoreError,
};

/// Connections of one gateway. The server allows a hundred unless it is told otherwise.
const CONNECTIONS: u32 = 16;

/// How long a call waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Migrations take as long as they take, but the wait for another gateway that does them has an
/// end.
const MIGRATING: [(&str, &str); 2] = [("statement_timeout", "0"), ("lock_timeout", "60s")];

/// What ends by itself, so that nothing hangs on a gateway or a statement that does. A gateway
/// that stops in the middle of a transaction holds its locks no longer than this.
const TIMEOUTS: [(&str, &str); 3] = [
    ("statement_timeout", "30s"),
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "10s"),
];

pub(super) const MIGRATIONS: Migrations = &[
    (
        1,
        "initial",
        include_str!("../../migrations/postgres/0001_initial.sql"),
    ),
    (
        2,
        "idempotency",
        include_str!("../../migrations/postgres/0002_idempotency.sql"),
    ),
    (
        3,
        "drained nodes",
        include_str!("../../migrations/postgres/0003_drained_nodes.sql"),
    ),
    (
        4,
        "key expiry",
        include_str!("../../migrations/postgres/0004_key_expiry.sql"),
    ),
    (
        5,
        "webhooks",
        include_str!("../../migrations/postgres/0005_webhooks.sql"),
    ),
    (
        6,
        "privacy",
        include_str!("../../migrations/postgres/0006_privacy.sql"),
    ),
    (
        7,
        "registered nodes",
        include_str!("../../migrations/postgres/0007_registered_nodes.sql"),
    ),
    (
        8,
        "key scopes",
        include_str!("../../migrations/postgres/0008_key_scopes.sql"),
    ),
    (
        9,
        "fair turns",
        include_str!("../../migrations/postgres/0009_fair_turns.sql"),
    ),
    (
        10,
        "node pace",
        include_str!("../../migrations/postgres/0010_node_pace.sql"),
    ),
    (
        11,
        "users",
        include_str!("../../migrations/postgres/0011_users.sql"),
    ),
    (
        12,
        "identities",
        include_str!("../../migrations/postgres/0012_identities.sql"),
    ),
    (
        13,
        "traces",
        include_str!("../../migrations/postgres/0013_traces.sql"),
    ),
];

/// What a URL says, with the timeouts that it does not.
pub(super) fn parse(url: &str) -> Result<PgConnectOptions, StoreError> {
    let options: PgConnectOptions = url.parse()?;
    let given = options.get_options().unwrap_or_default().to_owned();
    let missing = TIMEOUTS.iter().filter(|(name, _)| !given.contains(name));
    Ok(options.application_name("tryon").options(missing.copied()))
}

pub(super) async fn open(options: PgConnectOptions) -> Result<PgPool, StoreError> {
    migrate(&options).await?;
    let pool = pool(CONNECTIONS).connect_with(options).await?;
    Ok(pool)
}

/// Connections that only read, and leave the schema as it is.
pub(super) async fn open_to_read(options: PgConnectOptions) -> Result<PgPool, StoreError> {
    let options = options.options([("default_transaction_read_only", "on")]);
    // A pool tries again and again, and then says nothing but that its time is over.
    connect(&options).await?.close().await?;
    let pool = pool(1).connect_with(options).await?;
    let found = read_version(&pool).await;
    let checked = found.and_then(|found| check_version(MIGRATIONS, found));
    if checked.is_err() {
        pool.close().await;
    }
    checked.map(|()| pool)
}

/// A connection that the server has ended since is noticed before it is used.
fn pool(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(true)
}

/// The last migration that a database has seen; 0 for one that has seen none.
async fn read_version(pool: &PgPool) -> Result<i64, StoreError> {
    let migrated = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
    let migrated: bool = sqlx::query_scalar(migrated).fetch_one(pool).await?;
    if !migrated {
        return Ok(0);
    }
    let version = "SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations";
    Ok(sqlx::query_scalar(version).fetch_one(pool).await?)
}

/// Brings the schema up to date. Gateways that start at the same time take turns: the migrator
/// holds an advisory lock, which the server frees with the connection.
async fn migrate(options: &PgConnectOptions) -> Result<(), StoreError> {
    let mut connection = connect(&options.clone().options(MIGRATING)).await?;
    migrator(MIGRATIONS)
        .run_direct(None, &mut connection, false)
        .await?;
    connection.close().await?;
    Ok(())
}

/// A connection outside the pool.
pub(super) async fn connect(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    let connected = tokio::time::timeout(ACQUIRE_TIMEOUT, options.connect());
    connected.await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeouts_of_a_url_win() {
        let options = parse("postgres://host/db?options[lock_timeout]=1s").unwrap();
        let options = options.get_options().unwrap();
        assert!(options.contains("lock_timeout=1s"), "{options}");
        assert!(!options.contains("lock_timeout=5s"), "{options}");
        assert!(options.contains("statement_timeout=30s"), "{options}");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        assert!(matches!(parse("postgres"), Err(StoreError::Database(_))));
    }
}
