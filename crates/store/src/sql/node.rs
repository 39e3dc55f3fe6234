//! Nodes.

use tryon_core::{id::AttemptId, task::Provider, time::Timestamp};

use super::statement::{Connection, json, query};
use crate::{
    matching,
    record::{Assignment, Node, NodeSpec, NodeState},
    row::{NodeRow, number},
    store::StoreError,
};

/// A node that moved to another address is another machine. One that had registered is listed from
/// now on.
const UPSERT: &str = "
    INSERT INTO nodes (name, url) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET url = excluded.url, seen_at = NULL, registered_until = NULL,
        state = CASE nodes.url WHEN excluded.url THEN nodes.state ELSE 'unknown' END,
        pace = CASE nodes.url WHEN excluded.url THEN nodes.pace ELSE 0 END
    WHERE nodes.url <> excluded.url OR nodes.registered_until IS NOT NULL";

/// In order, as the insertions below are: two gateways that start at once do not block each other.
const NAMES: &str = "SELECT name FROM nodes WHERE registered_until IS NULL ORDER BY name";

const REMOVE: &str = "DELETE FROM nodes WHERE name = $1";

macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT name, url, state, providers, attempt, hold_until, faults, drained, seen_at,
                registered_until
             FROM nodes ",
            $which
        )
    };
}

const LIST: &str = select!("ORDER BY name");

pub(crate) const FIND: &str = select!("WHERE name = $1");

pub(crate) const FIND_AT_WORK: &str = select!("WHERE attempt = $1");

const SET_STATE: &str = "
    UPDATE nodes SET state = $2, providers = $3 WHERE name = $1";

const HOLD: &str = "UPDATE nodes SET hold_until = $2 WHERE name = $1";

const COUNT_FAULT: &str = "
    UPDATE nodes SET faults = faults + 1 WHERE name = $1 RETURNING faults";

const CLEAR_FAULTS: &str = "UPDATE nodes SET faults = 0 WHERE name = $1 AND faults > 0";

const DRAIN: &str = "UPDATE nodes SET drained = TRUE WHERE name = $1";

const RESUME: &str = "UPDATE nodes SET drained = FALSE WHERE name = $1";

const ASSIGN: &str = "
    UPDATE nodes SET attempt = $2, assigned_at = $3, steps = $4
    WHERE name = $1 AND attempt IS NULL AND NOT drained";

const FREE: &str = "UPDATE nodes SET attempt = NULL, steps = 0 WHERE attempt = $1";

const FIND_STEPS: &str = "SELECT steps FROM nodes WHERE attempt = $1 AND steps > 0";

/// A step towards what was measured: a few pictures show that a machine became slow, one does not.
const FINISH: &str = "
    UPDATE nodes SET attempt = NULL, steps = 0, pace = CASE
        WHEN pace = 0 THEN $2 WHEN pace < $2 THEN pace + 1 WHEN pace > $2 THEN pace - 1
        ELSE pace END
    WHERE attempt = $1";

pub(super) async fn sync(
    connection: &mut Connection<'_>,
    mut specs: Vec<NodeSpec>,
) -> Result<(), StoreError> {
    specs.sort_by(|a, b| a.name.cmp(&b.name));
    let known: Vec<(String,)> = query(NAMES).fetch_all(connection).await?;
    let is_configured = |name: &String| specs.iter().any(|spec| spec.name == *name);
    for (name,) in known.iter().filter(|(name,)| !is_configured(name)) {
        query(REMOVE)
            .bind(name.as_str())
            .execute(connection)
            .await?;
    }
    for NodeSpec { name, url } in &specs {
        query(UPSERT)
            .bind(name.as_str())
            .bind(url.as_str())
            .execute(connection)
            .await?;
    }
    Ok(())
}

pub(super) async fn list(connection: &mut Connection<'_>) -> Result<Vec<Node>, StoreError> {
    let rows: Vec<NodeRow> = query(LIST).fetch_all(connection).await?;
    rows.into_iter().map(Node::try_from).collect()
}

pub(super) async fn find(
    connection: &mut Connection<'_>,
    name: String,
) -> Result<Option<Node>, StoreError> {
    let row: Option<NodeRow> = query(FIND).bind(name).fetch_optional(connection).await?;
    row.map(Node::try_from).transpose()
}

pub(super) async fn find_at_work(
    connection: &mut Connection<'_>,
    attempt: AttemptId,
) -> Result<Option<Node>, StoreError> {
    let find = query(FIND_AT_WORK).bind(attempt.to_string());
    let row: Option<NodeRow> = find.fetch_optional(connection).await?;
    row.map(Node::try_from).transpose()
}

pub(super) async fn set_state(
    connection: &mut Connection<'_>,
    name: String,
    state: NodeState,
    providers: Vec<Provider>,
) -> Result<(), StoreError> {
    query(SET_STATE)
        .bind(name)
        .bind(state.as_str())
        .bind(json(&providers))
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn hold(
    connection: &mut Connection<'_>,
    name: String,
    until: Timestamp,
) -> Result<(), StoreError> {
    query(HOLD)
        .bind(name)
        .bind(until)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn count_fault(
    connection: &mut Connection<'_>,
    name: String,
) -> Result<u32, StoreError> {
    let faults: Option<(i64,)> = query(COUNT_FAULT)
        .bind(name)
        .fetch_optional(connection)
        .await?;
    number("nodes.faults", faults.map_or(0, |(faults,)| faults))
}

pub(super) async fn clear_faults(
    connection: &mut Connection<'_>,
    name: String,
) -> Result<(), StoreError> {
    query(CLEAR_FAULTS).bind(name).execute(connection).await?;
    Ok(())
}

/// False when there is no such node.
pub(super) async fn set_drained(
    connection: &mut Connection<'_>,
    name: String,
    drained: bool,
) -> Result<bool, StoreError> {
    let statement = if drained { DRAIN } else { RESUME };
    let done = query(statement).bind(name).execute(connection).await?;
    Ok(done == 1)
}

/// Marks an idle node. False when it is not idle any more.
pub(super) async fn assign(
    connection: &mut Connection<'_>,
    assignment: &Assignment,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = query(ASSIGN)
        .bind(assignment.node.as_str())
        .bind(assignment.attempt.to_string())
        .bind(now)
        .bind(assignment.plan.steps.max(1))
        .execute(connection)
        .await?;
    Ok(done == 1)
}

/// The node that works on this attempt, if one does, is idle again.
pub(super) async fn free(
    connection: &mut Connection<'_>,
    attempt: AttemptId,
) -> Result<(), StoreError> {
    query(FREE)
        .bind(attempt.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// The node that made this attempt's picture is idle again, and how long it took is known.
pub(super) async fn finish(
    connection: &mut Connection<'_>,
    attempt: AttemptId,
    inference_ms: u64,
) -> Result<(), StoreError> {
    let steps: Option<(i64,)> = query(FIND_STEPS)
        .bind(attempt.to_string())
        .fetch_optional(connection)
        .await?;
    let Some((steps,)) = steps else {
        return free(connection, attempt).await;
    };
    let steps = number("nodes.steps", steps)?;
    query(FINISH)
        .bind(attempt.to_string())
        .bind(matching::pace(inference_ms, steps))
        .execute(connection)
        .await?;
    Ok(())
}
