//! Configuration: flag > environment > `config.yaml` > embedded defaults.
//!
//! Loading is a pure function of a [`Source`]: the text of the file, the environment and the
//! flags. Every fault is reported at once, each with the key it belongs to and where it was read.

mod advice;
mod doc_comment;
mod fault;
mod load;
pub(crate) mod reference;
mod service;
mod source;
mod variable;

pub(crate) use advice::{find_lost_links, warn_of_links};
pub(crate) use fault::Faults;
pub(crate) use service::{ServeConfig, Service, load_gateway, load_node, load_serve};
pub(crate) use source::Source;
pub(crate) use variable::GATEWAY_VARIABLES;
