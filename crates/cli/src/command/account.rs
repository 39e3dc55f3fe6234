//! `tryon account`: customers and what they may do.

use std::time::Duration;

use clap::Subcommand;
use tryon_core::{id::AccountId, limit::Limits};
use tryon_store::{Account, Store};

use super::{fresh_id, no_such_account, note, now, store_failed};
use crate::failure::Failure;

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Make an account without credits and print its id
    Create {
        /// What you call it
        name: String,
    },
    /// List every account with its credits and limits
    List,
    /// Change an account's limits; what is not named stays
    Limits {
        /// The account's id
        account: AccountId,
        #[command(flatten)]
        limits: LimitFlags,
    },
    /// Change how long the outputs of an account's jobs are kept, from the next one on
    Retention {
        /// The account's id
        account: AccountId,
        /// Seconds from a job's end on; 0: until each was downloaded once; `default`: as long as
        /// `jobs.output_retention` says
        #[arg(value_parser = retention)]
        seconds: Retention,
    },
}

/// How long outputs are kept; `None` for what the configuration says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention(Option<Duration>);

fn retention(text: &str) -> Result<Retention, String> {
    if text == "default" {
        return Ok(Retention(None));
    }
    let seconds = text.parse::<u32>();
    let seconds = seconds.map_err(|_| "a whole number of seconds or `default` is needed")?;
    Ok(Retention(Some(Duration::from_secs(seconds.into()))))
}

/// The limits to change.
#[derive(Debug, clap::Args)]
pub(crate) struct LimitFlags {
    /// Submissions per minute
    #[arg(long)]
    tryon_per_minute: Option<u32>,
    /// Status requests per minute
    #[arg(long)]
    status_per_minute: Option<u32>,
    /// Credit requests per minute
    #[arg(long)]
    credits_per_minute: Option<u32>,
    /// Jobs under way at the same time
    #[arg(long)]
    concurrent_jobs: Option<u32>,
}

impl LimitFlags {
    fn applied_to(&self, old: Limits) -> Limits {
        Limits {
            tryon_per_minute: self.tryon_per_minute.unwrap_or(old.tryon_per_minute),
            status_per_minute: self.status_per_minute.unwrap_or(old.status_per_minute),
            credits_per_minute: self.credits_per_minute.unwrap_or(old.credits_per_minute),
            concurrent_jobs: self.concurrent_jobs.unwrap_or(old.concurrent_jobs),
        }
    }
}

/// Runs one of them.
///
/// A new account has the limits `defaults`.
pub(crate) async fn run(
    command: &AccountCommand,
    defaults: Limits,
    store: &dyn Store,
) -> Result<(), Failure> {
    match command {
        AccountCommand::Create { name } => create(name, defaults, store).await,
        AccountCommand::List => list(store).await,
        AccountCommand::Limits { account, limits } => set_limits(*account, limits, store).await,
        AccountCommand::Retention { account, seconds } => {
            set_retention(*account, *seconds, store).await
        }
    }
}

async fn create(name: &str, limits: Limits, store: &dyn Store) -> Result<(), Failure> {
    let id = AccountId::from_bytes(fresh_id());
    note(store, None, "account.create", format!("{id} {name}")).await?;
    store
        .create_account(id, name, limits, now())
        .await
        .map_err(store_failed)?;
    println!("{id}");
    Ok(())
}

async fn list(store: &dyn Store) -> Result<(), Failure> {
    for account in store.list_accounts().await.map_err(store_failed)? {
        println!("{}", line(&account));
    }
    Ok(())
}

fn line(account: &Account) -> String {
    let Account {
        id,
        name,
        balance,
        limits,
        output_retention,
        open_jobs,
        ..
    } = account;
    let kept = output_retention.map_or("default".to_owned(), |it| format!("{} s", it.as_secs()));
    format!(
        "{id}  {name}  credits {} ({} reserved)  jobs {open_jobs}/{}  \
         per minute: tryon {}, status {}, credits {}  outputs {kept}",
        balance.available(),
        balance.reserved,
        limits.concurrent_jobs,
        limits.tryon_per_minute,
        limits.status_per_minute,
        limits.credits_per_minute,
    )
}

async fn set_limits(id: AccountId, flags: &LimitFlags, store: &dyn Store) -> Result<(), Failure> {
    let account = store.find_account(id).await.map_err(store_failed)?;
    let account = account.ok_or_else(|| no_such_account(id))?;
    let limits = flags.applied_to(account.limits);
    note(store, Some(id), "account.limits", limits.to_string()).await?;
    store.set_limits(id, limits).await.map_err(store_failed)?;
    println!("{}", line(&Account { limits, ..account }));
    Ok(())
}

async fn set_retention(
    id: AccountId,
    Retention(retention): Retention,
    store: &dyn Store,
) -> Result<(), Failure> {
    let account = store.find_account(id).await.map_err(store_failed)?;
    let account = account.ok_or_else(|| no_such_account(id))?;
    let detail = retention.map_or("as configured".to_owned(), |it| {
        format!("{} s", it.as_secs())
    });
    note(store, Some(id), "account.retention", detail).await?;
    let set = store.set_output_retention(id, retention).await;
    set.map_err(store_failed)?;
    let output_retention = retention;
    println!(
        "{}",
        line(&Account {
            output_retention,
            ..account
        })
    );
    Ok(())
}
