//! Forgetting what there is of a job or of an end user, and what is kept to show that it was done.
//!
//! Rows are locked in one order: jobs, then the erasure.

use std::collections::{BTreeMap, BTreeSet};

use tryon_core::{
    id::{ErasureId, JobId},
    time::Timestamp,
};

use super::{
    job,
    statement::{Connection, Sql, json, query},
    webhook,
};
use crate::{
    record::{Erasure, NewErasure, Pair, Source, Subject},
    row::{ErasableRow, ErasureRow, parse},
    store::StoreError,
};

const ERASURE_OF_JOB: &str = "SELECT erasure_id FROM jobs WHERE id = $1 AND account_id = $2";

const ERASURE_OF_END_USER: &str = "
    SELECT id FROM erasures WHERE account_id = $1 AND end_user = $2";

const BEGIN: &str = "
    INSERT INTO erasures (id, account_id, job_id, end_user, requested_at, due_at)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (account_id, end_user) WHERE end_user IS NOT NULL DO NOTHING";

const MARK_JOB: &str = "UPDATE jobs SET erasure_id = $2 WHERE id = $1";

const FIND_SUBJECT: &str = "SELECT account_id, end_user FROM erasures WHERE id = $1";

/// A job that has an erasure of its own keeps it.
pub(crate) const CLAIM_OF_END_USER: &str = "
    UPDATE jobs SET erasure_id = COALESCE(erasure_id, $1) WHERE id IN (
        SELECT id FROM jobs WHERE account_id = $2 AND end_user = $3 ORDER BY id LIMIT $4)
    RETURNING id";

pub(crate) const LIST_CLAIMED: &str = "
    SELECT id FROM jobs WHERE erasure_id = $1 AND erased_at IS NULL ORDER BY id LIMIT $2";

const LEASE: &str = "UPDATE erasures SET due_at = $2 WHERE id = $1 AND finished_at IS NULL";

const FIND_ERASABLE: &str = "
    SELECT erasure_id, request, sources, pictures FROM jobs
    WHERE id = $1 AND erasure_id IS NOT NULL AND erased_at IS NULL";

const NOTE: &str = "UPDATE jobs SET pictures = $2 WHERE id = $1";

const HAS_ENDED: &str = "SELECT COUNT(*) FROM jobs WHERE id = $1 AND ended_at IS NOT NULL";

/// An error keeps its kind: the schema knows no failure without one.
const FORGET_JOB: &str = "
    UPDATE jobs SET request = $2, sources = $3, end_user = NULL, webhook_url = NULL,
        trace = NULL, erased_at = $4,
        error_message = CASE WHEN error_message IS NULL THEN NULL ELSE 'the job was erased' END,
        inputs_erased_at = COALESCE(inputs_erased_at, $4),
        outputs_erased_at = COALESCE(outputs_erased_at, $4)
    WHERE id = $1";

/// A sample that succeeded goes on to have an output, of which nothing is said.
const FORGET_SAMPLES: &str = "
    UPDATE samples SET
        output = CASE WHEN output IS NULL THEN NULL ELSE $2 END,
        error_message = CASE WHEN error_message IS NULL THEN NULL ELSE 'the job was erased' END
    WHERE job_id = $1";

pub(crate) const FORGET_NAME: &str = "DELETE FROM idempotency_keys WHERE job_id = $1";

/// With it goes what is logged of its tries. That its address is gone is found out anew.
pub(crate) const FORGET_WEBHOOK: &str = "DELETE FROM webhooks WHERE job_id = $1";

const COUNT: &str = "UPDATE erasures SET jobs = jobs + 1, pictures = $2 WHERE id = $1";

pub(crate) const FINISH: &str = "
    UPDATE erasures SET finished_at = $2, due_at = $3, end_user = NULL
    WHERE id = $1 AND finished_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM jobs WHERE erasure_id = $1 AND erased_at IS NULL)
        AND NOT EXISTS (
            SELECT 1 FROM jobs AS j
            WHERE j.account_id = erasures.account_id AND j.end_user = erasures.end_user)";

const CLOSE: &str = "
    UPDATE erasures SET due_at = NULL WHERE id = $1 AND finished_at IS NOT NULL";

