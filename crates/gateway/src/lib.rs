//! The public HTTP API and everything that happens to a job behind it.
//!
//! | module | holds |
//! |---|---|
//! | [`app`] | what every part shares: configuration, store, pictures, clock, randomness |
//! | [`config`] | how a gateway is set up |
//! | [`auth`] | API keys and who a request comes from |
//! | [`rate`] | how many requests an account may make |
//! | [`error`] | the one type that becomes an error answer |
//! | [`route`] | the routes of the public listener |
//! | [`listener`] | sockets: connection limits, timeouts, a graceful end |
//!
//! Architecture invariant: a gateway holds nothing that another could not rebuild. Jobs live in
//! the store and pictures in the blob store, so that a gateway can be killed at any point; what is
//! in memory (request windows, rung bells) is only ever a saving.

pub mod app;
pub mod auth;
pub mod clock;
pub mod config;
pub mod error;
pub mod listener;
pub mod random;
pub mod rate;
pub mod route;
pub mod wake;

pub use app::App;
pub use config::GatewayConfig;
