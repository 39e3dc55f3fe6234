//! Nodes that make themselves known.

use tryon_core::time::Timestamp;

use super::statement::{Connection, Sql, query};
use crate::{
    record::{NodeSpec, Registered, SweptNodes},
    store::StoreError,
};

/// What nearly every call is: one statement.
const RENEW: &str = "
    UPDATE nodes SET registered_until = $3, seen_at = $4
    WHERE name = $1 AND url = $2 AND registered_until > $4";

/// A name is given away once whoever had it was not heard of. Where it is not, the row is locked
/// all the same, so that what is then read of it holds.
const JOIN: &str = "
    INSERT INTO nodes (name, url, registered_until, seen_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (name) DO UPDATE SET url = excluded.url, state = 'unknown', providers = '[]',
        pace = CASE nodes.url WHEN excluded.url THEN nodes.pace ELSE 0 END,
        registered_until = excluded.registered_until, seen_at = excluded.seen_at
    WHERE nodes.registered_until <= excluded.seen_at";

const HOLDER: &str = "SELECT url, registered_until FROM nodes WHERE name = $1";

/// It is kept for a while, with what an operator said of it: most nodes come again.
const LEAVE: &str = "
    UPDATE nodes SET registered_until = $2, state = 'unreachable', providers = '[]'
    WHERE name = $1 AND registered_until > $2 AND ($3 IS NULL OR url = $3)";

pub(crate) const COUNT_LAPSED: &str = "
    SELECT COUNT(*) FROM nodes
    WHERE registered_until <= $1
        AND (state <> 'unreachable' OR (registered_until <= $2 AND attempt IS NULL))";

/// Whoever claims work locks several nodes, in another order: those are passed over until the next
/// sweep.
macro_rules! lapsed {
    ($do:literal, $which:literal, $lock:literal) => {
        concat!(
            $do,
            " WHERE name IN (SELECT name FROM nodes WHERE registered_until <= $1 AND ",
            $which,
            $lock,
            ") RETURNING name"
        )
    };
}

macro_rules! lapsed_in_both {
    ($do:literal, $which:literal) => {
        Sql {
            sqlite: lapsed!($do, $which, ""),
            postgres: lapsed!($do, $which, " FOR UPDATE SKIP LOCKED"),
        }
    };
}

pub(crate) const LOSE: Sql = lapsed_in_both!(
    "UPDATE nodes SET state = 'unreachable', providers = '[]'",
    "state <> 'unreachable'"
);

pub(crate) const FORGET: Sql = lapsed_in_both!("DELETE FROM nodes", "attempt IS NULL");

pub(super) async fn register(
    connection: &mut Connection<'_>,
    node: NodeSpec,
    until: Timestamp,
    now: Timestamp,
) -> Result<Registered, StoreError> {
    for (statement, outcome) in [(RENEW, Registered::Renewed), (JOIN, Registered::Joined)] {
        let done = query(statement)
            .bind(node.name.as_str())
            .bind(node.url.as_str())
            .bind(until)
            .bind(now)
            .execute(connection)
            .await?;
        if done == 1 {
            return Ok(outcome);
        }
    }
    let holder = query(HOLDER).bind(node.name.as_str());
    let (url, until): (String, Option<i64>) = holder.fetch_one(connection).await?;
    Ok(match until {
        _ if url != node.url => Registered::Taken { url },
        None => Registered::Listed,
        // It was registered by two calls at once.
        Some(_) => Registered::Renewed,
    })
}

/// False when it was not known, or not at this address.
pub(super) async fn leave(
    connection: &mut Connection<'_>,
    name: String,
    url: Option<String>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let leave = query(LEAVE).bind(name).bind(now).bind(url);
    Ok(leave.execute(connection).await? == 1)
}

/// Whether there is something to sweep: there seldom is, and looking locks nothing.
pub(super) async fn has_lapsed(
    connection: &mut Connection<'_>,
    now: Timestamp,
    forgotten_before: Timestamp,
) -> Result<bool, StoreError> {
    let count = query(COUNT_LAPSED).bind(now).bind(forgotten_before);
    let (count,): (i64,) = count.fetch_one(connection).await?;
    Ok(count > 0)
}

pub(super) async fn sweep(
    connection: &mut Connection<'_>,
    now: Timestamp,
    forgotten_before: Timestamp,
) -> Result<SweptNodes, StoreError> {
    let lost = names(connection, LOSE, now).await?;
    let forgotten = names(connection, FORGET, forgotten_before).await?;
    Ok(SweptNodes { lost, forgotten })
}

async fn names(
    connection: &mut Connection<'_>,
    statement: Sql,
    before: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let rows: Vec<(String,)> = query(statement).bind(before).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}
