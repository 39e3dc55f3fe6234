//! What a benchmark needs to know of a database, and to have in it.

use sqlx::{PgPool, Row as _};
use tryon_core::id::JobId;

use super::PostgresStore;
use crate::{sql::transaction::Pools, store::StoreError};

/// Jobs that are copied by one statement, which has to end within the time that one has.
const CHUNK: u64 = 10_000;

/// Copies of a job's row, which differ in their ids and are each a millisecond older than the one
/// before. Whatever columns there are, they are those of the first.
const COPY_JOB: &str = "
    INSERT INTO jobs
    SELECT (jsonb_populate_record(j, jsonb_build_object(
        'id', 'ffff' || lpad(to_hex(n), 20, '0'),
        'created_at', j.created_at - n, 'ended_at', j.ended_at - n))).*
    FROM jobs AS j, generate_series($2::BIGINT, $3::BIGINT) AS n WHERE j.id = $1";

const COPY_SAMPLES: &str = "
    INSERT INTO samples
    SELECT (jsonb_populate_record(s, jsonb_build_object(
        'job_id', 'ffff' || lpad(to_hex(n), 20, '0'), 'created_at', s.created_at - n))).*
    FROM samples AS s, generate_series($2::BIGINT, $3::BIGINT) AS n WHERE s.job_id = $1";

const COPY_LEDGER: &str = "
    INSERT INTO ledger (account_id, job_id, kind, subscription, purchased, reserved, created_at)
    SELECT account_id, 'ffff' || lpad(to_hex(n), 20, '0'), kind, subscription, purchased,
        reserved, l.created_at - n
    FROM ledger AS l, generate_series($2::BIGINT, $3::BIGINT) AS n WHERE l.job_id = $1
    ORDER BY l.id";

/// The account has paid for the copies too.
const PAY: &str = "
    UPDATE accounts SET purchased = purchased - ($3::BIGINT - $2::BIGINT + 1) * j.price
    FROM jobs AS j WHERE j.id = $1 AND accounts.id = j.account_id";

const LOAD: &str = "
    SELECT xact_commit + xact_rollback AS transactions, tup_returned + tup_fetched AS rows,
        blks_hit + blks_read AS blocks
    FROM pg_stat_database WHERE datname = current_database()";

const BACKENDS: &str = "
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'";

/// What a database has done since its figures began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Transactions that ended.
    pub transactions: i64,
    /// Rows and index entries that were read.
    pub rows: i64,
    /// Blocks of 8 KiB that were looked at, in memory or not.
    pub blocks: i64,
}

/// For benchmarks, on a database of their own.
impl PostgresStore {
    /// How many jobs there are.
    pub async fn count_jobs(&self) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs")
            .fetch_one(self.pool())
            .await?;
        Ok(count.unsigned_abs())
    }

    /// Whether a job has ended and its inputs are gone, so that nothing is left to be done of it.
    pub async fn is_done(&self, job: JobId) -> Result<bool, StoreError> {
        let done = "SELECT inputs_erased_at IS NOT NULL FROM jobs WHERE id = $1";
        let done: Option<bool> = sqlx::query_scalar(done)
            .bind(job.to_string())
            .fetch_optional(self.pool())
            .await?;
        Ok(done == Some(true))
    }

    /// Writes copies of a job that is done, numbered from `first` to `last`, with its samples and
    /// what it cost, as if they had ended before it. The books stay right.
    pub async fn copy_job(&self, job: JobId, first: u64, last: u64) -> Result<(), StoreError> {
        let mut from = first;
        while from <= last {
            let to = last.min(from + CHUNK - 1);
            let mut transaction = self.pool().begin().await?;
            for statement in [COPY_JOB, COPY_SAMPLES, COPY_LEDGER, PAY] {
                sqlx::query(statement)
                    .bind(job.to_string())
                    .bind(i64::try_from(from).unwrap_or(i64::MAX))
                    .bind(i64::try_from(to).unwrap_or(i64::MAX))
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await?;
            from = to + 1;
        }
        // What the server would find out by itself, later.
        for table in ["ANALYZE jobs", "ANALYZE samples", "ANALYZE ledger"] {
            sqlx::query(table).execute(self.pool()).await?;
        }
        Ok(())
    }

    /// What the database has done so far. Its sessions tell that within a second or so after.
    pub async fn read_load(&self) -> Result<Load, StoreError> {
        let row = sqlx::query(LOAD).fetch_one(self.pool()).await?;
        Ok(Load {
            transactions: row.try_get("transactions")?,
            rows: row.try_get("rows")?,
            blocks: row.try_get("blocks")?,
        })
    }

    /// The server's processes that serve this database.
    pub async fn list_backends(&self) -> Result<Vec<i32>, StoreError> {
        Ok(sqlx::query_scalar(BACKENDS).fetch_all(self.pool()).await?)
    }

    fn pool(&self) -> &PgPool {
        match &self.pools {
            Pools::Postgres(pool) => pool,
            Pools::Sqlite { .. } => unreachable!("BUG: this store is on PostgreSQL"),
        }
    }
}
