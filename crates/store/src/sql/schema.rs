//! The schema's history.

use sqlx::migrate::{Migration, MigrationType, Migrator};

use crate::store::StoreError;

/// The migrations of a database: a number, a name and the statements. One is never changed once
/// it was released: add one.
pub(crate) type Migrations = &'static [(i64, &'static str, &'static str)];

/// The last migration that this program knows.
pub(crate) fn known_version(migrations: Migrations) -> i64 {
    let versions = migrations.iter().map(|(version, ..)| *version);
    versions.max().unwrap_or(0)
}

/// Whether a database that was opened to read is of the version that this program knows.
pub(crate) fn check_version(migrations: Migrations, found: i64) -> Result<(), StoreError> {
    let known = known_version(migrations);
    if found == known {
        return Ok(());
    }
    Err(StoreError::OtherSchema { found, known })
}

/// What brings a database up to date.
pub(crate) fn migrator(migrations: Migrations) -> Migrator {
    let migrations = migrations.iter().map(|&(version, description, sql)| {
        let sql = sqlx::SqlSafeStr::into_sql_str(sql);
        Migration::new(
            version,
            description.into(),
            MigrationType::Simple,
            sql,
            false,
        )
    });
    Migrator::with_migrations(migrations.collect())
}
