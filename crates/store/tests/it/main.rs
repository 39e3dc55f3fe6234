//! Every backend keeps the same promises, alone, together and when it is killed.

#![allow(clippy::unwrap_used, reason = "a test states what it expects")]

// First, for its macros.
#[macro_use]
mod place;

mod concurrency;
mod conformance;
mod corruption;
mod crash;
mod file;
mod fixture;
mod model;
mod server;
