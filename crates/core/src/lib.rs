//! The words of the platform and the rules that hold between them.
//!
//! Ids, task parameters, the life of jobs and samples, credit arithmetic, limits and the closed
//! sets of errors. Nothing here does I/O, waits, or reads a clock: callers pass the time and the
//! random bytes in, so that every rule can be tested as a function.
//!
//! ```
//! use tryon_core::{id::JobId, job::SampleState};
//!
//! let job: JobId = "64b7f1a9d9a3b8e5c7f9a123".parse().unwrap();
//! let attempt = job.sample(0).attempt(1);
//! assert_eq!(attempt.to_string(), "64b7f1a9d9a3b8e5c7f9a123-0.1");
//! assert!(!SampleState::Queued.is_terminal());
//! ```

pub mod category;
pub mod error;
pub mod id;
pub mod job;
pub mod ledger;
pub mod limit;
pub mod name;
pub mod scope;
pub mod secret;
pub mod stage;
pub mod task;
pub mod time;
