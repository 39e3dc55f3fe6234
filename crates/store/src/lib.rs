//! What the platform remembers: accounts, keys, jobs, samples, the ledger and the nodes.
//!
//! [`Store`] states what every backend promises; `sqlite` keeps the promises in one file. The
//! `jobs` and `samples` tables are the queue: there is no broker. Times come from the caller, so
//! that leases and deadlines can be tested without waiting.

pub mod record;
pub mod store;

pub use record::*;
pub use store::{Store, StoreError, SubmitError};
