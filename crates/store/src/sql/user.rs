//! Users and their sessions.

use tryon_core::{id::UserId, time::Timestamp};

use super::{
    account::account_columns,
    statement::{Connection, Sql, query},
};
use crate::{
    row::{UserRow, VisitorRow},
    store::StoreError,
    user::{Identity, NewSession, NewUser, Proof, User, Visitor},
};

/// The columns of a [`UserRow`] of `users AS u`.
macro_rules! user_columns {
    () => {
        "u.id AS user_id, u.login, u.account_id AS of_account, u.is_operator, u.password,
         u.created_at AS user_created_at, u.disabled_at"
    };
}

const CREATE: &str = "
    INSERT INTO users (id, login, account_id, is_operator, password, created_at)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (login) DO NOTHING";

pub(crate) const FIND: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM users AS u WHERE u.login = $1"
);

const LIST: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM users AS u ORDER BY u.created_at, u.id"
);

const SET_PASSWORD: &str = "UPDATE users SET password = $2 WHERE id = $1";

const SET_DISABLED: &str = "UPDATE users SET disabled_at = $2 WHERE id = $1";

const SET_OPERATOR: &str = "UPDATE users SET is_operator = $2 WHERE id = $1";

/// Nobody stays signed in across a change of password.
pub(crate) const END_SESSIONS: &str = "DELETE FROM sessions WHERE user_id = $1";

/// Whoever changes the password, or shuts its owner out, ends the sessions that are there: one that is
/// being opened meanwhile waits for that and is not.
const OPEN: Sql = Sql {
    sqlite: "
    INSERT INTO sessions (hash, user_id, created_at, expires_at)
    SELECT $1, id, $3, $4 FROM users WHERE id = $2 AND disabled_at IS NULL AND password = $5",
    postgres: "
    INSERT INTO sessions (hash, user_id, created_at, expires_at)
    SELECT $1, id, $3, $4 FROM users WHERE id = $2 AND disabled_at IS NULL AND password = $5
    FOR SHARE",
};

/// The same for whoever a provider vouches for: they may have been parted from their login meanwhile.
const OPEN_BY_IDENTITY: Sql = Sql {
    sqlite: "
    INSERT INTO sessions (hash, user_id, created_at, expires_at)
    SELECT $1, u.id, $3, $4 FROM users AS u JOIN identities AS i ON i.user_id = u.id
    WHERE u.id = $2 AND u.disabled_at IS NULL AND i.issuer = $5 AND i.subject = $6",
    postgres: "
    INSERT INTO sessions (hash, user_id, created_at, expires_at)
    SELECT $1, u.id, $3, $4 FROM users AS u JOIN identities AS i ON i.user_id = u.id
    WHERE u.id = $2 AND u.disabled_at IS NULL AND i.issuer = $5 AND i.subject = $6
    FOR SHARE",
};

const LINK: &str = "
    INSERT INTO identities (issuer, subject, user_id, created_at)
    SELECT $1, $2, id, $4 FROM users WHERE id = $3 ON CONFLICT DO NOTHING";

pub(crate) const UNLINK: &str = "DELETE FROM identities WHERE user_id = $1";

pub(crate) const FIND_BY_IDENTITY: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM identities AS i JOIN users AS u ON u.id = i.user_id
      WHERE i.issuer = $1 AND i.subject = $2"
);

pub(crate) const FIND_SESSION: &str = concat!(
    "SELECT ",
    user_columns!(),
    ", ",
    account_columns!(),
    " FROM sessions AS s JOIN users AS u ON u.id = s.user_id
        JOIN accounts AS a ON a.id = u.account_id
      WHERE s.hash = $1 AND s.expires_at > $2 AND u.disabled_at IS NULL"
);

const CLOSE: &str = "DELETE FROM sessions WHERE hash = $1";

pub(crate) const FORGET: &str = "
    DELETE FROM sessions WHERE hash IN (
        SELECT hash FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";

pub(super) async fn create(
    connection: &mut Connection<'_>,
    user: NewUser,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let inserted = query(CREATE)
        .bind(user.id.to_string())
        .bind(user.login)
        .bind(user.account.to_string())
        .bind(user.is_operator)
        .bind(user.password)
        .bind(now)
        .execute(connection)
        .await;
    match inserted {
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
            Err(StoreError::NoSuchAccount(user.account))
        }
        Err(error) => Err(error.into()),
        Ok(inserted) => Ok(inserted == 1),
    }
}

