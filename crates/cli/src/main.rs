//! The `tryon` command: the whole platform in one binary.
//!
//! | module | holds |
//! |---|---|
//! | [`command`] | the commands, a module each |
//! | [`config`] | flag > environment > `config.yaml` > defaults |
//! | [`engine`] | the engines by name: the only place that knows them |
//! | [`platform`] | a gateway and a node on one machine, wired together |
//! | [`client`] | the public API as commands use it |
//! | [`model`] | models by name, and pulling them from a hub |
//! | [`loading`] | how far a model is loaded |
//! | [`memory`] | how memory is given back |
//! | [`failure`] | `error:`, then `hint:` |
//! | [`output`] | what is printed, also to who stops reading |
//!
//! Commands end with 0 when they did what they were told, with 1 when they failed, with 2 when
//! they were not understood, and with 130 when a second Ctrl-C cut a shutdown short.

#[macro_use]
mod output;

mod client;
mod command;
mod config;
mod engine;
mod failure;
mod kill;
mod loading;
mod memory;
mod model;
mod picture_file;
mod platform;
mod secret_file;
mod signal;
mod telemetry;

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::{
    command::{
        account, bench, credits, demo, doctor, gateway, gateway_config, key, manual, models, node,
        nodes, serve, submit, try_on, user, verify_model, with_store, worker,
    },
    config::Source,
    failure::Failure,
};

/// A self-hosted virtual try-on platform.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// The configuration file; `config.yaml` where there is one
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder that `serve` keeps everything in
    #[arg(long, global = true, default_value = "data", value_name = "FOLDER")]
    data: PathBuf,
    /// How log lines look
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "human",
        value_name = "FORMAT"
    )]
    log_format: telemetry::Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole platform on this machine
    Serve(serve::ServeArgs),
    /// Run a gateway: the public API in front of nodes
    Gateway(gateway::GatewayArgs),
    /// Run a node: one device behind the node API
    Node(node::NodeArgs),
    /// Make one picture here, without a server
    Try(try_on::TryArgs),
    /// Make pictures through a running gateway
    Submit(submit::SubmitArgs),
    /// Make, list and limit accounts
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Say who signs in to the pages
    #[command(subcommand)]
    User(user::UserCommand),
    /// Grant and show credits
    #[command(subcommand)]
    Credits(credits::CreditsCommand),
    /// List nodes, and take them out of work and in again
    #[command(subcommand)]
    Nodes(nodes::NodesCommand),
    /// Check this machine and its configuration
    Doctor(doctor::DoctorArgs),
    /// See the platform work, on the example pictures
    Demo,
    /// Measure what this machine carries
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Install models, and check that they are as published
    Models(models::ModelsArgs),
    /// Check that an installed model computes what its reference does
    VerifyModel(verify_model::VerifyModelArgs),
    /// Print what has a shell complete these commands
    Completions(manual::CompletionsArgs),
    /// Write the manual pages of these commands
    Man(manual::ManArgs),
    /// Print docs/configuration.md
    #[command(hide = true)]
    Reference,
    /// Run an engine for the node that started this process
    #[command(hide = true)]
    Worker(worker::WorkerArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // A reader that is gone does not change how a command ended.
            let _ = writeln!(anstream::stderr(), "{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    if matches!(
        cli.command,
        Command::Serve(_) | Command::Gateway(_) | Command::Node(_)
    ) {
        memory::give_back();
    }
    // What needs no services comes first.
    match cli.command {
        Command::Worker(args) => worker::run(&args),
        Command::Try(args) => return try_on::run(&args),
        Command::VerifyModel(args) => return verify_model::run(&args),
        Command::Completions(args) => {
            manual::complete(&args, Cli::command());
            return Ok(());
        }
        Command::Man(args) => return manual::write_pages(&args, Cli::command()),
        Command::Reference => {
            print!("{}", config::reference::page());
            return Ok(());
        }
        _ => {}
    }
    kill::arm();
    // The one provider of every client and listener in this process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| {
        Failure::from_error("no runtime can be had", &error)
            .hint("the system's limits on threads and open files may be too low (`ulimit -a`)")
    })?;
    runtime.block_on(run_async(cli))
}

async fn run_async(cli: Cli) -> Result<(), Failure> {
    let format = cli.log_format;
    let source = || Source::read(cli.config.as_deref());
    match cli.command {
        Command::Serve(args) => Box::pin(serve::run(args, source()?, &cli.data, format)).await,
        Command::Gateway(args) => gateway::run(args, source()?, format).await,
        Command::Node(args) => node::run(args, source()?, format).await,
        Command::Submit(args) => submit::run(&args).await,
        Command::Account(command) => {
            let config = gateway_config(source()?, &cli.data)?;
            let limits = config.default_limits;
            with_store(&config, async |store| {
                account::run(&command, limits, store).await
            })
            .await
        }
        Command::Key(command) => {
            let config = gateway_config(source()?, &cli.data)?;
            with_store(&config, async |store| key::run(&command, store).await).await
        }
        Command::User(command) => {
            let config = gateway_config(source()?, &cli.data)?;
            with_store(&config, async |store| user::run(&command, store).await).await
        }
        Command::Credits(command) => {
            let config = gateway_config(source()?, &cli.data)?;
            with_store(&config, async |store| credits::run(&command, store).await).await
        }
        Command::Nodes(command) => {
            let config = gateway_config(source()?, &cli.data)?;
            with_store(&config, async |store| nodes::run(&command, store).await).await
        }
        Command::Doctor(args) => doctor::run(&args, source()?, &cli.data).await,
        Command::Bench(command) => {
            telemetry::start(&telemetry::level_or("error"), format)?;
            bench::run(&command).await
        }
        Command::Models(args) => models::run(args, source()?, &cli.data).await,
        Command::Demo => {
            telemetry::start(&telemetry::level_or("error"), format)?;
            demo::run().await
        }
        Command::Try(_)
        | Command::VerifyModel(_)
        | Command::Completions(_)
        | Command::Man(_)
        | Command::Reference
        | Command::Worker(_) => {
            unreachable!("BUG: these ran without a runtime")
        }
    }
}
