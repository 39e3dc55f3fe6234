//! The store in a PostgreSQL server, which many gateways share.
//!
//! Beside the pool there are at most two connections, and what they hold is lost with them: one
//! hears what other gateways changed (`news`), one holds the right to sweep (`turn`). Both live
//! longer than a transaction, so a pooler in between has to pool sessions. The server is version 14
//! or newer.
//!
//! PostgreSQL keeps no NUL in a text: one that comes from outside is kept as U+FFFD.

use std::sync::Arc;

use async_trait::async_trait;

pub use self::bench::Load;
use self::{news::News, turn::Turn};
use crate::{
    change::Bell,
    sql::{SqlStore, transaction::Pools},
    store::StoreError,
};

mod bench;
mod news;
mod open;
#[cfg(test)]
mod tests;
mod turn;

/// The store in a PostgreSQL server. Clones share its connections.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pools: Pools,
    bell: Bell,
    /// `None` in a store that was opened to read.
    news: Option<Arc<News>>,
    turn: Arc<Turn>,
}

impl PostgresStore {
    /// Opens the database that `url` names and brings its schema up to date; several gateways may
    /// do so at once. The server is `postgres://user:password@host:port/database?sslmode=…`. What
    /// the URL leaves open is taken from the variables that `psql` reads.
    ///
    /// A statement is ended after 30 seconds and a wait for a lock after 5, unless the URL sets
    /// `options[statement_timeout]` or `options[lock_timeout]`.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let options = open::parse(url)?;
        let pool = open::open(options.clone()).await?;
        let bell = Bell::default();
        let news = News::start(options.clone(), pool.clone(), bell.clone()).await?;
        Ok(Self {
            pools: Pools::Postgres(pool),
            bell,
            news: Some(Arc::new(news)),
            turn: Arc::new(Turn::new(options)),
        })
    }

    /// Opens the database that `url` names to look at it: the schema is left as it is, and what
    /// would write fails. A database whose schema is another version's is refused with
    /// [`StoreError::OtherSchema`].
    pub async fn open_to_read(url: &str) -> Result<Self, StoreError> {
        let options = open::parse(url)?;
        let pool = open::open_to_read(options.clone()).await?;
        Ok(Self {
            pools: Pools::Postgres(pool),
            bell: Bell::default(),
            news: None,
            turn: Arc::new(Turn::new(options)),
        })
    }
}

#[async_trait]
impl SqlStore for PostgresStore {
    fn pools(&self) -> &Pools {
        &self.pools
    }

    fn bell(&self) -> &Bell {
        &self.bell
    }

    async fn may_sweep(&self) -> Result<bool, StoreError> {
        Ok(self.turn.take().await?)
    }

    /// Old versions of rows go with the server's own vacuum, which is not ours to hurry.
    async fn scrub(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn close(&self) {
        if let Some(news) = &self.news {
            news.close().await;
        }
        self.turn.close().await;
        self.pools.close().await;
    }
}
