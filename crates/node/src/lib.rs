//! A node: one device behind an HTTP API.
//!
//! A node takes one job at a time and answers everything else at once. What a request passes
//! through:
//!
//! ```text
//!  POST /tryon ─ token ─ loaded? ─ busy? ─ form ─ pictures ─ slot ─ record ─ 202
//!                                                             │
//!                 spool ◀─ file ◀─ (slot free) ◀─ engine ◀────┘
//!                   └─▶ result callback, again and again until it is received
//! ```
//!
//! | module | has |
//! |---|---|
//! | `server`, `lingering`, `auth`, `route` | connections, early answers, the token, the handlers |
//! | `upload`, `form`, `order`, `photo` | a body becomes a checked request, within limits |
//! | `slot`, `pace`, `run`, `ending` | one job at a time, how long it takes, how it ends |
//! | `spool`, `delivery`, `recent` | results that survive, their deliveries, jobs that are known |
//! | `registration` | gateways know that it is there |
//! | `notice`, `metric`, `stage`, `gpu` | hints to others, figures |
//! | `failpoint` | where tests end the process, with the feature `failpoints` |
//!
//! The engine is in a process of its own, behind a
//! [`Supervisor`](tryon_engine::supervisor::Supervisor); which engine it is, nothing here knows.
//!
//! ```no_run
//! use tryon_engine::supervisor::{Supervisor, SupervisorConfig, WorkerCommand};
//! use tryon_node::{Node, NodeConfig, config::SecurityConfig};
//!
//! # async fn run() -> Result<(), tryon_node::StartError> {
//! let program = "/usr/bin/tryon".into();
//! let command = WorkerCommand { program, args: vec!["worker".into()], env: Vec::new() };
//! let supervisor = Supervisor::start(SupervisorConfig::new(command));
//!
//! let mut config = NodeConfig::default();
//! config.security.internal_auth_token = Some("a long secret".to_owned().into());
//! config.asset_service.callback_url = "http://127.0.0.1:8080/internal/results".parse().ok();
//! let node = Node::start(config, supervisor).await?;
//! println!("http://{}", node.local_addr());
//!
//! node.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod app;
mod auth;
mod clock;
pub mod config;
mod delivery;
mod ending;
mod failpoint;
mod form;
#[doc(hidden)]
pub mod fuzz;
mod gpu;
mod lingering;
mod metric;
mod node;
mod notice;
mod order;
mod pace;
mod photo;
mod recent;
mod refusal;
mod registration;
mod route;
mod run;
mod server;
mod slot;
mod spool;
mod stage;
mod upload;

pub use config::NodeConfig;
pub use node::{Node, StartError};
pub use spool::SpoolError;
