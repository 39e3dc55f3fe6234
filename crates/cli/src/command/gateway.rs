//! `tryon gateway`: the public API, on a machine of its own.

use std::sync::Arc;

use clap::Args;
use tryon_trace::Service;

use crate::{
    config::{Source, load_gateway, warn_of_links},
    failure::Failure,
    platform::{open_store, start_gateway},
    signal, telemetry,
};

/// Where it listens.
#[derive(Debug, Args)]
pub(crate) struct GatewayArgs {
    /// The address to listen on
    #[arg(long)]
    host: Option<String>,
    /// The port to listen on
    #[arg(long)]
    port: Option<u16>,
    /// What clients call it, where a proxy stands in front
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// The base URL of a collector of traces, which takes OTLP over HTTP
    #[arg(long, value_name = "URL")]
    traces_endpoint: Option<String>,
}

/// Serves until it is told to stop.
pub(crate) async fn run(
    args: GatewayArgs,
    source: Source,
    format: telemetry::Format,
) -> Result<(), Failure> {
    let source = source
        .flag("server.host", args.host)
        .flag("server.port", args.port)
        .flag("server.public_url", args.public_url)
        .traces_flag(
            ["traces.endpoint", "traces.exact_endpoint"],
            args.traces_endpoint,
        );
    let config = load_gateway(&source)?;
    telemetry::start(&telemetry::level_or("info"), format)?;
    let faults = config.faults();
    if !faults.is_empty() {
        return Err(Failure::from_faults(&faults));
    }
    warn_of_links(&config.server);
    let service = Service {
        name: "tryon-gateway",
        version: env!("CARGO_PKG_VERSION"),
        instance: None,
    };
    let traces = telemetry::trace(&config.traces, service)?;
    let stop = signal::wait_for_stop();
    let store = open_store(&config).await?;
    let scheme = config.server.scheme();
    let gateway = start_gateway(config, Arc::clone(&store)).await?;
    println!("gateway on {scheme}://{}", gateway.public_addr());
    println!("nodes report to http://{}", gateway.internal_addr());
    stop.await;
    gateway.shutdown().await;
    store.close().await;
    telemetry::end_traces(traces).await;
    Ok(())
}
