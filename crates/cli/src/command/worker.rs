//! `tryon worker`: an engine in a process of its own, started by a node.

use std::time::Duration;

use clap::Args;
use tryon_engine::{Engine, worker};
use tryon_engine_qwen::engine::EngineConfig;

use super::bench::waiting::{self, WaitingEngine};
use crate::engine::EngineName;

/// Which engine.
#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// What the diffusion model is set up with, as JSON; the preview where absent
    #[arg(long, value_parser = settings)]
    settings: Option<EngineConfig>,
    /// An engine that only waits, for so many seconds, for benchmarks
    #[arg(long, conflicts_with = "settings", value_parser = waiting::seconds)]
    wait: Option<f64>,
}

fn settings(text: &str) -> Result<EngineConfig, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Serves the node that started it.
pub(crate) fn run(args: &WorkerArgs) -> ! {
    if let Some(seconds) = args.wait {
        let wait = Duration::from_secs_f64(seconds);
        worker::serve(&move || Ok(Box::new(WaitingEngine(wait)) as Box<dyn Engine>));
    }
    EngineName::serve_worker(args.settings.as_ref())
}