macro_rules! find_erasures {
    ($rest:literal) => {
        concat!(
            "SELECT id, account_id, job_id, requested_at, finished_at, jobs, pictures
             FROM erasures WHERE ",
            $rest
        )
    };
}

const FIND: &str = find_erasures!("id = $1");

const LOCK: Sql = Sql {
    sqlite: FIND,
    postgres: find_erasures!("id = $1 FOR UPDATE"),
};

pub(crate) const LIST_DUE: &str = find_erasures!("due_at <= $1 ORDER BY due_at, id LIMIT $2");

pub(crate) const LIST_ERASED: &str = "
    SELECT id FROM jobs WHERE erasure_id = $1 AND id > $2 ORDER BY id LIMIT $3";

pub(super) async fn begin(
    connection: &mut Connection<'_>,
    new: NewErasure,
    due_at: Timestamp,
    now: Timestamp,
) -> Result<Option<ErasureId>, StoreError> {
    match new.subject {
        Subject::Job(job) => begin_of_job(connection, new, job, (due_at, now)).await,
        Subject::EndUser(end_user) => {
            insert(connection, new, (due_at, now)).await?;
            let (id,): (String,) = query(ERASURE_OF_END_USER)
                .bind(new.account.to_string())
                .bind(&end_user)
                .fetch_one(connection)
                .await?;
            parse("erasures.id", &id).map(Some)
        }
    }
}

async fn begin_of_job(
    connection: &mut Connection<'_>,
    new: NewErasure,
    job: JobId,
    times: (Timestamp, Timestamp),
) -> Result<Option<ErasureId>, StoreError> {
    job::lock(connection, job).await?;
    let known: Option<(Option<String>,)> = query(ERASURE_OF_JOB)
        .bind(job.to_string())
        .bind(new.account.to_string())
        .fetch_optional(connection)
        .await?;
    match known {
        None => return Ok(None),
        Some((Some(id),)) => return parse("jobs.erasure_id", &id).map(Some),
        Some((None,)) => {}
    }
    insert(connection, new, times).await?;
    query(MARK_JOB)
        .bind(job.to_string())
        .bind(new.id.to_string())
        .execute(connection)
        .await?;
    Ok(Some(new.id))
}

