//! Logs: to standard error, for humans or as JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt, prelude::*};

use crate::failure::Failure;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// The level of a command whose configuration has none: `RUST_LOG`, else `default`.
pub(crate) fn level_or(default: &str) -> String {
    let named = std::env::var(EnvFilter::DEFAULT_ENV).ok();
    // An empty variable counts as unset, here as everywhere.
    let named = named.filter(|text| !text.is_empty());
    named.unwrap_or_else(|| default.to_owned())
}

/// Starts logging what `level`, a level or a filter, lets through.
pub(crate) fn start(level: &str, format: Format) -> Result<(), Failure> {
    let registry = tracing_subscriber::registry().with(filter(level)?);
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
    Ok(())
}

fn filter(text: &str) -> Result<EnvFilter, Failure> {
    let problem = match EnvFilter::try_new(text) {
        Ok(_) if is_no_level(text) => Failure::new(format!("`{text}` is not a log level")),
        Ok(filter) => return Ok(filter),
        Err(error) => Failure::from_error(&format!("`{text}` is not a log filter"), &error),
    };
    Err(problem.hint(
        "`RUST_LOG`, or `logging.level` of a node, is one of error, warn, info, debug, trace and \
         off, or a filter such as `info,tryon_node=debug`",
    ))
}

/// Whether this is nothing, or a lone word that is no level. To a filter it is the only module that
/// is to be logged: a misspelt level would silence everything else.
fn is_no_level(text: &str) -> bool {
    let text = text.trim();
    // An empty text parses as a level too.
    text.is_empty() || !text.contains(['=', ',', ':', '[']) && text.parse::<LevelFilter>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_one_or_a_filter() {
        for text in [
            "INFO",
            "warn",
            "off",
            "tryon_node=debug,info",
            "tryon=trace",
        ] {
            // The parts of a filter are printed in another order.
            let printed = filter(text).unwrap().to_string().to_lowercase();
            for part in text.to_lowercase().split(',') {
                assert!(printed.contains(part), "{printed} for {text}");
            }
        }
        for text in ["inof", "WARNING", "", "info=nonsense", "a=b=c"] {
            let failure = filter(text).unwrap_err().to_string();
            assert!(
                failure.contains(&format!("`{text}` is not a log ")),
                "{failure}"
            );
        }
    }
}
