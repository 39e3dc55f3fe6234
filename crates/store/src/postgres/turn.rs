//! Whose turn it is to sweep.
//!
//! An advisory lock on a connection of its own. The server frees it with the connection: when the
//! gateway ends, however it ends, and when it has not asked for a while, so that a gateway that is
//! stopped or stuck does not keep the others from sweeping.

use std::fmt;

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::sync::Mutex;

use super::open::connect;

/// The lock's key in its database: the bytes of `sweeping`.
const KEY: i64 = 0x7377_6565_7069_6e67;

/// A store that has not asked for this long loses its turn.
const PATIENCE: &str = "15s";

pub(super) struct Turn {
    options: PgConnectOptions,
    /// The connection that holds the lock.
    held: Mutex<Held>,
}

enum Held {
    No,
    Yes(PgConnection),
    Closed,
}

/// Without the options: they hold the password.
impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").finish_non_exhaustive()
    }
}

impl Turn {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self {
            options: options.options([("idle_session_timeout", PATIENCE)]),
            held: Mutex::new(Held::No),
        }
    }

    /// Whether the turn is this store's.
    pub(super) async fn take(&self) -> sqlx::Result<bool> {
        let mut held = self.held.lock().await;
        match std::mem::replace(&mut *held, Held::No) {
            Held::Closed => {
                *held = Held::Closed;
                return Err(sqlx::Error::PoolClosed);
            }
            // Only the server knows whether the connection, and with it the lock, is still there.
            Held::Yes(mut connection) => {
                if connection.ping().await.is_ok() {
                    *held = Held::Yes(connection);
                    return Ok(true);
                }
            }
            Held::No => {}
        }
        if let Some(connection) = self.try_lock().await? {
            *held = Held::Yes(connection);
            return Ok(true);
        }
        Ok(false)
    }

    async fn try_lock(&self) -> sqlx::Result<Option<PgConnection>> {
        let mut connection = connect(&self.options).await?;
        let locked: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(KEY)
            .fetch_one(&mut connection)
            .await?;
        if locked {
            return Ok(Some(connection));
        }
        connection.close().await?;
        Ok(None)
    }

    /// Gives the turn to others, for good.
    pub(super) async fn close(&self) {
        let held = std::mem::replace(&mut *self.held.lock().await, Held::Closed);
        if let Held::Yes(connection) = held
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "the connection that held the turn was lost already");
        }
    }
}
