//! Pictures in a bucket of a real object store.
#![allow(clippy::unwrap_used, reason = "a test states what it expects")]

mod bucket;
