//! The store in one SQLite file.
//!
//! There is one connection that writes. Several processes may open the same file; it has to lie on
//! a local disk.

use std::path::Path;

use async_trait::async_trait;

use crate::{
    change::Bell,
    sql::{SqlStore, transaction::Pools},
    store::StoreError,
};

mod open;
#[cfg(test)]
mod tests;

/// The store in one SQLite file. Clones share its connections.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    pools: Pools,
    bell: Bell,
}

impl SqliteStore {
    /// Opens the database at `path`, creating it for its owner alone where there is none, and
    /// brings its schema up to date. `:memory:` is a store that ends with its last clone.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let (writer, readers) = open::open(path.as_ref()).await?;
        Ok(Self {
            pools: Pools::Sqlite { writer, readers },
            bell: Bell::default(),
        })
    }

    /// Opens the database that is at `path` to look at it: nothing is created, the schema is left
    /// as it is, and what would write fails. A file whose schema is another version's is refused
    /// with [`StoreError::OtherSchema`].
    pub async fn open_to_read(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let readers = open::open_to_read(path.as_ref()).await?;
        let writer = readers.clone();
        Ok(Self {
            pools: Pools::Sqlite { writer, readers },
            bell: Bell::default(),
        })
    }
}

#[async_trait]
impl SqlStore for SqliteStore {
    fn pools(&self) -> &Pools {
        &self.pools
    }

    fn bell(&self) -> &Bell {
        &self.bell
    }

    /// A file has one machine, and sweeping twice does nothing twice.
    async fn may_sweep(&self) -> Result<bool, StoreError> {
        Ok(true)
    }

    /// The log holds pages as they were until it is begun anew; the file does not, as what is
    /// deleted there is overwritten.
    async fn scrub(&self) -> Result<(), StoreError> {
        let Pools::Sqlite { writer, .. } = &self.pools else {
            return Ok(());
        };
        let cut = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)");
        let (busy, _, _): (i64, i64, i64) = cut.fetch_one(writer).await?;
        if busy != 0 {
            tracing::debug!("the database's log is cut down later: somebody reads from it");
        }
        Ok(())
    }

    async fn close(&self) {
        self.pools.close().await;
    }
}
