//! How a call becomes one transaction, whatever happens to its caller.
//!
//! A client that hangs up drops the future of its request wherever it waits. A transaction in the
//! middle of that future would be cut in two: its locks held, or its last statements missing. So
//! each write runs on a task of its own, which nobody drops: once it began it commits or rolls
//! back, and a caller that went away merely does not hear of it. A caller that is dropped before
//! its first poll has begun nothing.
//!
//! SQLite has one connection that writes. Writers queue in the process, in order, instead of
//! competing for the file's lock with back-off, which costs an order of magnitude in the slowest
//! answers. Other processes are kept out by `BEGIN IMMEDIATE` and the busy timeout.
//!
//! PostgreSQL has a pool, and rows are locked in one order (job, samples, node, account), so
//! that transactions wait for each other and do not block each other for ever. Where the database
//! undoes one all the same it is made again, a few times.

use std::{future::Future, io, pin::Pin, time::Duration};

use sqlx::{
    Connection as _, Database, PgPool, Pool, Postgres, SqlSafeStr as _, SqlStr, Sqlite, SqlitePool,
};
use tracing::Instrument as _;

use super::statement::{Connection, Sql};
use crate::store::{StoreError, SubmitError};

/// What a transaction does.
pub(crate) type Work<'c, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>>;

/// A transaction that was undone is made anew at most this often.
const RETRIES: u32 = 5;

/// The wait before it is made anew for the first time; it doubles.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// The database undid the transaction because of another one: `serialization_failure`,
/// `deadlock_detected`.
const UNDONE: [&str; 2] = ["40001", "40P01"];

/// A server that was not heard of for this long is gone, whatever the network says. It is longer
/// than the server lets a statement take.
const PATIENCE: Duration = Duration::from_mins(1);

/// The same, where everything is read.
const READ_PATIENCE: Duration = Duration::from_hours(1);

/// A file answers, or its disk is broken.
const NO_NETWORK: Duration = Duration::MAX;

/// The connections to a database.
#[derive(Debug, Clone)]
pub(crate) enum Pools {
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

/// SQLite locks the file for writing at once: a lock that is upgraded later can fail half-way.
const WRITE: Sql = Sql {
    sqlite: "BEGIN IMMEDIATE",
    postgres: "BEGIN ISOLATION LEVEL READ COMMITTED",
};

/// Several statements that read one state of the database, however long they take.
const READ: Sql = Sql {
    sqlite: "BEGIN DEFERRED",
    postgres: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0",
};

/// Why a transaction came to nothing.
pub(crate) trait Failure: From<StoreError> + Send + 'static {
    /// The store's own failure, if it is one.
    fn as_store_error(&self) -> Option<&StoreError>;
}

impl Failure for StoreError {
    fn as_store_error(&self) -> Option<&StoreError> {
        Some(self)
    }
}

impl Failure for SubmitError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::OutOfCredits(_)
            | Self::TooManyJobs { .. }
            | Self::AcceptedBefore(_)
            | Self::OtherRequest => None,
        }
    }
}

/// How a transaction begins, and how long it is waited for.
#[derive(Debug, Clone)]
struct Begin {
    statement: SqlStr,
    patience: Duration,
}

impl Begin {
    fn with(statement: &'static str, patience: Duration) -> Self {
        Self {
            statement: statement.into_sql_str(),
            patience,
        }
    }
}

impl Pools {
    /// Runs `work`, a single statement that reads.
    pub(crate) async fn look<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        W: for<'c> FnOnce(&'c mut Connection<'c>) -> Work<'c, T, StoreError> + Send,
    {
        match self {
            Self::Sqlite { readers, .. } => look(readers, NO_NETWORK, work).await,
            Self::Postgres(pool) => look(pool, PATIENCE, work).await,
        }
    }

    /// Runs `work` as one transaction that writes; it is undone when `work` answers with an error.
    pub(crate) async fn write<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: Failure,
        W: for<'c> Fn(&'c mut Connection<'c>) -> Work<'c, T, E> + Send + Sync + 'static,
    {
        match self.clone() {
            Self::Sqlite { writer, .. } => {
                undropped(run(writer, Begin::with(WRITE.sqlite, NO_NETWORK), work)).await
            }
            Self::Postgres(pool) => {
                undropped(run(pool, Begin::with(WRITE.postgres, PATIENCE), work)).await
            }
        }
    }

    /// Runs `work` on one unchanging state of the database.
    pub(crate) async fn read<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'c> Fn(&'c mut Connection<'c>) -> Work<'c, T, StoreError> + Send + Sync + 'static,
    {
        match self.clone() {
            Self::Sqlite { readers, .. } => {
                undropped(run(readers, Begin::with(READ.sqlite, NO_NETWORK), work)).await
            }
            Self::Postgres(pool) => {
                undropped(run(pool, Begin::with(READ.postgres, READ_PATIENCE), work)).await
            }
        }
    }

