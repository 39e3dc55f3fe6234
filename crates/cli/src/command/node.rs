//! `tryon node`: one device behind the node API.

use clap::Args;
use tryon_engine::supervisor::Supervisor;
use tryon_trace::Service;

use crate::{
    config::{Source, load_node},
    engine::EngineName,
    failure::Failure,
    platform::start_node,
    signal, telemetry,
};

/// Where it listens, and who it is.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The address to listen on
    #[arg(long)]
    host: Option<String>,
    /// The port to listen on
    #[arg(long)]
    port: Option<u16>,
    /// The node's name
    #[arg(long)]
    node_id: Option<String>,
    /// Which engine to load: `auto`, `preview`, `qwen` or `lightxv`
    #[arg(long, value_name = "NAME")]
    model_type: Option<String>,
    /// The base URL of a collector of traces, which takes OTLP over HTTP
    #[arg(long, value_name = "URL")]
    traces_endpoint: Option<String>,
}

/// Serves until it is told to stop.
pub(crate) async fn run(
    args: NodeArgs,
    source: Source,
    format: telemetry::Format,
) -> Result<(), Failure> {
    let source = source
        .flag("server.host", args.host)
        .flag("server.port", args.port)
        .flag("server.node_id", args.node_id)
        .flag("model.model_type", args.model_type)
        .traces_flag(
            ["traces.endpoint", "traces.exact_endpoint"],
            args.traces_endpoint,
        );
    let mut config = load_node(&source)?;
    telemetry::start(&config.logging.level, format)?;
    let faults = config.faults();
    if !faults.is_empty() {
        return Err(Failure::from_faults(&faults));
    }
    let service = Service {
        name: "tryon-node",
        version: env!("CARGO_PKG_VERSION"),
        instance: Some(&config.server.node_id),
    };
    let traces = telemetry::trace(&config.traces, service)?;
    let stop = signal::wait_for_stop();
    let engine = EngineName::choose_for(&mut config.model);
    let supervisor = Supervisor::start(engine.supervise(&config));
    signal::restart_on_hangup(supervisor.clone());
    let node = start_node(config, supervisor.clone()).await?;
    println!("node on http://{}", node.local_addr());
    stop.await;
    node.shutdown().await;
    supervisor.shutdown();
    telemetry::end_traces(traces).await;
    Ok(())
}
