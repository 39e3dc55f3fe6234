//! `tryon key`: what opens the public API.

use std::time::Duration;

use clap::Subcommand;
use tryon_core::{
    id::{AccountId, KeyId},
    scope::{Scope, Scopes},
};
use tryon_gateway::auth::NewSecret;
use tryon_store::{NewKey, Store};

use super::{fresh_id, no_such_account, note, now, store_failed};
use crate::failure::Failure;

const DAY: Duration = Duration::from_hours(24);

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key and print it: it cannot be shown again
    Create {
        /// Whose key
        account: AccountId,
        /// What you call it
        #[arg(long, default_value = "default")]
        name: String,
        /// For how many days it is valid; until it is revoked where this is absent
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
        days: Option<u32>,
        /// What it is for, such as `submit,status`; everything where this is absent
        #[arg(long = "scope", value_name = "SCOPES", value_delimiter = ',')]
        scopes: Vec<Scope>,
    },
    /// List an account's keys
    List {
        /// Whose keys
        account: AccountId,
    },
    /// Revoke a key at once
    Revoke {
        /// The key's id, as `tryon key list` prints it
        key: KeyId,
    },
}

/// Runs one of them.
pub(crate) async fn run(command: &KeyCommand, store: &dyn Store) -> Result<(), Failure> {
    match command {
        KeyCommand::Create {
            account,
            name,
            days,
            scopes,
        } => {
            let terms = Terms {
                life: days.map(|days| DAY * days),
                scopes: match scopes.as_slice() {
                    [] => Scopes::ALL,
                    some => some.iter().copied().collect(),
                },
            };
            println!("{}", create(*account, name, terms, store).await?);
            Ok(())
        }
        KeyCommand::List { account } => list(*account, store).await,
        KeyCommand::Revoke { key } => revoke(*key, store).await,
    }
}

/// How far a key goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// How long it is valid, if not until it is revoked.
    pub(crate) life: Option<Duration>,
    /// What it may be used for.
    pub(crate) scopes: Scopes,
}

impl Terms {
    /// Everything, until it is revoked.
    pub(crate) const UNLIMITED: Self = Self {
        life: None,
        scopes: Scopes::ALL,
    };
}

/// Makes a key and returns its secret, which is kept nowhere.
pub(crate) async fn create(
    account: AccountId,
    name: &str,
    terms: Terms,
    store: &dyn Store,
) -> Result<String, Failure> {
    if store
        .find_account(account)
        .await
        .map_err(store_failed)?
        .is_none()
    {
        return Err(no_such_account(account));
    }
    let secret = NewSecret::generate(&mut rand::rng());
    let now = now();
    let key = NewKey {
        id: KeyId::from_bytes(fresh_id()),
        account,
        name: name.to_owned(),
        prefix: secret.prefix().to_owned(),
        hash: secret.hash(),
        scopes: terms.scopes,
        expires_at: terms.life.map(|life| now + life),
    };
    let detail = format!("{} {name}", key.id);
    note(store, Some(account), "key.create", detail).await?;
    store.create_key(key, now).await.map_err(store_failed)?;
    Ok(secret.into_string())
}

async fn list(account: AccountId, store: &dyn Store) -> Result<(), Failure> {
    for key in store.list_keys(account).await.map_err(store_failed)? {
        let state = match (key.revoked_at, key.expires_at) {
            (Some(_), _) => "  (revoked)".to_owned(),
            (None, Some(end)) if end <= now() => "  (expired)".to_owned(),
            (None, Some(end)) => format!("  (expires in {} hours)", hours(end.since(now()))),
            (None, None) => String::new(),
        };
        let scopes = if key.scopes.are_all() {
            String::new()
        } else {
            format!("  [{}]", key.scopes)
        };
        println!("{}  {}…  {}{scopes}{state}", key.id, key.prefix, key.name);
    }
    Ok(())
}

/// Whole hours, the last begun one too.
fn hours(duration: Duration) -> u64 {
    duration.as_secs().div_ceil(3600)
}

async fn revoke(key: KeyId, store: &dyn Store) -> Result<(), Failure> {
    note(store, None, "key.revoke", key.to_string()).await?;
    if store.revoke_key(key, now()).await.map_err(store_failed)? {
        println!("revoked {key}");
        return Ok(());
    }
    Err(Failure::new(format!("there is no valid key `{key}`"))
        .hint("`tryon key list ACCOUNT` lists an account's keys"))
}