    /// Closes them once the transactions under way have ended.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// Does something on a task of its own, which ends whatever becomes of its caller.
async fn undropped<T, E: Failure>(
    transaction: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
{
    match tokio::spawn(transaction.in_current_span()).await {
        Ok(outcome) => outcome,
        Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
        Err(_) => Err(database(sqlx::Error::WorkerCrashed)),
    }
}

/// A database whose connections a [`Connection`] can be.
trait Backend: Database {
    fn connection(connection: &mut Self::Connection) -> Connection<'_>;
}

impl Backend for Sqlite {
    fn connection(connection: &mut Self::Connection) -> Connection<'_> {
        Connection::Sqlite(connection)
    }
}

impl Backend for Postgres {
    fn connection(connection: &mut Self::Connection) -> Connection<'_> {
        Connection::Postgres(connection)
    }
}

async fn run<DB: Backend, T, E, W>(pool: Pool<DB>, begin: Begin, work: W) -> Result<T, E>
where
    T: Send,
    E: Failure,
    W: for<'c> Fn(&'c mut Connection<'c>) -> Work<'c, T, E> + Send + Sync,
{
    let mut pause = RETRY_PAUSE;
    for _ in 0..RETRIES {
        match attempt(&pool, begin.clone(), &work).await {
            Err(error) if error.as_store_error().is_some_and(was_undone) => {
                tracing::debug!(?pause, "a transaction is made anew");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            outcome => return outcome,
        }
    }
    attempt(&pool, begin, &work).await
}

/// Whether the database says that it undid the transaction and that it may be made anew.
fn was_undone(error: &StoreError) -> bool {
    let StoreError::Database(sqlx::Error::Database(error)) = error else {
        return false;
    };
    error.code().is_some_and(|code| UNDONE.contains(&&*code))
}

async fn attempt<DB: Backend, T, E, W>(pool: &Pool<DB>, begin: Begin, work: &W) -> Result<T, E>
where
    E: Failure,
    W: for<'c> Fn(&'c mut Connection<'c>) -> Work<'c, T, E>,
{
    let mut connection = pool.acquire().await.map_err(database)?;
    let transaction = transact::<DB, T, E, W>(&mut connection, begin.statement, work);
    let ended = tokio::time::timeout(begin.patience, transaction).await;
    let (outcome, clean) = ended.unwrap_or_else(|_| (Err(database(silence())), false));
    if !clean {
        connection.close_on_drop();
    }
    outcome
}

async fn look<DB: Backend, T>(
    pool: &Pool<DB>,
    patience: Duration,
    work: impl for<'c> FnOnce(&'c mut Connection<'c>) -> Work<'c, T, StoreError>,
) -> Result<T, StoreError> {
    let mut connection = pool.acquire().await?;
    let found = async { work(&mut DB::connection(&mut connection)).await };
    let found = tokio::time::timeout(patience, found).await;
    found.unwrap_or_else(|_| {
        connection.close_on_drop();
        Err(database(silence()))
    })
}

/// What a server that does not answer is reported as.
fn silence() -> sqlx::Error {
    sqlx::Error::Io(io::ErrorKind::TimedOut.into())
}

/// Also answers whether the connection is known to be outside a transaction: after a full disk
/// SQLite may have ended it on its own, and neither `COMMIT` nor `ROLLBACK` tells.
async fn transact<DB: Backend, T, E, W>(
    connection: &mut DB::Connection,
    begin: SqlStr,
    work: &W,
) -> (Result<T, E>, bool)
where
    E: Failure,
    W: for<'c> Fn(&'c mut Connection<'c>) -> Work<'c, T, E>,
{
    let mut transaction = match connection.begin_with(begin).await {
        Ok(transaction) => transaction,
        Err(error) => return (Err(database(error)), false),
    };
    let outcome = work(&mut DB::connection(&mut transaction)).await;
    match outcome {
        Ok(value) => match transaction.commit().await {
            Ok(()) => (Ok(value), true),
            Err(error) => (Err(database(error)), false),
        },
        Err(error) => {
            let clean = transaction.rollback().await.is_ok();
            (Err(error), clean)
        }
    }
}

fn database<E: From<StoreError>>(error: sqlx::Error) -> E {
    E::from(StoreError::Database(error))
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgPoolOptions;
    use tryon_testkit::postgres::PostgresServer;

    use super::*;
    use crate::sql::statement::query;

    const SLEEP: &str = "SELECT 1 FROM pg_sleep(3600)";

    async fn sleep(connection: &mut Connection<'_>) -> Result<u64, StoreError> {
        Ok(query(SLEEP).execute(connection).await?)
    }

    fn is_silence(outcome: Result<u64, StoreError>) -> bool {
        let Err(StoreError::Database(sqlx::Error::Io(error))) = outcome else {
            return false;
        };
        error.kind() == io::ErrorKind::TimedOut
    }

    /// The only connection waits for an answer; it is given up, and there is another one.
    #[tokio::test]
    async fn a_silent_server_is_not_waited_for() {
        let url = PostgresServer::shared().create_database().unwrap();
        let pool = PgPoolOptions::new().max_connections(1).connect(&url);
        let pool = pool.await.unwrap();
        let patience = Duration::from_millis(100);
        let looked = look(&pool, patience, |connection| Box::pin(sleep(connection)));
        assert!(is_silence(looked.await));
        let begin = Begin::with(WRITE.postgres, patience);
        let wrote = run(pool.clone(), begin, |connection| {
            Box::pin(sleep(connection))
        });
        assert!(is_silence(wrote.await));
        let one: i32 = sqlx::query_scalar("SELECT 1")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(one, 1);
    }
}
