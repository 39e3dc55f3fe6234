//! `tryon user`: who signs in to the pages.

use clap::Subcommand;
use tryon_core::id::{AccountId, UserId};
use tryon_gateway::{password::Password, user::read_login};
use tryon_store::{NewUser, Store, StoreError, User};

use super::{fresh_id, no_such_account, note, now, store_failed};
use crate::failure::Failure;

/// What to do with users.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Let somebody sign in and print their password: it cannot be shown again
    #[command(
        after_help = "Where people sign in with OpenID Connect, the login is the address of mail that the \
                      provider says is theirs."
    )]
    Create {
        /// What they sign in with, such as an address of mail
        login: String,
        /// The account that they look after
        #[arg(long)]
        account: AccountId,
        /// Whether they look after the platform, and so after every account
        #[arg(long)]
        operator: bool,
        /// Give them no password: they sign in with OpenID Connect
        #[arg(long)]
        no_password: bool,
    },
    /// List everybody
    List,
    /// Give somebody a new password and print it; they are signed out everywhere
    Password {
        /// Their login
        login: String,
    },
    /// Forget what a provider of OpenID Connect calls somebody, who is signed out everywhere: whoever
    /// has their address of mail there is them, the next time
    Unlink {
        /// Their login
        login: String,
    },
    /// Shut somebody out, at once
    Disable {
        /// Their login
        login: String,
    },
    /// Let somebody in again
    Enable {
        /// Their login
        login: String,
    },
}

/// Runs one of them.
pub(crate) async fn run(command: &UserCommand, store: &dyn Store) -> Result<(), Failure> {
    match command {
        UserCommand::Create {
            login,
            account,
            operator,
            no_password,
        } => {
            let password = (!no_password).then(|| Password::generate(&mut rand::rng()));
            create(login, *account, (*operator, password.as_ref()), store).await?;
            if let Some(password) = password {
                println!("{}", password.into_string());
            }
            Ok(())
        }
        UserCommand::List => list(store).await,
        UserCommand::Password { login } => {
            let user = find(login, store).await?;
            println!("{}", renew(user, store).await?);
            Ok(())
        }
        UserCommand::Unlink { login } => unlink(login, store).await,
        UserCommand::Disable { login } => set_disabled(login, true, store).await,
        UserCommand::Enable { login } => set_disabled(login, false, store).await,
    }
}

/// Makes somebody known. Of their password, if they have one, nothing but its hash is kept.
async fn create(
    login: &str,
    account: AccountId,
    (is_operator, password): (bool, Option<&Password>),
    store: &dyn Store,
) -> Result<(), Failure> {
    let login = read_login(login).map_err(|error| {
        Failure::from_error("this is no login", &error).hint("an address of mail is one")
    })?;
    let user = NewUser {
        id: UserId::from_bytes(fresh_id()),
        login: login.clone(),
        account,
        is_operator,
        password: password.map(Password::hash),
    };
    if store
        .find_account(account)
        .await
        .map_err(store_failed)?
        .is_none()
    {
        return Err(no_such_account(account));
    }
    let taken = || {
        Failure::new(format!("the login `{login}` is taken"))
            .hint("`tryon user password LOGIN` gives its owner a new password")
    };
    if store
        .find_user(&login)
        .await
        .map_err(store_failed)?
        .is_some()
    {
        return Err(taken());
    }
    let kind = if is_operator { " (operator)" } else { "" };
    note(
        store,
        Some(account),
        "user.create",
        format!("{login}{kind}"),
    )
    .await?;
    if store.create_user(user, now()).await.map_err(store_failed)? {
        return Ok(());
    }
    Err(taken())
}

async fn list(store: &dyn Store) -> Result<(), Failure> {
    for user in store.list_users().await.map_err(store_failed)? {
        let operator = if user.is_operator { "  operator" } else { "" };
        let state = match user.disabled_at {
            Some(_) => "  (shut out)",
            None => "",
        };
        println!("{}  {}{operator}{state}", user.account, user.login);
    }
    Ok(())
}

async fn find(login: &str, store: &dyn Store) -> Result<User, Failure> {
    let found = store.find_user(&login.to_lowercase()).await;
    found.map_err(store_failed)?.ok_or_else(|| {
        Failure::new(format!("there is nobody of the login `{login}`"))
            .hint("`tryon user list` lists everybody")
    })
}

async fn renew(user: User, store: &dyn Store) -> Result<String, Failure> {
    let password = Password::generate(&mut rand::rng());
    note(store, Some(user.account), "user.password", user.login).await?;
    let set = store.set_password(user.id, &password.hash()).await;
    set.map_err(store_failed)?;
    Ok(password.into_string())
}

/// The password of the operator `login`, who is made known unless a start that was cut short did.
pub(crate) async fn first(
    login: &str,
    account: AccountId,
    store: &dyn Store,
) -> Result<String, Failure> {
    if let Some(user) = store.find_user(login).await.map_err(store_failed)? {
        return renew(user, store).await;
    }
    let password = Password::generate(&mut rand::rng());
    create(login, account, (true, Some(&password)), store).await?;
    Ok(password.into_string())
}

async fn unlink(login: &str, store: &dyn Store) -> Result<(), Failure> {
    let user = find(login, store).await?;
    note(store, Some(user.account), "user.unlink", user.login).await?;
    let unlinked = store.unlink_identities(user.id).await;
    unlinked.map_err(store_failed)?;
    Ok(())
}

async fn set_disabled(login: &str, disabled: bool, store: &dyn Store) -> Result<(), Failure> {
    let user = find(login, store).await?;
    let action = if disabled {
        "user.disable"
    } else {
        "user.enable"
    };
    note(store, Some(user.account), action, user.login).await?;
    let set: Result<bool, StoreError> = store.set_user_disabled(user.id, disabled.then(now)).await;
    set.map_err(store_failed)?;
    Ok(())
}
