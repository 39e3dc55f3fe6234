//! Configuration: flag > environment > `config.yaml` > embedded defaults.
//!
//! Loading is a pure function of a [`Source`]: the text of the file, the environment and the
//! flags. Every fault is reported at once, each with the key it belongs to and where it was read.

mod fault;
mod load;
pub(crate) mod reference;
mod source;
mod variable;

pub(crate) use fault::{Fault, Faults};
pub(crate) use load::load;
pub(crate) use source::Source;
pub(crate) use variable::{GATEWAY_VARIABLES, Kind, NODE_VARIABLES, Variable};
