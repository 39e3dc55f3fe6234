//! Where a store of each backend is, and the stores on it.

use std::{
    ops::Deref,
    path::{Path, PathBuf},
    sync::Arc,
};

use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tryon_store::{PostgresStore, SqliteStore, Store};
use tryon_testkit::postgres::PostgresServer;

/// Runs cases at a place of the backend, by several threads.
macro_rules! on {
    ($backend:ident: $($case:ident,)+) => {
        mod $backend {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $case() {
                    super::$case(&crate::place::Place::$backend().await).await;
                }
            )+
        }
    };
}

/// Runs cases at a place of each backend that several stores can share.
macro_rules! on_each {
    ($($case:ident,)+) => {
        on! { sqlite: $($case,)+ }
        on! { postgres: $($case,)+ }
    };
}

/// A database that lasts as long as this.
pub(crate) enum Place {
    Sqlite(TempDir),
    Memory,
    Postgres(String),
}

/// A store, of whichever backend.
pub(crate) enum Handle {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

pub(crate) type Shared = Arc<Handle>;

impl Deref for Handle {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Sqlite(store) => store,
            Self::Postgres(store) => store,
        }
    }
}

impl Handle {
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }
}

impl Place {
    #[expect(clippy::unused_async, reason = "made as the one that waits is")]
    pub(crate) async fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    #[expect(clippy::unused_async, reason = "made as the one that waits is")]
    pub(crate) async fn memory() -> Self {
        Self::Memory
    }

    /// A database that has its schema already.
    pub(crate) async fn postgres() -> Self {
        static TEMPLATE: OnceCell<String> = OnceCell::const_new();
        let server = PostgresServer::shared();
        let template = TEMPLATE.get_or_init(|| async {
            let url = server.create_database().unwrap();
            PostgresStore::open(&url).await.unwrap().close().await;
            url
        });
        Self::Postgres(server.create_database_like(template.await).unwrap())
    }

    pub(crate) async fn open(&self) -> Shared {
        open(&self.location()).await
    }

    /// What another process opens it by.
    pub(crate) fn location(&self) -> String {
        match self {
            Self::Sqlite(folder) => file(folder).to_str().unwrap().to_owned(),
            Self::Memory => ":memory:".to_owned(),
            Self::Postgres(url) => url.clone(),
        }
    }

    /// Returns when no transaction of a process that was killed is under way any more.
    pub(crate) async fn end_connections(&self) {
        if let Self::Postgres(_) = self {
            let ended = self.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            );
            ended.await.unwrap();
        }
    }

    /// Two stores, as two processes have them.
    pub(crate) async fn open_twice(&self) -> [Shared; 2] {
        [self.open().await, self.open().await]
    }

    /// Runs statements behind the store's back; answers what the database says against them.
    pub(crate) async fn execute(&self, statements: &'static str) -> Result<(), String> {
        let refused = match self {
            Self::Sqlite(folder) => match execute(&file(folder), statements).await {
                Err(sqlx::Error::Database(refused)) => refused.to_string(),
                outcome => return outcome.map_err(|error| panic!("{error}")),
            },
            Self::Memory => unreachable!("nobody else reaches it"),
            Self::Postgres(url) => match PostgresServer::shared().execute(url, statements) {
                Err(refused) => refused.to_string(),
                Ok(()) => return Ok(()),
            },
        };
        Err(refused)
    }
}

pub(crate) async fn open(location: &str) -> Shared {
    Arc::new(if location.starts_with("postgres://") {
        Handle::Postgres(PostgresStore::open(location).await.unwrap())
    } else {
        Handle::Sqlite(SqliteStore::open(location).await.unwrap())
    })
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("tryon.db")
}

/// Runs statements on a file.
pub(crate) async fn execute(path: &Path, statements: &'static str) -> Result<(), sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    sqlx::raw_sql(statements).execute(&mut connection).await?;
    connection.close().await
}
