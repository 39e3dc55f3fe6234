//! `tryon gateway`: the public API, on a machine of its own.

use std::sync::Arc;

use clap::Args;

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
        .flag("server.public_url", args.public_url);
    let config = load_gateway(&source)?;
    telemetry::start(&telemetry::level_or("info"), format)?;
    let faults = config.faults();
    if !faults.is_empty() {
        return Err(Failure::from_faults(&faults));
    }
    warn_of_links(&config.server);
    let stop = signal::wait_for_stop();
    let store = open_store(&config).await?;
    let scheme = config.server.scheme();
    let gateway = start_gateway(config, Arc::clone(&store)).await?;
    println!("gateway on {scheme}://{}", gateway.public_addr());
    println!("nodes report to http://{}", gateway.internal_addr());
    stop.await;
    gateway.shutdown().await;
    store.close().await;
    Ok(())
}
