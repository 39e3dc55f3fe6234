//! Logs: to standard error, for humans or as JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Starts logging. `RUST_LOG` wins over `level`.
pub(crate) fn start(level: &str, format: Format) {
    let default = || EnvFilter::new(level.to_ascii_lowercase());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| default());
    let registry = tracing_subscriber::registry().with(filter);
    // A second start, as in a test, keeps the first.
    let _ = match format {
        Format::Human => registry
            .with(
                fmt::layer()
                    .with_writer(std::io::stderr)
                    .with_ansi(std::io::stderr().is_terminal())
                    .with_target(false),
            )
            .try_init(),
        Format::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
    };
}
