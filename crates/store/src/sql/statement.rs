//! Statements that run on either database.
//!
//! Both count their parameters as `$1`, so most statements are one text for both. Where they are
//! not, the two stand side by side in a [`Sql`].

use std::time::Duration;

use serde::Serialize;
use sqlx::{
    Arguments as _, FromRow,
    postgres::{PgArguments, PgConnection, PgRow},
    sqlite::{SqliteArguments, SqliteConnection, SqliteRow},
    types::Json,
};
use tryon_core::time::Timestamp;

/// A connection to one of the databases, usually inside a transaction.
pub(crate) enum Connection<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

impl Connection<'_> {
    /// Whether others write at the same time, so that rows must be locked before what was read of
    /// them can be relied on.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }
}

/// A statement in the dialect of each database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sql {
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self {
            sqlite: text,
            postgres: text,
        }
    }
}

/// What reads from a row of either database.
pub(crate) trait Record:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T> Record for T where
    T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

/// What can be bound to a parameter.
#[derive(Debug)]
pub(crate) enum Value {
    Integer(Option<i64>),
    Truth(bool),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Json(serde_json::Value),
}

/// This record as JSON, to be bound.
pub(crate) fn json(record: &impl Serialize) -> Value {
    Value::Json(serde_json::to_value(record).expect("BUG: a record is JSON"))
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(Some(number))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Integer(Some(number.into()))
    }
}

impl From<u8> for Value {
    fn from(number: u8) -> Self {
        Self::Integer(Some(number.into()))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Integer(number)
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Self::Integer(Some(time.as_millis()))
    }
}

impl From<Option<Timestamp>> for Value {
    fn from(time: Option<Timestamp>) -> Self {
        Self::Integer(time.map(Timestamp::as_millis))
    }
}

impl From<Duration> for Value {
    fn from(duration: Duration) -> Self {
        Self::Integer(Some(
            i64::try_from(duration.as_millis()).unwrap_or(i64::MAX),
        ))
    }
}

impl From<Option<Duration>> for Value {
    fn from(duration: Option<Duration>) -> Self {
        duration.map_or(Self::Integer(None), Self::from)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<&[u8; 32]> for Value {
    fn from(hash: &[u8; 32]) -> Self {
        Self::Bytes(Some(hash.to_vec()))
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Some(bytes))
    }
}

impl From<Option<[u8; 32]>> for Value {
    fn from(hash: Option<[u8; 32]>) -> Self {
        Self::Bytes(hash.map(Vec::from))
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Truth(truth)
    }
}

/// A statement and what is bound to its parameters.
#[derive(Debug)]
pub(crate) struct Query {
    sql: Sql,
    values: Vec<Value>,
}

pub(crate) fn query(sql: impl Into<Sql>) -> Query {
    Query {
        sql: sql.into(),
        values: Vec::new(),
    }
}

impl Query {
    /// Binds the next parameter.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Returns how many rows it changed.
    pub(crate) async fn execute(self, connection: &mut Connection<'_>) -> sqlx::Result<u64> {
        match connection {
            Connection::Sqlite(connection) => {
                let query = sqlx::query_with(self.sql.sqlite, sqlite_arguments(self.values)?);
                Ok(query.execute(&mut **connection).await?.rows_affected())
            }
            Connection::Postgres(connection) => {
                let query = sqlx::query_with(self.sql.postgres, postgres_arguments(self.values)?);
                Ok(query.execute(&mut **connection).await?.rows_affected())
            }
        }
    }

    pub(crate) async fn fetch_all<T: Record>(
        self,
        connection: &mut Connection<'_>,
    ) -> sqlx::Result<Vec<T>> {
        match connection {
            Connection::Sqlite(connection) => {
                sqlx::query_as_with(self.sql.sqlite, sqlite_arguments(self.values)?)
                    .fetch_all(&mut **connection)
                    .await
            }
            Connection::Postgres(connection) => {
                sqlx::query_as_with(self.sql.postgres, postgres_arguments(self.values)?)
                    .fetch_all(&mut **connection)
                    .await
            }
        }
    }

    pub(crate) async fn fetch_optional<T: Record>(
        self,
        connection: &mut Connection<'_>,
    ) -> sqlx::Result<Option<T>> {
        match connection {
            Connection::Sqlite(connection) => {
                sqlx::query_as_with(self.sql.sqlite, sqlite_arguments(self.values)?)
                    .fetch_optional(&mut **connection)
                    .await
            }
            Connection::Postgres(connection) => {
                sqlx::query_as_with(self.sql.postgres, postgres_arguments(self.values)?)
                    .fetch_optional(&mut **connection)
                    .await
            }
        }
    }

    /// Fails where there is no row.
    pub(crate) async fn fetch_one<T: Record>(
        self,
        connection: &mut Connection<'_>,
    ) -> sqlx::Result<T> {
        let row = self.fetch_optional(connection).await?;
        row.ok_or(sqlx::Error::RowNotFound)
    }
}

fn sqlite_arguments(values: Vec<Value>) -> sqlx::Result<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        let added = match value {
            Value::Integer(number) => arguments.add(number),
            Value::Truth(truth) => arguments.add(truth),
            Value::Text(text) => arguments.add(text),
            Value::Bytes(bytes) => arguments.add(bytes),
            Value::Json(json) => arguments.add(Json(json)),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// PostgreSQL keeps no NUL in a text, and there is no telling what a node or a client sends.
fn postgres_arguments(values: Vec<Value>) -> sqlx::Result<PgArguments> {
    let mut arguments = PgArguments::default();
    for value in values {
        let added = match value {
            Value::Integer(number) => arguments.add(number),
            Value::Truth(truth) => arguments.add(truth),
            Value::Text(text) => arguments.add(text.map(replace_nul)),
            Value::Bytes(bytes) => arguments.add(bytes),
            Value::Json(mut json) => {
                replace_nuls(&mut json);
                arguments.add(Json(json))
            }
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn replace_nul(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}

fn replace_nuls(json: &mut serde_json::Value) {
    match json {
        serde_json::Value::String(text) => *text = replace_nul(std::mem::take(text)),
        serde_json::Value::Array(items) => items.iter_mut().for_each(replace_nuls),
        serde_json::Value::Object(members) => members.values_mut().for_each(replace_nuls),
        _ => {}
    }
}
