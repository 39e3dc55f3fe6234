//! API keys.

use tryon_core::{
    id::{AccountId, KeyId},
    time::Timestamp,
};

use super::{
    account::account_columns,
    statement::{Connection, query},
};
use crate::{
    record::{Caller, Key, NewKey},
    row::{CallerRow, KeyRow},
    store::StoreError,
};

const CREATE: &str = "
    INSERT INTO api_keys (id, account_id, name, prefix, hash, created_at, expires_at, scopes)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

pub(crate) const FIND_ACCOUNT: &str = concat!(
    "SELECT k.id AS key_id, k.scopes, ",
    account_columns!(),
    " FROM api_keys AS k JOIN accounts AS a ON a.id = k.account_id
      WHERE k.hash = $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $2)"
);

const LIST: &str = "
    SELECT id, account_id, name, prefix, scopes, created_at, expires_at, revoked_at FROM api_keys
    WHERE account_id = $1 ORDER BY created_at, id";

const REVOKE: &str = "
    UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";

pub(super) async fn create(
    connection: &mut Connection<'_>,
    key: NewKey,
    now: Timestamp,
) -> Result<(), StoreError> {
    let inserted = query(CREATE)
        .bind(key.id.to_string())
        .bind(key.account.to_string())
        .bind(key.name)
        .bind(key.prefix)
        .bind(&key.hash)
        .bind(now)
        .bind(key.expires_at)
        .bind((!key.scopes.are_all()).then(|| key.scopes.to_string()))
        .execute(connection)
        .await;
    match inserted {
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
            Err(StoreError::NoSuchAccount(key.account))
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

pub(super) async fn find_account(
    connection: &mut Connection<'_>,
    hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<Caller>, StoreError> {
    let row: Option<CallerRow> = query(FIND_ACCOUNT)
        .bind(&hash)
        .bind(now)
        .fetch_optional(connection)
        .await?;
    row.map(Caller::try_from).transpose()
}

pub(super) async fn list(
    connection: &mut Connection<'_>,
    account: AccountId,
) -> Result<Vec<Key>, StoreError> {
    let rows: Vec<KeyRow> = query(LIST)
        .bind(account.to_string())
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(Key::try_from).collect()
}

pub(super) async fn revoke(
    connection: &mut Connection<'_>,
    id: KeyId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = query(REVOKE)
        .bind(id.to_string())
        .bind(now)
        .execute(connection)
        .await?;
    Ok(done == 1)
}