pub(super) async fn find(
    connection: &mut Connection<'_>,
    login: String,
) -> Result<Option<User>, StoreError> {
    let row: Option<UserRow> = query(FIND).bind(login).fetch_optional(connection).await?;
    row.map(User::try_from).transpose()
}

pub(super) async fn list(connection: &mut Connection<'_>) -> Result<Vec<User>, StoreError> {
    let rows: Vec<UserRow> = query(LIST).fetch_all(connection).await?;
    rows.into_iter().map(User::try_from).collect()
}

pub(super) async fn set_password(
    connection: &mut Connection<'_>,
    user: UserId,
    password: String,
) -> Result<bool, StoreError> {
    let id = user.to_string();
    let set = query(SET_PASSWORD)
        .bind(id.as_str())
        .bind(password)
        .execute(connection)
        .await?;
    query(END_SESSIONS).bind(id).execute(connection).await?;
    Ok(set == 1)
}

pub(super) async fn set_disabled(
    connection: &mut Connection<'_>,
    user: UserId,
    since: Option<Timestamp>,
) -> Result<bool, StoreError> {
    let id = user.to_string();
    let set = query(SET_DISABLED)
        .bind(id.as_str())
        .bind(since)
        .execute(connection)
        .await?;
    query(END_SESSIONS).bind(id).execute(connection).await?;
    Ok(set == 1)
}

pub(super) async fn set_operator(
    connection: &mut Connection<'_>,
    user: UserId,
    is_operator: bool,
) -> Result<bool, StoreError> {
    let set = query(SET_OPERATOR)
        .bind(user.to_string())
        .bind(is_operator)
        .execute(connection)
        .await?;
    Ok(set == 1)
}

pub(super) async fn link(
    connection: &mut Connection<'_>,
    identity: Identity,
    user: UserId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let linked = query(LINK)
        .bind(identity.issuer)
        .bind(identity.subject)
        .bind(user.to_string())
        .bind(now)
        .execute(connection)
        .await?;
    Ok(linked == 1)
}

pub(super) async fn unlink(
    connection: &mut Connection<'_>,
    user: UserId,
) -> Result<bool, StoreError> {
    let id = user.to_string();
    let unlinked = query(UNLINK).bind(id.as_str()).execute(connection).await?;
    query(END_SESSIONS).bind(id).execute(connection).await?;
    Ok(unlinked > 0)
}

pub(super) async fn find_by_identity(
    connection: &mut Connection<'_>,
    identity: Identity,
) -> Result<Option<User>, StoreError> {
    let row: Option<UserRow> = query(FIND_BY_IDENTITY)
        .bind(identity.issuer)
        .bind(identity.subject)
        .fetch_optional(connection)
        .await?;
    row.map(User::try_from).transpose()
}

pub(super) async fn open_session(
    connection: &mut Connection<'_>,
    session: NewSession,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let statement = match session.proof {
        Proof::Password(_) => OPEN,
        Proof::Identity(_) => OPEN_BY_IDENTITY,
    };
    let statement = query(statement)
        .bind(&session.hash)
        .bind(session.user.to_string())
        .bind(now)
        .bind(session.expires_at);
    let statement = match session.proof {
        Proof::Password(hash) => statement.bind(hash),
        Proof::Identity(identity) => statement.bind(identity.issuer).bind(identity.subject),
    };
    Ok(statement.execute(connection).await? == 1)
}

pub(super) async fn find_session(
    connection: &mut Connection<'_>,
    hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<Visitor>, StoreError> {
    let row: Option<VisitorRow> = query(FIND_SESSION)
        .bind(&hash)
        .bind(now)
        .fetch_optional(connection)
        .await?;
    row.map(Visitor::try_from).transpose()
}

pub(super) async fn close_session(
    connection: &mut Connection<'_>,
    hash: [u8; 32],
) -> Result<(), StoreError> {
    query(CLOSE).bind(&hash).execute(connection).await?;
    Ok(())
}

pub(super) async fn forget_sessions(
    connection: &mut Connection<'_>,
    now: Timestamp,
    limit: u32,
) -> Result<u64, StoreError> {
    let forgotten = query(FORGET)
        .bind(now)
        .bind(limit)
        .execute(connection)
        .await?;
    Ok(forgotten)
}
