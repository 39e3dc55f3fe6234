//! How a write becomes one transaction, whatever happens to its caller.
//!
//! A client that hangs up drops the future of its request wherever it waits. A transaction in the
//! middle of that future would be cut in two: its locks held, or its last statements missing. So
//! each write runs on a task of its own, which nobody drops: once it began it commits or rolls
//! back, and a caller that went away merely does not hear of it. A caller that is dropped before
//! its first poll has begun nothing.
//!
//! There is one connection that writes. Writers queue in the process, in order, instead of
//! competing for the file's lock with back-off, which costs an order of magnitude in the slowest
//! answers. Other processes are kept out by `BEGIN IMMEDIATE` and the busy timeout.

use std::{future::Future, pin::Pin};

use sqlx::{Connection as _, SqliteConnection, SqlitePool};
use tracing::Instrument as _;

use crate::store::StoreError;

/// What a transaction does.
pub(super) type Work<'c, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>>;

/// Locks the file for writing at once: a lock that is upgraded later can fail half-way.
const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// Several statements that read one state of the database.
const BEGIN_READ: &str = "BEGIN DEFERRED";

/// Runs `work` as one transaction that writes; it is undone when `work` answers with an error.
pub(super) async fn write<T, E>(
    pool: &SqlitePool,
    work: impl for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    spawn(pool.clone(), BEGIN_WRITE, work).await
}

/// Runs `work` on one unchanging state of the database.
pub(super) async fn read<T>(
    pool: &SqlitePool,
    work: impl for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T, StoreError> + Send + 'static,
) -> Result<T, StoreError>
where
    T: Send + 'static,
{
    spawn(pool.clone(), BEGIN_READ, work).await
}

async fn spawn<T, E>(
    pool: SqlitePool,
    begin: &'static str,
    work: impl for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let transaction = async move {
        let mut connection = pool.acquire().await.map_err(database)?;
        let (outcome, clean) = transact(&mut connection, begin, work).await;
        if !clean {
            connection.close_on_drop();
        }
        outcome
    };
    match tokio::spawn(transaction.in_current_span()).await {
        Ok(outcome) => outcome,
        Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
        Err(_) => Err(database(sqlx::Error::WorkerCrashed)),
    }
}

/// Also answers whether the connection is known to be outside a transaction: after a full disk
/// `SQLite` may have ended it on its own, and neither `COMMIT` nor `ROLLBACK` tells.
async fn transact<T, E: From<StoreError>>(
    connection: &mut SqliteConnection,
    begin: &'static str,
    work: impl for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T, E>,
) -> (Result<T, E>, bool) {
    let mut transaction = match connection.begin_with(begin).await {
        Ok(transaction) => transaction,
        Err(error) => return (Err(database(error)), false),
    };
    match work(&mut transaction).await {
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
