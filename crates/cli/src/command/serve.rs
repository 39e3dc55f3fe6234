//! `tryon serve`: the whole platform on this machine.

use std::{path::Path, sync::Arc};

use clap::Args;
use tryon_core::{id::AccountId, ledger::Pool, limit::Limits};
use tryon_store::Store;

use super::{fresh_id, key, now, store_failed};
use crate::{
    config::{Source, load_serve},
    failure::Failure,
    platform::{Platform, open_store},
    secret_file::Secrets,
    signal,
};

/// What the first account is called. No operator's command makes one of this name by default.
const FIRST_NAME: &str = "default";

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
}

/// Serves until it is told to stop.
pub(crate) async fn run(args: ServeArgs, source: Source, data: &Path) -> Result<(), Failure> {
    let source = source
        .flag("gateway.server.host", args.host)
        .flag("gateway.server.port", args.port)
        .flag("gateway.server.public_url", args.public_url);
    let config = load_serve(source, data)?;
    let secrets = Secrets::open(data)?;
    let store = open_store(&config.gateway).await?;
    let limits = config.gateway.default_limits;
    let platform = Platform::start(config, &secrets, Arc::clone(&store)).await?;
    // Only now: a key that was made for a platform that cannot start would never be seen.
    let first = make_first_account(limits, &store).await?;
    println!(
        "tryon {} serves on http://{}",
        env!("CARGO_PKG_VERSION"),
        platform.gateway.public_addr()
    );
    println!("  data     {}", data.display());
    println!("  node     http://{}", platform.node.local_addr());
    if let Some((account, key)) = first {
        println!("  account  {account}, with {FIRST_CREDITS} credits");
        println!("  key      {key}");
        println!("           keep it: it is not shown again");
    }
    let serving = async {
        tell_engine(&platform).await?;
        std::future::pending().await
    };
    tokio::select! {
        () = signal::wait_for_stop() => {}
        ended = serving => return ended,
    }
    platform.shutdown().await;
    Ok(())
}

/// Says what the pictures will be made by, once that is known.
async fn tell_engine(platform: &Platform) -> Result<(), Failure> {
    let engine = platform.engine.clone();
    let loaded = tokio::task::spawn_blocking(move || {
        engine.wait_loaded();
        engine.description()
    });
    let loaded = loaded.await;
    let description = loaded.map_err(|error| Failure::from_error("the engine is lost", &error))?;
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

/// The account that an empty store begins with, and its key.
pub(crate) async fn make_first_account(
    limits: Limits,
    store: &Arc<dyn Store>,
) -> Result<Option<(AccountId, String)>, Failure> {
    let accounts = store.list_accounts().await.map_err(store_failed)?;
    let id = match accounts.as_slice() {
        [] => create_account(limits, store.as_ref()).await?,
        // One of ours without a key was being made when the process was killed. An operator's own
        // has another name.
        [only]
            if only.name == FIRST_NAME
                && store
                    .list_keys(only.id)
                    .await
                    .map_err(store_failed)?
                    .is_empty() =>
        {
            only.id
        }
        _ => return Ok(None),
    };
    let missing = store.find_account(id).await.map_err(store_failed)?;
    let missing = missing.is_none_or(|account| account.balance.available() == 0);
    if missing {
        let granted = store
            .grant_credits(id, Pool::Purchased, FIRST_CREDITS, now())
            .await;
        granted.map_err(store_failed)?;
    }
    Ok(Some((
        id,
        key::create(id, "default", store.as_ref()).await?,
    )))
}

async fn create_account(limits: Limits, store: &dyn Store) -> Result<AccountId, Failure> {
    let id = AccountId::from_bytes(fresh_id());
    store
        .create_account(id, FIRST_NAME, limits, now())
        .await
        .map_err(store_failed)?;
    Ok(id)
}
