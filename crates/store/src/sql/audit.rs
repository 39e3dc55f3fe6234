//! Checking what the schema and the code are there to ensure.
//!
//! The statements read the rows and nothing that was derived from them, so that they also find
//! what a broken build or a hand with a database shell did.

use super::statement::{Connection, query};
use crate::{
    record::Violation,
    row::{number, parse},
    store::StoreError,
};

const SUM: &str = "
    SELECT a.id FROM accounts AS a LEFT JOIN ledger AS l ON l.account_id = a.id
    GROUP BY a.id
    HAVING a.subscription <> COALESCE(SUM(l.subscription), 0)
        OR a.purchased <> COALESCE(SUM(l.purchased), 0)
        OR a.reserved <> COALESCE(SUM(l.reserved), 0)
    ORDER BY a.id";

const OVERDRAWN: &str = "
    SELECT id FROM accounts
    WHERE subscription < 0 OR purchased < 0 OR reserved < 0
        OR subscription + purchased < reserved
    ORDER BY id";

const RESERVED: &str = "
    SELECT a.id FROM accounts AS a
    LEFT JOIN jobs AS j ON j.account_id = a.id AND j.state NOT IN ('completed', 'failed')
    GROUP BY a.id
    HAVING a.reserved <> COALESCE(SUM(j.price), 0)
    ORDER BY a.id";

const OPEN_JOBS: &str = "
    SELECT a.id FROM accounts AS a
    LEFT JOIN jobs AS j ON j.account_id = a.id AND j.state NOT IN ('completed', 'failed')
    GROUP BY a.id
    HAVING a.open_jobs <> COUNT(j.id)
    ORDER BY a.id";

const SETTLEMENTS: &str = "
    SELECT j.id, COUNT(l.id) FROM jobs AS j
    LEFT JOIN ledger AS l ON l.job_id = j.id AND l.kind IN ('capture', 'release')
    GROUP BY j.id
    HAVING COUNT(l.id) <> CASE WHEN j.state IN ('completed', 'failed') THEN 1 ELSE 0 END
    ORDER BY j.id";

const CAPTURED: &str = "
    SELECT id, captured, delivered FROM (
        SELECT j.id,
            (SELECT CAST(-COALESCE(SUM(l.subscription + l.purchased), 0) AS BIGINT)
                FROM ledger AS l
                WHERE l.job_id = j.id AND l.kind IN ('capture', 'release')) AS captured,
            (SELECT COUNT(*) FROM samples AS s
                WHERE s.job_id = j.id AND s.state = 'succeeded') AS delivered
        FROM jobs AS j WHERE j.state IN ('completed', 'failed')) AS ended
    WHERE captured <> delivered
    ORDER BY id";

/// A message that was forgotten took the job's address with it.
const UNTOLD: &str = "
    SELECT j.id FROM jobs AS j LEFT JOIN webhooks AS w ON w.job_id = j.id
    WHERE CASE WHEN j.state IN ('completed', 'failed')
        THEN j.webhook_url IS NOT NULL AND w.job_id IS NULL
        ELSE w.job_id IS NOT NULL END
    ORDER BY j.id";

pub(super) async fn audit(connection: &mut Connection<'_>) -> Result<Vec<Violation>, StoreError> {
    let mut found = Vec::new();
    let accounts: [(&'static str, AccountViolation); 4] = [
        (SUM, |account| Violation::Sum { account }),
        (OVERDRAWN, |account| Violation::Overdrawn { account }),
        (RESERVED, |account| Violation::Reserved { account }),
        (OPEN_JOBS, |account| Violation::OpenJobs { account }),
    ];
    for (sql, violation) in accounts {
        found.extend(list_accounts(connection, sql, violation).await?);
    }
    found.extend(list_settlements(connection).await?);
    found.extend(list_captured(connection).await?);
    found.extend(list_untold(connection).await?);
    Ok(found)
}

type AccountViolation = fn(tryon_core::id::AccountId) -> Violation;

async fn list_accounts(
    connection: &mut Connection<'_>,
    sql: &'static str,
    violation: AccountViolation,
) -> Result<Vec<Violation>, StoreError> {
    let ids: Vec<(String,)> = query(sql).fetch_all(connection).await?;
    ids.iter()
        .map(|(id,)| Ok(violation(parse("accounts.id", id)?)))
        .collect()
}

async fn list_settlements(connection: &mut Connection<'_>) -> Result<Vec<Violation>, StoreError> {
    let rows: Vec<(String, i64)> = query(SETTLEMENTS).fetch_all(connection).await?;
    let violation = |(id, count): (String, i64)| {
        Ok(Violation::Settlements {
            job: parse("jobs.id", &id)?,
            count: number("ledger.id", count)?,
        })
    };
    rows.into_iter().map(violation).collect()
}

async fn list_captured(connection: &mut Connection<'_>) -> Result<Vec<Violation>, StoreError> {
    let rows: Vec<(String, i64, i64)> = query(CAPTURED).fetch_all(connection).await?;
    let violation = |(id, captured, delivered): (String, i64, i64)| {
        Ok(Violation::Captured {
            job: parse("jobs.id", &id)?,
            captured,
            delivered: number("samples.idx", delivered)?,
        })
    };
    rows.into_iter().map(violation).collect()
}

async fn list_untold(connection: &mut Connection<'_>) -> Result<Vec<Violation>, StoreError> {
    let ids: Vec<(String,)> = query(UNTOLD).fetch_all(connection).await?;
    let untold = |(id,): &(String,)| {
        let job = parse("jobs.id", id)?;
        Ok(Violation::Untold { job })
    };
    ids.iter().map(untold).collect()
}
