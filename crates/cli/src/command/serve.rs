//! `tryon serve`: the whole platform on this machine.

use std::{path::Path, sync::Arc};

use clap::Args;
use fail::fail_point;
use tryon_core::{id::AccountId, ledger::Pool, limit::Limits};
use tryon_store::Store;
use tryon_trace::{Service, Traces};

use super::{
    key::{self, Terms},
    note, now, store_failed, user,
};
use crate::{
    config::{ServeConfig, Source, load_serve, warn_of_links},
    failure::Failure,
    platform::{Platform, open_store},
    secret_file::Secrets,
    signal, telemetry,
};

/// What the first account and its key are called.
const FIRST_NAME: &str = "default";

/// Who signs in to its pages first.
const FIRST_LOGIN: &str = "admin";

/// Credits that the first account begins with.
const FIRST_CREDITS: u32 = 1_000;

/// Where it listens and keeps its data.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The address of the public API; beyond 127.0.0.1 the network can reach it
    #[arg(long)]
    host: Option<String>,
    /// The port of the public API
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
    args: ServeArgs,
    source: Source,
    data: &Path,
    format: telemetry::Format,
) -> Result<(), Failure> {
    let source = source
        .flag("gateway.server.host", args.host)
        .flag("gateway.server.port", args.port)
        .flag("gateway.server.public_url", args.public_url)
        .traces_flag(
            ["gateway.traces.endpoint", "gateway.traces.exact_endpoint"],
            args.traces_endpoint,
        );
    let config = load_serve(source, data)?;
    telemetry::start(&config.node.logging.level, format)?;
    let secrets = Secrets::open(data)?;
    let store = open_store(&config.gateway).await?;
    let limits = config.gateway.default_limits;
    warn_of_links(&config.gateway.server);
    let traces = start_traces(&config)?;
    let scheme = config.gateway.server.scheme();
    let stop = signal::wait_for_stop();
    let platform = Platform::start(config, &secrets, Arc::clone(&store)).await?;
    // Only now: a key that was made for a platform that cannot start would never be seen.
    let first = make_first_account(secrets.first_account, limits, &store).await?;
    let url = format!("{scheme}://{}", platform.gateway.public_addr());
    // A browser keeps who is signed in for the name that the gateway is called by.
    let site = platform.gateway.app().config.server.link_base();
    println!("tryon {} serves on {url}", env!("CARGO_PKG_VERSION"));
    println!("  data     {}", data.display());
    println!("  node     http://{}", platform.node.local_addr());
    if let Some(First {
        account,
        key,
        password,
    }) = first
    {
        println!("  account  {account}, with {FIRST_CREDITS} credits");
        println!("  key      {key}");
        if platform.gateway.app().config.sign_in.passwords {
            println!(
                "  sign in  {site}/app/sign-in as {FIRST_LOGIN}, with the password {password}"
            );
            println!("           keep both: they are not shown again");
        } else {
            println!("           keep it: it is not shown again");
            println!(
                "  sign in  {site}/app/sign-in, once `tryon user create MAIL --account {account} \
                 --operator --no-password` said who"
            );
        }
        // What is behind the sign stays in the browser.
        println!("  try it   {url}/playground#key={key}");
    } else if store.list_users().await.map_err(store_failed)?.is_empty() {
        println!("  sign in  nobody can yet: `tryon user create LOGIN --account ID --operator`");
    }
    let serving = async {
        tell_engine(&platform).await?;
        std::future::pending().await
    };
    tokio::select! {
        () = stop => {}
        ended = serving => return ended,
    }
    platform.shutdown().await;
    store.close().await;
    telemetry::end_traces(traces).await;
    Ok(())
}

/// Gateway and node are one process, whose spans go one way.
fn start_traces(config: &ServeConfig) -> Result<Traces, Failure> {
    let (gateway, node) = (&config.gateway.traces, &config.node.traces);
    let traces = if gateway.is_on() { gateway } else { node };
    let service = Service {
        name: "tryon",
        version: env!("CARGO_PKG_VERSION"),
        instance: None,
    };
    telemetry::trace(traces, service)
}

/// Says what the pictures will be made by, once that is known.
async fn tell_engine(platform: &Platform) -> Result<(), Failure> {
    let engine = platform.engine.clone();
    let loaded = tokio::task::spawn_blocking(move || {
        engine.wait_loaded();
        engine.description()
    });
    let loaded = loaded.await;
    let description = loaded.map_err(|error| {
        Failure::from_error("the engine is lost", &error).hint("`tryon doctor` tries to load it")
    })?;
    if let Some(description) = description {
        println!(
            "  engine   {} {}",
            description.model_type, description.model_version
        );
        if let Some(notice) = description.notice {
            println!("           {notice}");
        }
    }
    Ok(())
}

/// What opens the account that an empty store begins with.
pub(crate) struct First {
    pub(crate) account: AccountId,
    pub(crate) key: String,
    /// Of [`FIRST_LOGIN`], who looks after the platform.
    pub(crate) password: String,
}

/// The account that an empty store begins with, its key and its first user. It gets the id `id`, by which the
/// next start knows an account of ours that a kill left without its key.
pub(crate) async fn make_first_account(
    id: AccountId,
    limits: Limits,
    store: &Arc<dyn Store>,
) -> Result<Option<First>, Failure> {
    let accounts = store.list_accounts().await.map_err(store_failed)?;
    match accounts.as_slice() {
        [] => {
            note(
                store.as_ref(),
                None,
                "account.create",
                format!("{id} {FIRST_NAME}"),
            )
            .await?;
            let made = store.create_account(id, FIRST_NAME, limits, now()).await;
            made.map_err(store_failed)?;
            fail_point!("serve::after-account");
        }
        [only] if only.id == id => {
            let keys = store.list_keys(id).await.map_err(store_failed)?;
            if !keys.is_empty() {
                return Ok(None);
            }
        }
        _ => return Ok(None),
    }
    let account = store.find_account(id).await.map_err(store_failed)?;
    if account.is_none_or(|account| account.balance.available() == 0) {
        let detail = format!("{FIRST_CREDITS} purchased");
        note(store.as_ref(), Some(id), "credits.grant", detail).await?;
        let granted = store
            .grant_credits(id, Pool::Purchased, FIRST_CREDITS, now())
            .await;
        granted.map_err(store_failed)?;
    }
    // The key comes last: without one, what was made is made again.
    let password = user::first(FIRST_LOGIN, id, store.as_ref()).await?;
    let key = key::create(id, FIRST_NAME, Terms::UNLIMITED, store.as_ref()).await?;
    Ok(Some(First {
        account: id,
        key,
        password,
    }))
}
