//! `tryon worker`: an engine in a process of its own, started by a node.

use clap::Args;

use crate::engine::EngineName;

/// Which engine.
#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// The engine to load
    engine: EngineName,
}

/// Serves the node that started it.
pub(crate) fn run(args: &WorkerArgs) -> ! {
    args.engine.serve_worker()
}
