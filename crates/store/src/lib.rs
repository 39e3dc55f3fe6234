//! What the platform remembers: accounts, keys, jobs, samples, the ledger and the nodes.
//!
//! [`Store`] states what every backend promises; `sqlite` keeps the promises in one file and
//! `postgres` in a server that many gateways share. What they have in common is written once, in
//! `sql`. The `jobs` and `samples` tables are the queue: there is no broker. Times come from the
//! caller, so that leases and deadlines can be tested without waiting.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tryon_store::StoreError> {
//! use tryon_core::{id::AccountId, ledger::Pool, limit::Limits, time::Timestamp};
//! use tryon_store::{SqliteStore, Store};
//!
//! let store = SqliteStore::open(":memory:").await?;
//! let (id, now) = (AccountId::from_bytes([7; 12]), Timestamp::from_millis(0));
//! store.create_account(id, "demo", Limits::default(), now).await?;
//! let balance = store.grant_credits(id, Pool::Purchased, 10, now).await?;
//! assert_eq!(balance.available(), 10);
//! assert_eq!(store.audit().await?, []);
//! # Ok(())
//! # }
//! ```

pub mod change;
mod matching;
pub mod postgres;
pub mod record;
mod row;
mod sql;
pub mod sqlite;
pub mod store;
pub mod user;
pub mod webhook;

pub use change::{Change, Changes};
pub use postgres::PostgresStore;
pub use record::*;
pub use sqlite::SqliteStore;
pub use store::{Store, StoreError, SubmitError};
pub use user::*;
pub use webhook::*;
