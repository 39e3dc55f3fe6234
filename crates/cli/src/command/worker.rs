//! `tryon worker`: an engine in a process of its own, started by a node.

use clap::Args;
use tryon_engine_qwen::engine::EngineConfig;

use crate::engine::EngineName;

/// Which engine.
#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// What the diffusion model is set up with, as JSON; the preview where absent
    #[arg(long, value_parser = settings)]
    settings: Option<EngineConfig>,
}

fn settings(text: &str) -> Result<EngineConfig, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Serves the node that started it.
pub(crate) fn run(args: &WorkerArgs) -> ! {
    EngineName::serve_worker(args.settings.as_ref())
}
