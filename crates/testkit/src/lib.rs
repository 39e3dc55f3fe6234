//! What the platform's tests are made of; a dev-dependency only.
//!
//! | module | gives |
//! |---|---|
//! | [`drawing`] | people and garments, drawn |
//! | [`upload`] | picture files as clients send them: good, odd and broken |
//! | [`mod@fake_worker`] | a worker process whose engine does what a prompt says |
//! | [`fake_node`] | a node that does with its jobs what a test says |
//! | [`object_store`] | an S3 server on loopback |
//! | [`oidc`] | a provider that people sign in at |
//! | [`postgres`] | a database server of its own |
//! | [`proxy`] | a proxy that harms connections |
//! | [`receiver`] | a receiver of callbacks that can be told what to answer |
//! | [`redis`] | a Redis server process |
//!
//! ```
//! use tryon_testkit::upload;
//!
//! assert!(upload::png(64, 64).starts_with(b"\x89PNG"));
//! ```

pub mod drawing;
pub mod fake_node;
pub mod fake_worker;
pub mod object_store;
pub mod oidc;
pub mod postgres;
pub mod proxy;
pub mod receiver;
pub mod redis;
pub mod upload;
