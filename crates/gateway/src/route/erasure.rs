//! Erasing, and the receipts of it.

use std::{sync::Arc, time::Duration};

use axum::{Extension, Json, extract::State, http::StatusCode};
use sha2::{Digest as _, Sha256};
use tryon_api::public::{
    Deleted, DeletedPictures, ErasureStatus, ErrorBody, Receipt, deleted_columns, end_user, kept,
};
use tryon_blob::Folder;
use tryon_core::id::{AccountId, ErasureId, JobId};
use tryon_store::{Erasure, Subject};

use super::{extract::UrlPath, refusal};
use crate::{
    app::App,
    auth::Caller,
    dispatch::Outcomes,
    erase::{self, EraseError},
    error::ApiError,
};

/// How long a request waits for an erasure; the sweep goes on with a longer one.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the store keeps of a client's name for a person. Nothing needs the name itself. It is no
/// keyed digest: an erasure has to find every job for as long as there is one, and a key that an
/// operator changed would quietly make it find none. The account is in it, so that nobody sees that
/// two of them serve the same person.
pub(super) fn digest(account: AccountId, end_user: &str) -> [u8; 32] {
    let digest = Sha256::new_with_prefix("end user\n");
    let digest = digest.chain_update(account.to_string()).chain_update("\n");
    digest.chain_update(end_user).finalize().into()
}

/// Erases all that is personal of a job, which is cancelled if it has not ended. Asked again, it
/// answers the same receipt.
#[utoipa::path(
    delete,
    path = super::path::JOB,
    tag = "erasure",
    security(("key" = [])),
    params(("id" = String, Path, description = "The job's id")),
    responses(
        (status = 200, description = "It is erased", body = Receipt),
        (status = 202, description = "It goes on being erased: ask for the receipt", body = Receipt),
        (status = 404, description = "`NotFound`: the account has no such job", body = ErrorBody),
        refusal::Limited,
    )
)]
pub(super) async fn delete_job(
    State(outcomes): State<Outcomes>,
    Extension(caller): Extension<Caller>,
    UrlPath(id): UrlPath<String>,
) -> Result<(StatusCode, Json<Receipt>), ApiError> {
    let absent = || ApiError::not_found("you have no job of this id");
    let id: JobId = id.parse().map_err(|_| absent())?;
    let subject = Subject::Job(id);
    let receipt = erase(&outcomes, caller.account.id, subject).await?;
    receipt.ok_or_else(absent)
}

/// Erases every job that was submitted with this `end_user_id`, as erasing each of them would.
#[utoipa::path(
    delete,
    path = super::path::END_USER,
    tag = "erasure",
    security(("key" = [])),
    params(("end_user_id" = String, Path, description = "What the jobs were submitted with, percent-encoded")),
    responses(
        (status = 200, description = "All are erased; there may have been none", body = Receipt),
        (status = 202, description = "They go on being erased: ask for the receipt", body = Receipt),
        (status = 400, description = "`BadRequest`: it is no such id", body = ErrorBody),
        refusal::Limited,
    )
)]
pub(super) async fn delete_end_user(
    State(outcomes): State<Outcomes>,
    Extension(caller): Extension<Caller>,
    UrlPath(id): UrlPath<String>,
) -> Result<(StatusCode, Json<Receipt>), ApiError> {
    let account = caller.account.id;
    let subject = Subject::EndUser(digest(account, end_user(&id)?));
    let receipt = erase(&outcomes, account, subject).await?;
    receipt.ok_or_else(|| ApiError::internal("BUG: every end user can be erased"))
}

/// Shows the receipt of an erasure again.
#[utoipa::path(
    get,
    path = super::path::ERASURE,
    tag = "erasure",
    security(("key" = [])),
    params(("id" = String, Path, description = "The receipt's id")),
    responses(
        (status = 200, description = "The receipt, of an erasure under way too", body = Receipt),
        (status = 404, description = "`NotFound`: the account has no such receipt", body = ErrorBody),
        refusal::Limited,
    )
)]
pub(super) async fn get_erasure(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<Receipt>, ApiError> {
    let absent = || ApiError::not_found("you have no receipt of this id");
    let id: ErasureId = id.parse().map_err(|_| absent())?;
    let found = app.store.find_erasure(id).await?;
    let found = found.filter(|found| found.account == caller.account.id);
    Ok(Json(describe(&app, &found.ok_or_else(absent)?)))
}

async fn erase(
    outcomes: &Outcomes,
    account: AccountId,
    subject: Subject,
) -> Result<Option<(StatusCode, Json<Receipt>)>, ApiError> {
    let Some(id) = erase::begin(&outcomes.app, account, subject).await? else {
        return Ok(None);
    };
    // On a task of its own: a client that hangs up does not cut it short.
    let work = outcomes.clone();
    let erased = tokio::spawn(async move { erase::carry_out(&work, id, PATIENCE).await });
    let erased = erased.await.map_err(ApiError::internal)?;
    let erased = erased.map_err(|error| match error {
        EraseError::Store(error) => error.into(),
        EraseError::Blob(error) => ApiError::from(error),
    })?;
    Ok(erased.map(|erasure| {
        let status = match erasure.finished_at {
            Some(_) => StatusCode::OK,
            None => StatusCode::ACCEPTED,
        };
        (status, Json(describe(&outcomes.app, &erasure)))
    }))
}

fn describe(app: &App, erasure: &Erasure) -> Receipt {
    let storage = app.blobs.storage_name();
    let pictures = Folder::OF_JOBS.map(|folder| DeletedPictures {
        storage,
        folder: folder.as_str(),
        count: erasure.pictures.get(folder.as_str()).copied().unwrap_or(0),
    });
    Receipt {
        ok: true,
        id: erasure.id,
        status: match erasure.finished_at {
            Some(_) => ErasureStatus::Finished,
            None => ErasureStatus::UnderWay,
        },
        job: erasure.job,
        requested_at: erasure.requested_at,
        finished_at: erasure.finished_at,
        jobs: erasure.jobs,
        deleted: Deleted {
            pictures: pictures.into(),
            database: deleted_columns(),
        },
        kept: kept(),
    }
}
