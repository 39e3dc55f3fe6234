//! Traces: what became of a request, from a client's submission to the last webhook, through every
//! process that had a part in it.
//!
//! A [`Span`] is a part of the work with a beginning and an end. Spans that know the same
//! [`TraceContext`] are one trace, whichever process made them: it crosses in the headers of W3C Trace
//! Context, and waits with what waits (a job's row, a node's spool).
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | where traces go |
//! | `context` | what of a trace crosses processes, also what a stranger sent |
//! | `span` | spans, and futures that run in them |
//! | `request` | the span of a request that is answered |
//! | `export` | the bounded queue to the collector, and what came of its spans |
//!
//! Until [`start`] there is nothing: a span is then an empty value, and costs looking for that.
//!
//! Architecture invariant: a span has the fields that the code names for it, and no others. Log lines,
//! which may hold whatever an error says, are no part of one.
//!
//! ```
//! use tryon_trace::{Kind, Span, Traced as _, TraceContext};
//!
//! # async fn fetch() {}
//! # async fn run() {
//! let sent = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
//! let span = Span::of(sent.as_ref(), "prepare", Kind::Consumer);
//! span.set("tryon.job.id", "64b7f1a9d9a3b8e5c7f9a123");
//! fetch().traced(&span).await;
//! # }
//! ```

pub mod config;
mod context;
mod export;
mod request;
mod span;

use std::{sync::OnceLock, time::Duration};

use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};

use self::export::Exporting;
pub use self::{
    config::{TracesConfig, TracesFault},
    context::{TraceContext, headers},
    export::{Counts, counts},
    span::{InSpan, Kind, Span, Traced, note, note_failure},
};

/// What makes spans in this process, once it was started.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// How long a connection to the collector may take.
const CONNECT: Duration = Duration::from_secs(3);

/// Whose spans they are.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    /// What it is called where the configuration does not say.
    pub name: &'a str,
    /// The version of its program.
    pub version: &'a str,
    /// Which of several it is, if it has a name of its own.
    pub instance: Option<&'a str>,
}

/// Why there are no traces.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] TracesFault),
    /// The client for the collector cannot be built.
    #[error("the client for the collector of traces cannot be built")]
    Client(#[from] reqwest::Error),
    /// A variable that the exporter reads says what it cannot do.
    #[error("traces cannot be sent")]
    Exporter(#[from] ExporterBuildError),
}

/// Spans on their way to the collector, for as long as the process lives.
#[derive(Debug, Default)]
pub struct Traces(Option<Exporting>);

impl Traces {
    /// Sends what waits, for at most so long. Spans that end later are lost, and so is what is left.
    pub async fn stop(self, within: Duration) {
        if let Some(exporting) = self.0 {
            exporting.stop(within).await;
        }
    }
}

/// Whether spans are made in this process: what a span is told may cost something to find out.
pub fn is_on() -> bool {
    TRACER.get().is_some()
}

/// Starts tracing, if the configuration says where to. It is called within a runtime, once: the first
/// call decides for the process.
pub fn start(config: &TracesConfig, service: Service<'_>) -> Result<Traces, StartError> {
    if let Some(fault) = config.faults().into_iter().next() {
        return Err(fault.into());
    }
    let Some(url) = config.url() else {
        return Ok(Traces::default());
    };
    let resource = resource(config, service);
    let (queue, exporting) = export::start(exporter(config, url, &resource)?);
    let share = Sampler::TraceIdRatioBased(config.sample_ratio);
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(share)))
        .with_resource(resource)
        .with_span_processor(queue)
        .build();
    let _ = TRACER.set(provider.tracer("tryon"));
    Ok(Traces(Some(exporting)))
}

fn exporter(
    config: &TracesConfig,
    url: String,
    resource: &Resource,
) -> Result<SpanExporter, StartError> {
    use opentelemetry_sdk::trace::SpanExporter as _;

    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .timeout(export::PATIENCE)
        .user_agent(concat!("tryon/", env!("CARGO_PKG_VERSION")))
        .build()?;
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(url)
        .with_protocol(Protocol::HttpBinary)
        .with_headers(config.headers()?.into_iter().collect())
        .build()?;
    exporter.set_resource(resource);
    Ok(exporter)
}

/// What is told once of all spans. `OTEL_RESOURCE_ATTRIBUTES` adds to it.
fn resource(config: &TracesConfig, service: Service<'_>) -> Resource {
    let given = Resource::builder().build();
    let named = given.get(&"service.name".into());
    let named = named.map(|name| name.to_string());
    let named = named.filter(|name| !name.starts_with("unknown_service"));
    let name = config.service_name.clone().or(named);
    let name = name.unwrap_or_else(|| service.name.to_owned());
    let instance = service
        .instance
        .map(|instance| KeyValue::new("service.instance.id", instance.to_owned()));
    Resource::builder()
        .with_attribute(KeyValue::new("service.version", service.version.to_owned()))
        .with_attributes(instance)
        .with_service_name(name)
        .build()
}