async fn insert(
    connection: &mut Connection<'_>,
    new: NewErasure,
    (due_at, now): (Timestamp, Timestamp),
) -> Result<(), StoreError> {
    let (job, end_user) = match new.subject {
        Subject::Job(job) => (Some(job.to_string()), None),
        Subject::EndUser(end_user) => (None, Some(end_user)),
    };
    query(BEGIN)
        .bind(new.id.to_string())
        .bind(new.account.to_string())
        .bind(job)
        .bind(end_user)
        .bind(now)
        .bind(due_at)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn claim(
    connection: &mut Connection<'_>,
    id: ErasureId,
    limit: u32,
    due_at: Timestamp,
) -> Result<Vec<JobId>, StoreError> {
    let subject: Option<(String, Option<Vec<u8>>)> = query(FIND_SUBJECT)
        .bind(id.to_string())
        .fetch_optional(connection)
        .await?;
    let Some((account, end_user)) = subject else {
        return Ok(Vec::new());
    };
    let claim = match end_user {
        Some(end_user) => query(CLAIM_OF_END_USER)
            .bind(id.to_string())
            .bind(account)
            .bind(end_user),
        None => query(LIST_CLAIMED).bind(id.to_string()),
    };
    let jobs: Vec<(String,)> = claim.bind(limit).fetch_all(connection).await?;
    let lease = query(LEASE).bind(id.to_string()).bind(due_at);
    lease.execute(connection).await?;
    jobs.iter().map(|(id,)| parse("jobs.id", id)).collect()
}

pub(super) async fn note_pictures(
    connection: &mut Connection<'_>,
    job: JobId,
    keys: Vec<String>,
) -> Result<(), StoreError> {
    job::lock(connection, job).await?;
    let Some(found) = find_erasable(connection, job).await? else {
        return Ok(());
    };
    let known = found.pictures.unwrap_or_default();
    let all: BTreeSet<String> = known.into_iter().chain(keys).collect();
    let note = query(NOTE).bind(job.to_string()).bind(json(&all));
    note.execute(connection).await?;
    Ok(())
}

async fn find_erasable(
    connection: &mut Connection<'_>,
    job: JobId,
) -> Result<Option<ErasableRow>, StoreError> {
    let found = query(FIND_ERASABLE).bind(job.to_string());
    Ok(found.fetch_optional(connection).await?)
}

pub(super) async fn forget_job(
    connection: &mut Connection<'_>,
    job: JobId,
    now: Timestamp,
) -> Result<(), StoreError> {
    job::lock(connection, job).await?;
    let (ended,): (i64,) = query(HAS_ENDED)
        .bind(job.to_string())
        .fetch_one(connection)
        .await?;
    let Some(found) = find_erasable(connection, job).await?.filter(|_| ended == 1) else {
        return Ok(());
    };
    let erasure = parse("jobs.erasure_id", &found.erasure_id)?;
    let pictures = found.pictures.clone().unwrap_or_default();
    forget(connection, job, found, now).await?;
    count(connection, erasure, &pictures).await
}

async fn forget(
    connection: &mut Connection<'_>,
    job: JobId,
    found: ErasableRow,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut request = found.request;
    request.options = request.options.without_words();
    let sources = Pair {
        person: Source::Erased,
        garment: found.sources.garment.map(|_| Source::Erased),
    };
    query(FORGET_JOB)
        .bind(job.to_string())
        .bind(json(&request))
        .bind(json(&sources))
        .bind(now)
        .execute(connection)
        .await?;
    query(FORGET_SAMPLES)
        .bind(job.to_string())
        .bind(json(&()))
        .execute(connection)
        .await?;
    for forgotten in [FORGET_NAME, webhook::BACK, FORGET_WEBHOOK] {
        let forget = query(forgotten).bind(job.to_string());
        forget.execute(connection).await?;
    }
    Ok(())
}

/// Adds a job and its pictures to what was erased.
async fn count(
    connection: &mut Connection<'_>,
    id: ErasureId,
    keys: &[String],
) -> Result<(), StoreError> {
    let row: ErasureRow = query(LOCK)
        .bind(id.to_string())
        .fetch_one(connection)
        .await?;
    let mut pictures: BTreeMap<String, u64> = Erasure::try_from(row)?.pictures;
    for key in keys {
        let folder = key.split('/').next().unwrap_or_default();
        *pictures.entry(folder.to_owned()).or_default() += 1;
    }
    let counted = query(COUNT).bind(id.to_string()).bind(json(&pictures));
    counted.execute(connection).await?;
    Ok(())
}

pub(super) async fn finish(
    connection: &mut Connection<'_>,
    id: ErasureId,
    due_at: Timestamp,
    now: Timestamp,
) -> Result<Option<Erasure>, StoreError> {
    query(FINISH)
        .bind(id.to_string())
        .bind(now)
        .bind(due_at)
        .execute(connection)
        .await?;
    find(connection, id).await
}

pub(super) async fn find(
    connection: &mut Connection<'_>,
    id: ErasureId,
) -> Result<Option<Erasure>, StoreError> {
    let row: Option<ErasureRow> = query(FIND)
        .bind(id.to_string())
        .fetch_optional(connection)
        .await?;
    row.map(Erasure::try_from).transpose()
}

pub(super) async fn list_due(
    connection: &mut Connection<'_>,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Erasure>, StoreError> {
    let rows: Vec<ErasureRow> = query(LIST_DUE)
        .bind(now)
        .bind(limit)
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(Erasure::try_from).collect()
}

pub(super) async fn list_erased(
    connection: &mut Connection<'_>,
    id: ErasureId,
    after: Option<JobId>,
    limit: u32,
) -> Result<Vec<JobId>, StoreError> {
    let after = after.map(|job| job.to_string()).unwrap_or_default();
    let jobs: Vec<(String,)> = query(LIST_ERASED)
        .bind(id.to_string())
        .bind(after)
        .bind(limit)
        .fetch_all(connection)
        .await?;
    jobs.iter().map(|(id,)| parse("jobs.id", id)).collect()
}

pub(super) async fn close(
    connection: &mut Connection<'_>,
    id: ErasureId,
) -> Result<(), StoreError> {
    let closed = query(CLOSE).bind(id.to_string());
    closed.execute(connection).await?;
    Ok(())
}
