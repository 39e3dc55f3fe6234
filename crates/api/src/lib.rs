//! What travels between the parts of the platform and their clients.
//!
//! Only types and the names of fields and headers: serde for the wire, an `OpenAPI` schema for the
//! documentation, no behaviour beyond reading and checking.
//!
//! | module | spoken between |
//! |---|---|
//! | [`public`] | clients, and a gateway |
//! | [`node`] | whoever dispatches, and a node |
//! | [`callback`] | a node, and whoever waits for its results |
//!
//! ```
//! use tryon_api::node::JobConfig;
//!
//! let config = JobConfig::parse(r#"{"seed": 7, "steps": 4, "cfg": 1.0}"#)?;
//! assert_eq!(config.seed, Some(7));
//!
//! let fault = JobConfig::parse(r#"{"steps": 0}"#).unwrap_err();
//! assert_eq!(fault.to_string(), "`config.steps` is 0, not a whole number from 1 to 100");
//! # Ok::<(), tryon_api::node::ConfigFault>(())
//! ```

pub mod callback;
pub mod node;
pub mod public;
