//! The public HTTP API and everything that happens to a job behind it.
//!
//! | module | holds |
//! |---|---|
//! | [`app`] | what every part shares: configuration, store, pictures, clock, randomness |
//! | [`config`] | how a gateway is set up |
//! | [`auth`] | API keys and who a request comes from |
//! | [`rate`] | how many requests an account may make |
//! | `stranger` | how often an address may come without a valid key |
//! | [`error`] | the one type that becomes an error answer |
//! | [`route`] | the routes of the public listener |
//! | `page` | what people are shown in a browser |
//! | `oidc` | a provider that says who signs in to that |
//! | [`fetch`] | pictures from addresses that strangers name |
//! | `prepare` | inputs become ready for a node |
//! | `dispatch` | samples are given to nodes, and nodes looked after |
//! | [`callback`] | what nodes report is settled |
//! | `follow` | jobs that somebody waits for |
//! | `sweep` | leases, deadlines, and pictures that nobody may keep |
//! | [`gateway`] | all of that from its start to its end |
//! | `metric` | what is counted |
//! | [`listener`] | sockets: connection limits, timeouts, a graceful end |
//!
//! Architecture invariant: a gateway holds nothing that another could not rebuild. Jobs live in
//! the store and pictures in the blob store, so that a gateway can be killed at any point; what is
//! in memory (request windows, rung bells) is only ever a saving.
//!
//! ```
//! use std::sync::Arc;
//!
//! use tryon_blob::Blobs;
//! use tryon_core::secret::Secret;
//! use tryon_gateway::{Gateway, GatewayConfig};
//! use tryon_store::SqliteStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = GatewayConfig::default();
//! config.secrets.link_signing_key = Secret::new("a long secret that signs links");
//! config.callbacks.token = Secret::new("a long secret that nodes know");
//! (config.server.port, config.server.internal_port) = (0, 0);
//!
//! let store = Arc::new(SqliteStore::open(":memory:").await?);
//! let gateway = Gateway::start(config, store, Blobs::memory()).await?;
//! println!("http://{}, nodes report to {}", gateway.public_addr(), gateway.callback_url());
//! gateway.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! With the feature `failpoints`, tests end the process at `gateway::after-blob` and
//! `gateway::after-commit` (a submission's pictures are stored, its job is), `gateway::after-202`
//! (a node accepted), `gateway::during-callback` (an output is stored),
//! `gateway::after-settlement` (it is settled) and `gateway::during-erasure` (a job's pictures are
//! gone, and the store does not know).

pub mod app;
pub mod auth;
mod bounded;
pub mod callback;
mod certificate;
pub mod clock;
pub mod config;
mod darkroom;
mod dispatch;
mod erase;
pub mod error;
mod failpoint;
pub mod fetch;
mod follow;
pub mod gateway;
mod input;
pub mod listener;
mod metric;
mod node_time;
mod oidc;
mod origin;
mod pace;
mod page;
pub mod password;
mod place;
mod prepare;
pub mod random;
pub mod rate;
pub mod route;
mod session;
mod stranger;
mod sweep;
#[cfg(test)]
mod tests;
mod tls;
mod upload;
pub mod user;
pub mod wake;
mod webhook;

/// The version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

pub use app::App;
pub use certificate::CertificateError;
pub use config::GatewayConfig;
pub use gateway::{Gateway, Listeners, StartError};
