//! `tryon bench`: what this machine carries.

mod cluster;
mod fleet;
mod gateways;
mod gpu;
mod load;
pub(crate) mod waiting;

use clap::Subcommand;

use crate::{failure::Failure, signal};

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Run gateways and many nodes that only wait, on a PostgreSQL database of their own
    Cluster(cluster::ClusterArgs),
    /// Compare what a GPU computes with the CPU, and measure it with random weights
    Gpu(gpu::GpuArgs),
}

/// Measures it.
pub(crate) async fn run(command: &BenchCommand) -> Result<(), Failure> {
    match command {
        // What is stopped takes its gateways with it.
        BenchCommand::Cluster(args) => tokio::select! {
            done = cluster::run(args) => done,
            () = signal::wait_for_stop() => {
                Err(Failure::new("the benchmark was stopped").hint("its database can be dropped"))
            }
        },
        BenchCommand::Gpu(args) => gpu::run(args),
    }
}
