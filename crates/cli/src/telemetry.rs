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
    // An empty variable counts as unset, here as everywhere.
    let named = std::env::var(EnvFilter::DEFAULT_ENV).ok();
    let named = named.filter(|text| !text.trim().is_empty());
    let text = named.unwrap_or_else(|| level.to_ascii_lowercase());
    let filter = EnvFilter::try_new(&text).unwrap_or_else(|error| {
        eprintln!("warning: the log filter `{text}` cannot be used: {error}");
        EnvFilter::new("info")
    });
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
