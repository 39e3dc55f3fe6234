//! Whose login somebody has whom a provider knows.

use tryon_core::id::{AccountId, UserId};
use tryon_store::{NewAction, NewUser, StoreError, User};

use super::Person;
use crate::{app::App, user::read_login};

/// Why somebody whom a provider knows is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stranger {
    /// The first time, by an address that is theirs for certain.
    #[error(
        "The provider does not say that an address of mail is yours for certain, which is needed the \
         first time."
    )]
    NoMail,
    /// No login has characters like these.
    #[error("Your address of mail cannot be a login: it has other characters.")]
    BadMail,
    /// Nobody made them known.
    #[error("There is no login for your address of mail: ask whoever runs this platform for one.")]
    Unknown,
    /// The address belonged to somebody else before.
    #[error(
        "The login of your address of mail is somebody else's at the provider: ask whoever runs this \
         platform."
    )]
    Taken,
    /// They were shut out.
    #[error("You may not sign in any more.")]
    ShutOut,
}

/// The user whom this person is: by what the provider calls them or, the first time, by their address
/// of mail.
pub(crate) async fn find(app: &App, person: &Person) -> Result<Result<User, Stranger>, StoreError> {
    let found = match app.store.find_identity(&person.identity).await? {
        Some(user) => Ok(user),
        None => meet(app, person).await?,
    };
    let mut user = match found {
        Ok(user) => user,
        refused => return Ok(refused),
    };
    if user.disabled_at.is_some() {
        return Ok(Err(Stranger::ShutOut));
    }
    if let Some(is_operator) = person.is_operator.filter(|it| *it != user.is_operator) {
        let now = if is_operator { "an" } else { "no" };
        let detail = format!("{}: {now} operator", user.login);
        note(app, (&user.login, user.account), "user.operator", detail).await?;
        app.store.set_operator(user.id, is_operator).await?;
        user.is_operator = is_operator;
    }
    Ok(Ok(user))
}

/// Somebody who is here for the first time.
async fn meet(app: &App, person: &Person) -> Result<Result<User, Stranger>, StoreError> {
    let Some(mail) = &person.mail else {
        return Ok(Err(Stranger::NoMail));
    };
    let Some(login) = login_of(mail) else {
        return Ok(Err(Stranger::BadMail));
    };
    let user = match app.store.find_user(&login).await? {
        None => create(app, &login).await?,
        found => found,
    };
    match user {
        None => Ok(Err(Stranger::Unknown)),
        // Told before anything changes.
        Some(user) if user.disabled_at.is_some() => Ok(Err(Stranger::ShutOut)),
        Some(user) => link(app, person, user).await,
    }
}

/// The login that an address of mail is. Without its `@` it could be that of somebody who has none for
/// a login; and of characters that become others in lower case, such as the Kelvin sign, it is somebody
/// else's address.
fn login_of(mail: &str) -> Option<String> {
    let is_one = mail.is_ascii() && mail.contains('@');
    read_login(mail).ok().filter(|_| is_one)
}

async fn link(
    app: &App,
    person: &Person,
    user: User,
) -> Result<Result<User, Stranger>, StoreError> {
    let identity = &person.identity;
    let detail = format!(
        "{}: {} at {}",
        user.login, identity.subject, identity.issuer
    );
    let of = (&*user.login, user.account);
    note(app, of, "user.link", detail.clone()).await?;
    let linked = app
        .store
        .link_identity(identity, user.id, app.clock.now())
        .await?;
    if linked {
        return Ok(Ok(user));
    }
    // The same person in two windows is linked by one of them.
    let found = app.store.find_identity(identity).await?;
    let linked = found.filter(|it| it.id == user.id);
    if linked.is_none() {
        note(app, of, "user.link.refused", detail).await?;
    }
    Ok(linked.ok_or(Stranger::Taken))
}

/// A login for this address, where logins are made for its domain.
async fn create(app: &App, login: &str) -> Result<Option<User>, StoreError> {
    let oidc = &app.config.sign_in.oidc;
    let Some(account) = oidc.create_in.filter(|_| oidc.creates(login)) else {
        return Ok(None);
    };
    if app.store.find_account(account).await?.is_none() {
        tracing::error!(%account, "the account of `sign_in.oidc.create_in` is not there");
        return Ok(None);
    }
    let user = NewUser {
        id: UserId::from_bytes(app.random.id()),
        login: login.to_owned(),
        account,
        is_operator: false,
        password: None,
    };
    note(app, (login, account), "user.create", login.to_owned()).await?;
    // Where another window was faster, it is that one's.
    app.store.create_user(user, app.clock.now()).await?;
    app.store.find_user(login).await
}

/// Writes down what is about to be changed for this user, by whoever signs in as them.
async fn note(
    app: &App,
    (login, account): (&str, AccountId),
    action: &'static str,
    detail: String,
) -> Result<(), StoreError> {
    tracing::info!(actor = %login, action, detail, "changed by signing in");
    let action = NewAction {
        actor: login.to_owned(),
        account: Some(account),
        action,
        detail,
        form: None,
    };
    app.store.record_action(action, app.clock.now()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_mail_is_nobody_elses_login() {
        let login = login_of("Kate@Shop.example");
        assert_eq!(login.as_deref(), Some("kate@shop.example"));
        for mail in [
            "",
            "kate",
            "\u{212a}ate@shop.example",
            "k\u{e4}te@shop.example",
            "kate o'hara@shop.example",
        ] {
            assert_eq!(login_of(mail), None, "{mail}");
        }
    }
}
