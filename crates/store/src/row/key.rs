//! Rows of keys.

use sqlx_macros::FromRow;
use tryon_core::{scope::Scopes, time::Timestamp};

use super::{AccountRow, parse, time};
use crate::{
    record::{Caller, Key},
    store::StoreError,
};

#[derive(FromRow)]
pub(crate) struct KeyRow {
    id: String,
    account_id: String,
    name: String,
    prefix: String,
    scopes: Option<String>,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl TryFrom<KeyRow> for Key {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("api_keys.id", &row.id)?,
            account: parse("api_keys.account_id", &row.account_id)?,
            name: row.name,
            prefix: row.prefix,
            scopes: scopes(row.scopes.as_deref())?,
            created_at: Timestamp::from_millis(row.created_at),
            expires_at: time(row.expires_at),
            revoked_at: time(row.revoked_at),
        })
    }
}

/// What a key without any scopes in its row was made for is everything.
fn scopes(text: Option<&str>) -> Result<Scopes, StoreError> {
    text.map_or(Ok(Scopes::ALL), |text| parse("api_keys.scopes", text))
}

/// An account, and the key that opened it.
#[derive(FromRow)]
pub(crate) struct CallerRow {
    key_id: String,
    scopes: Option<String>,
    #[sqlx(flatten)]
    account: AccountRow,
}

impl TryFrom<CallerRow> for Caller {
    type Error = StoreError;

    fn try_from(row: CallerRow) -> Result<Self, StoreError> {
        Ok(Self {
            key: parse("api_keys.id", &row.key_id)?,
            scopes: scopes(row.scopes.as_deref())?,
            account: row.account.try_into()?,
        })
    }
}
