//! Opening the database file.

use std::{
    fs, io,
    num::NonZero,
    path::Path,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use sqlx::{
    Connection as _, SqlitePool,
    error::DatabaseError,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    sql::schema::{Migrations, check_version, migrator},
    store::StoreError,
};

/// How long a transaction waits for another process's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause before a file that was busy is opened again.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// What the write-ahead log is cut down to after a burst.
const LOG_SIZE_LIMIT: &str = "67108864";

pub(super) const MIGRATIONS: Migrations = &[
    (
        1,
        "initial",
        include_str!("../../migrations/sqlite/0001_initial.sql"),
    ),
    (
        2,
        "idempotency",
        include_str!("../../migrations/sqlite/0002_idempotency.sql"),
    ),
    (
        3,
        "drained nodes",
        include_str!("../../migrations/sqlite/0003_drained_nodes.sql"),
    ),
    (
        4,
        "key expiry",
        include_str!("../../migrations/sqlite/0004_key_expiry.sql"),
    ),
    (
        5,
        "webhooks",
        include_str!("../../migrations/sqlite/0005_webhooks.sql"),
    ),
    (
        6,
        "privacy",
        include_str!("../../migrations/sqlite/0006_privacy.sql"),
    ),
    (
        7,
        "registered nodes",
        include_str!("../../migrations/sqlite/0007_registered_nodes.sql"),
    ),
    (
        8,
        "key scopes",
        include_str!("../../migrations/sqlite/0008_key_scopes.sql"),
    ),
    (
        9,
        "fair turns",
        include_str!("../../migrations/sqlite/0009_fair_turns.sql"),
    ),
    (
        10,
        "node pace",
        include_str!("../../migrations/sqlite/0010_node_pace.sql"),
    ),
    (
        11,
        "users",
        include_str!("../../migrations/sqlite/0011_users.sql"),
    ),
    (
        12,
        "identities",
        include_str!("../../migrations/sqlite/0012_identities.sql"),
    ),
    (
        13,
        "traces",
        include_str!("../../migrations/sqlite/0013_traces.sql"),
    ),
];

/// The connection that writes and those that read; in memory they are the same one.
pub(super) async fn open(path: &Path) -> Result<(SqlitePool, SqlitePool), StoreError> {
    if path == Path::new(":memory:") {
        let only = connect_writer(base_options().in_memory(true)).await?;
        return Ok((only.clone(), only));
    }
    create_private(path).map_err(sqlx::Error::Io)?;
    let options = base_options().filename(path);
    let writer = connect_writer(options.clone()).await?;
    Ok((writer, connect_readers(options)))
}

/// Connections that only read a file that is there, and leave it as it is: not even its schema is
/// brought up to date.
pub(super) async fn open_to_read(path: &Path) -> Result<SqlitePool, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .pragma("query_only", "ON")
        .busy_timeout(BUSY_TIMEOUT);
    let pool = lasting().max_connections(1).connect_with(options).await?;
    let checked = check_version(MIGRATIONS, read_version(&pool).await?);
    if checked.is_err() {
        pool.close().await;
    }
    checked.map(|()| pool)
}

/// The last migration that a file has seen; 0 for one that has seen none.
async fn read_version(pool: &SqlitePool) -> Result<i64, StoreError> {
    let migrated = "SELECT COUNT(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'";
    let migrated: i64 = sqlx::query_scalar(migrated).fetch_one(pool).await?;
    if migrated == 0 {
        return Ok(0);
    }
    let version = "SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations";
    Ok(sqlx::query_scalar(version).fetch_one(pool).await?)
}

fn base_options() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        // A job that was answered for survives a power failure.
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", LOG_SIZE_LIMIT)
        // What is deleted is overwritten, so that what was erased is not left in free pages.
        .pragma("secure_delete", "ON")
        .busy_timeout(BUSY_TIMEOUT)
}

fn lasting() -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .idle_timeout(None)
        .max_lifetime(None)
        // There is no network in between that could have gone away.
        .test_before_acquire(false)
}

async fn connect_writer(options: SqliteConnectOptions) -> Result<SqlitePool, StoreError> {
    let pool = connect_in_turn(options).await?;
    migrate(&pool).await?;
    Ok(pool)
}

/// Two that turn a fresh file over to the write-ahead log at the same time would wait for each
/// other; SQLite tells one of them at once that the file is busy, whatever the busy timeout is.
async fn connect_in_turn(options: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        let connecting = lasting().max_connections(1).connect_with(options.clone());
        match connecting.await {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            connected => return connected,
        }
    }
}

/// `SQLITE_BUSY` with any of the details in its upper bytes.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    let code: Option<u32> = code.and_then(|code| code.parse().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

fn connect_readers(options: SqliteConnectOptions) -> SqlitePool {
    let cores = thread::available_parallelism().map_or(2, NonZero::get);
    let connections = u32::try_from(cores.clamp(2, 8)).expect("BUG: at most 8");
    lasting()
        .max_connections(connections)
        .connect_lazy_with(options.pragma("query_only", "ON"))
}

/// Brings the schema up to date in one transaction: of two processes that start at the same time
/// one migrates, and the other finds it done.
async fn migrate(pool: &SqlitePool) -> Result<(), StoreError> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    migrator(MIGRATIONS)
        .run_direct(None, &mut *transaction, false)
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// Creates the file, and the folder it lies in, for their owner alone. SQLite gives its log the
/// file's mode. What exists keeps its mode.
fn create_private(path: &Path) -> io::Result<()> {
    // Closing any descriptor of a file ends the whole process's locks on it, and with them those
    // of another store on the same file: nobody opens it until it is created and closed.
    static CREATION: Mutex<()> = Mutex::new(());
    let _alone = CREATION.lock().unwrap_or_else(PoisonError::into_inner);

    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        create_private_folder(folder)?;
    }
    match create_private_file(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created.map(drop),
    }
}

#[cfg(unix)]
fn create_private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

#[cfg(unix)]
fn create_private_file(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

#[cfg(not(unix))]
fn create_private_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

#[cfg(not(unix))]
fn create_private_file(path: &Path) -> io::Result<fs::File> {
    fs::File::create_new(path)
}
