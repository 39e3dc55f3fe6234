//! What whoever waits is told: how many are before them, and how long pictures took lately.

use std::collections::BTreeMap;

use tryon_core::{id::SampleId, time::Timestamp};

use super::statement::{Connection, Sql, query};
use crate::{
    matching::{self, Turns},
    record::{Inference, LONGEST_WAIT, QueueDepth},
    row::{InferenceRow, number, parse},
    store::StoreError,
};

/// Where a sample that waits has its place: its account's turn, and what that account has before it.
pub(crate) const FIND_PLACE: &str = "
    SELECT s.provider, s.account_id, t.turn, (SELECT COUNT(*) FROM (
        SELECT 1 FROM samples AS earlier
        WHERE earlier.provider = s.provider AND earlier.account_id = s.account_id
            AND earlier.due_at IS NOT NULL
            AND (earlier.created_at, earlier.job_id, earlier.idx) < (s.created_at, s.job_id, s.idx)
        LIMIT $3) AS counted) AS earlier
    FROM samples AS s
    JOIN turns AS t ON t.account_id = s.account_id AND t.provider = s.provider
    WHERE s.job_id = $1 AND s.idx = $2 AND s.due_at IS NOT NULL";

/// Whose turns come up to this one, and how much each has that waits. More accounts than are counted
/// have more before them.
pub(crate) const LIST_RIVALS: &str = "
    SELECT t.account_id, t.turn, (SELECT COUNT(*) FROM (
        SELECT 1 FROM samples AS s
        WHERE s.provider = t.provider AND s.account_id = t.account_id AND s.due_at IS NOT NULL
        LIMIT $3) AS counted) AS waiting
    FROM turns AS t
    WHERE t.provider = $1 AND t.due_at IS NOT NULL AND t.turn <= $2
    ORDER BY t.turn, t.account_id LIMIT $3";

/// It counts what waits, by an index of that alone.
pub(crate) const LIST_DEPTHS: &str = "
    SELECT provider, COUNT(*) AS waiting, MIN(created_at) AS oldest FROM samples
    WHERE due_at IS NOT NULL GROUP BY provider";

macro_rules! list_inferences {
    ($took:literal) => {
        concat!(
            "SELECT j.plan, ",
            $took,
            " AS took_ms
             FROM (
                SELECT id, plan FROM jobs
                WHERE state = 'completed' AND outputs_erased_at IS NULL
                ORDER BY ended_at + output_retention DESC LIMIT $1) AS j
             JOIN samples AS s ON s.job_id = j.id WHERE s.state = 'succeeded'"
        )
    };
}

/// What is kept longest from now on is what was made last, where all is kept for as long.
pub(crate) const LIST_INFERENCES: Sql = Sql {
    sqlite: list_inferences!("s.output ->> 'inference_ms'"),
    postgres: list_inferences!("(s.output ->> 'inference_ms')::bigint"),
};

pub(super) async fn count_ahead(
    connection: &mut Connection<'_>,
    samples: Vec<SampleId>,
) -> Result<BTreeMap<SampleId, u32>, StoreError> {
    let mut queues: BTreeMap<String, Vec<(SampleId, Turns)>> = BTreeMap::new();
    for sample in samples {
        if let Some((provider, own)) = find_place(connection, sample).await? {
            queues.entry(provider).or_default().push((sample, own));
        }
    }
    let mut ahead = BTreeMap::new();
    for (provider, waiting) in queues {
        let last = waiting.iter().map(|(_, own)| own.turn + own.waiting).max();
        let rivals = list_rivals(connection, provider, last.unwrap_or_default()).await?;
        for (sample, own) in waiting {
            let count = matching::count_ahead(&own, &rivals).min(LONGEST_WAIT.into());
            ahead.insert(sample, number("samples", count)?);
        }
    }
    Ok(ahead)
}

/// The provider that a sample waits for, and what its own account has there before it.
async fn find_place(
    connection: &mut Connection<'_>,
    sample: SampleId,
) -> Result<Option<(String, Turns)>, StoreError> {
    let place: Option<(String, String, i64, i64)> = query(FIND_PLACE)
        .bind(sample.job.to_string())
        .bind(sample.index)
        .bind(LONGEST_WAIT)
        .fetch_optional(connection)
        .await?;
    Ok(place.map(|(provider, account, turn, waiting)| {
        let own = Turns {
            account,
            turn,
            waiting,
        };
        (provider, own)
    }))
}

async fn list_rivals(
    connection: &mut Connection<'_>,
    provider: String,
    last: i64,
) -> Result<Vec<Turns>, StoreError> {
    let rivals: Vec<(String, i64, i64)> = query(LIST_RIVALS)
        .bind(provider)
        .bind(last)
        .bind(LONGEST_WAIT)
        .fetch_all(connection)
        .await?;
    let rivals = rivals.into_iter().map(|(account, turn, waiting)| Turns {
        account,
        turn,
        waiting,
    });
    Ok(rivals.collect())
}

pub(super) async fn list_depths(
    connection: &mut Connection<'_>,
) -> Result<Vec<QueueDepth>, StoreError> {
    let rows: Vec<(String, i64, i64)> = query(LIST_DEPTHS).fetch_all(connection).await?;
    let depth = |(provider, waiting, oldest): (String, i64, i64)| {
        Ok(QueueDepth {
            provider: parse("samples.provider", &provider)?,
            waiting: number("samples", waiting)?,
            oldest: Timestamp::from_millis(oldest),
        })
    };
    rows.into_iter().map(depth).collect()
}

pub(super) async fn list_inferences(
    connection: &mut Connection<'_>,
    limit: u32,
) -> Result<Vec<Inference>, StoreError> {
    let list = query(LIST_INFERENCES).bind(limit);
    let rows: Vec<InferenceRow> = list.fetch_all(connection).await?;
    rows.into_iter().map(Inference::try_from).collect()
}
