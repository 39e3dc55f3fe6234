//! Nodes.

use sqlx::{SqliteConnection, SqlitePool, types::Json};
use tryon_core::{id::AttemptId, task::Provider, time::Timestamp};

use crate::{
    record::{Node, NodeSpec, NodeState},
    row::{NodeRow, number},
    store::StoreError,
};

/// A node that moved to another address is another machine.
const UPSERT: &str = "
    INSERT INTO nodes (name, url) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET url = excluded.url, state = 'unknown'
    WHERE nodes.url <> excluded.url";

const NAMES: &str = "SELECT name FROM nodes";

const REMOVE: &str = "DELETE FROM nodes WHERE name = $1";

const LIST: &str = "
    SELECT name, url, state, providers, attempt, hold_until, faults FROM nodes ORDER BY name";

const SET_STATE: &str = "
    UPDATE nodes SET state = $2, providers = $3 WHERE name = $1";

const HOLD: &str = "UPDATE nodes SET hold_until = $2 WHERE name = $1";

const COUNT_FAULT: &str = "
    UPDATE nodes SET faults = faults + 1 WHERE name = $1 RETURNING faults";

const CLEAR_FAULTS: &str = "UPDATE nodes SET faults = 0 WHERE name = $1 AND faults > 0";

const ASSIGN: &str = "
    UPDATE nodes SET attempt = $2, assigned_at = $3 WHERE name = $1 AND attempt IS NULL";

const FREE: &str = "UPDATE nodes SET attempt = NULL WHERE attempt = $1";

pub(super) async fn sync(
    connection: &mut SqliteConnection,
    specs: Vec<NodeSpec>,
) -> Result<(), StoreError> {
    let known: Vec<String> = sqlx::query_scalar(NAMES)
        .fetch_all(&mut *connection)
        .await?;
    let is_configured = |name: &String| specs.iter().any(|spec| spec.name == *name);
    for name in known.iter().filter(|name| !is_configured(name)) {
        sqlx::query(REMOVE)
            .bind(name)
            .execute(&mut *connection)
            .await?;
    }
    for NodeSpec { name, url } in &specs {
        sqlx::query(UPSERT)
            .bind(name)
            .bind(url)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

pub(super) async fn list(pool: &SqlitePool) -> Result<Vec<Node>, StoreError> {
    let rows: Vec<NodeRow> = sqlx::query_as(LIST).fetch_all(pool).await?;
    rows.into_iter().map(Node::try_from).collect()
}

pub(super) async fn set_state(
    connection: &mut SqliteConnection,
    name: String,
    state: NodeState,
    providers: Vec<Provider>,
) -> Result<(), StoreError> {
    sqlx::query(SET_STATE)
        .bind(name)
        .bind(state.as_str())
        .bind(Json(providers))
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn hold(
    connection: &mut SqliteConnection,
    name: String,
    until: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(HOLD)
        .bind(name)
        .bind(until.as_millis())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn count_fault(
    connection: &mut SqliteConnection,
    name: String,
) -> Result<u32, StoreError> {
    let faults: Option<i64> = sqlx::query_scalar(COUNT_FAULT)
        .bind(name)
        .fetch_optional(connection)
        .await?;
    number("nodes.faults", faults.unwrap_or(0))
}

pub(super) async fn clear_faults(
    connection: &mut SqliteConnection,
    name: String,
) -> Result<(), StoreError> {
    sqlx::query(CLEAR_FAULTS)
        .bind(name)
        .execute(connection)
        .await?;
    Ok(())
}

/// Marks an idle node. False when it is not idle any more.
pub(super) async fn assign(
    connection: &mut SqliteConnection,
    name: &str,
    attempt: AttemptId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query(ASSIGN)
        .bind(name)
        .bind(attempt.to_string())
        .bind(now.as_millis())
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The node that works on this attempt, if one does, is idle again.
pub(super) async fn free(
    connection: &mut SqliteConnection,
    attempt: AttemptId,
) -> Result<(), StoreError> {
    sqlx::query(FREE)
        .bind(attempt.to_string())
        .execute(connection)
        .await?;
    Ok(())
}
