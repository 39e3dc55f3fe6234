//! `tryon credits`: what accounts hold.

use clap::{Subcommand, ValueEnum};
use tryon_core::{
    id::AccountId,
    ledger::{Balance, Pool},
};
use tryon_store::Store;

use super::{no_such_account, note, now, store_failed};
use crate::failure::Failure;

/// What to do with credits.
#[derive(Debug, Subcommand)]
pub(crate) enum CreditsCommand {
    /// Give an account credits
    Grant {
        /// Whose
        account: AccountId,
        /// How many
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        amount: u32,
        /// Which pool they go to; a job uses the subscription's first
        #[arg(long, value_enum, default_value = "purchased")]
        pool: PoolName,
    },
    /// Print what an account holds
    Show {
        /// Whose
        account: AccountId,
    },
}

/// The pools by name.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum PoolName {
    /// Credits that lapse with the subscription.
    Subscription,
    /// Credits that were bought.
    Purchased,
}

impl PoolName {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Subscription => "subscription",
            Self::Purchased => "purchased",
        }
    }
}

impl From<PoolName> for Pool {
    fn from(name: PoolName) -> Self {
        match name {
            PoolName::Subscription => Self::Subscription,
            PoolName::Purchased => Self::Purchased,
        }
    }
}

/// Runs one of them.
pub(crate) async fn run(command: &CreditsCommand, store: &dyn Store) -> Result<(), Failure> {
    let id = match command {
        CreditsCommand::Grant { account, .. } | CreditsCommand::Show { account } => *account,
    };
    let account = store.find_account(id).await.map_err(store_failed)?;
    let account = account.ok_or_else(|| no_such_account(id))?;
    let balance = match command {
        CreditsCommand::Show { .. } => account.balance,
        CreditsCommand::Grant { amount, pool, .. } => {
            let detail = format!("{amount} {}", pool.as_str());
            note(store, Some(id), "credits.grant", detail).await?;
            let pool = Pool::from(*pool);
            store
                .grant_credits(id, pool, *amount, now())
                .await
                .map_err(store_failed)?
        }
    };
    print(&balance);
    Ok(())
}

fn print(balance: &Balance) {
    let Balance {
        subscription,
        purchased,
        reserved,
    } = balance;
    println!("available {}", balance.available());
    println!("subscription {subscription}, purchased {purchased}, reserved {reserved}");
}
