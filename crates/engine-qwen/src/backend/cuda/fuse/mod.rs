//! Doing more at once.
//!
//! Before a graph is lowered, [`graph`] makes one product of those that have the same input, and
//! lets heads be turned where they are joined. After that, [`commands`] joins neighbours that
//! would read again what has just been written.

mod linear;
mod merge;
mod turn;

use super::{command::Command, graph::Graph, lower::Place};

/// The same with fewer, larger operations.
pub(super) fn graph(graph: &Graph) -> Graph {
    let turned = turn::before_joining(graph).without_the_unused();
    linear::together(&turned).without_the_unused()
}

/// The same with fewer launches.
pub(super) fn commands(commands: Vec<Command<Place>>) -> Vec<Command<Place>> {
    let commands = merge::qkv(commands);
    let commands = merge::norms(&commands);
    merge::quantisation(&commands)
}
