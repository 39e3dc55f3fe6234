//! Logs, to standard error, for humans or as JSON; and traces, to a collector.

use std::{fmt::Result as Written, io::IsTerminal as _, time::Duration};

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    filter::LevelFilter,
    fmt::{
        self, FmtContext, FormatEvent, FormatFields,
        format::{Json, Writer},
    },
    prelude::*,
    registry::LookupSpan,
};
use tryon_trace::{Service, TraceContext, Traces, TracesConfig};

use crate::failure::Failure;

/// How long the collector may take for the last spans of a process that ends.
const FLUSH: Duration = Duration::from_secs(5);

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
                    .event_format(InTrace(fmt::format().json().flatten_event(true)))
                    .with_writer(std::io::stderr),
            )
            .try_init(),
    };
    Ok(())
}

/// JSON lines that name the trace they are a part of.
struct InTrace(fmt::format::Format<Json>);

impl<S, N> FormatEvent<S, N> for InTrace
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> Written {
        let Some(trace) = TraceContext::current() else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        let (trace_id, span_id) = (trace.trace_id(), trace.span_id());
        write!(
            writer,
            r#"{{"trace_id":"{trace_id}","span_id":"{span_id}","#
        )?;
        writer.write_str(line.trim_start_matches('{'))
    }
}

/// Starts sending traces of `service` to where `config` says, if it does.
pub(crate) fn trace(config: &TracesConfig, service: Service<'_>) -> Result<Traces, Failure> {
    tryon_trace::start(config, service).map_err(|error| {
        Failure::from_error("nothing can be traced", &error).hint(
            "docs/configuration.md lists what `traces` takes; without `traces.endpoint` nothing is \
             traced",
        )
    })
}

/// Sends the last of them.
pub(crate) async fn end_traces(traces: Traces) {
    traces.stop(FLUSH).await;
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
