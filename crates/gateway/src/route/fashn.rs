//! The dialect of FASHN's API: the same keys, credits and queue, other words.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderName},
    response::{IntoResponse as _, Response},
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use futures::TryStreamExt as _;
use serde::Deserialize;
use tokio::task::spawn_blocking;
use tryon_api::public::{CreditTotalAnswer, ErrorBody, RunAnswer, RunRequest, RunStatus};
use tryon_core::job::JobState;
use tryon_store::Job;
use utoipa::IntoParams;

use super::{
    body::weight,
    extract::UrlPath,
    refusal,
    status::{failure, find_own, links, outputs},
    submit::{Form, NAMED, submit},
};
use crate::{app::App, auth::Caller, error::ApiError};

/// Tells what an ended job cost.
pub(super) const CREDITS_USED: HeaderName = HeaderName::from_static("x-fashn-credits-used");

/// What a run is told beside its body.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RunQuery {
    /// Who is told of the job's end: an `https` URL, which is sent what the status route of the
    /// other dialect answers, signed after Standard Webhooks.
    #[param(example = "https://shop.example/tryon-ended")]
    webhook_url: Option<String>,
}

/// Puts a garment on a person.
#[utoipa::path(
    post,
    path = super::path::RUN,
    tag = "fashn",
    security(("key" = [])),
    params(RunQuery, ("Idempotency-Key" = Option<String>, Header, description = NAMED)),
    request_body = RunRequest<'_>,
    responses((status = 200, description = "The job was accepted", body = RunAnswer), refusal::Submission)
)]
pub(super) async fn run(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<RunQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let Query(RunQuery { webhook_url }) =
        query.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let form = Form::Run { webhook_url };
    let accepted = submit(&app, &caller.account, form, &headers, body).await?;
    Ok(accepted.answer::<RunAnswer>())
}

/// Says how a job stands, whichever dialect it was submitted in. A job of another account is not
/// found, exactly like one that never was.
#[utoipa::path(
    get,
    path = super::path::RUN_STATUS,
    tag = "fashn",
    security(("key" = [])),
    params(("id" = String, Path, description = "The job's id")),
    responses(
        (
            status = 200,
            description = "In every state of the job",
            body = RunStatus,
            headers(("x-fashn-credits-used" = u32, description = "What an ended job cost")),
        ),
        (status = 404, description = "`NotFound`: the account has no such job", body = ErrorBody),
        refusal::Limited,
    )
)]
pub(super) async fn get_run(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    UrlPath(id): UrlPath<String>,
) -> Result<Response, ApiError> {
    let job = find_own(&app, &caller, &id).await?;
    let output = match job.state {
        JobState::Completed if job.request.return_base64 => Some(inline(&app, &job).await?),
        JobState::Completed => Some(links(&app, &job)?),
        _ => None,
    };
    let error = (job.state == JobState::Failed).then(|| failure(&job).into());
    let cost = job.state.is_terminal().then(|| outputs(&job).count());
    let cost = cost.map(|credits| [(CREDITS_USED, credits.to_string())]);
    let status = RunStatus {
        id: job.id,
        status: job.state.into(),
        output,
        error,
    };
    Ok((cost, Json(status)).into_response())
}

/// The pictures that were delivered and are still kept, as `data:` URLs.
async fn inline(app: &App, job: &Job) -> Result<Vec<String>, ApiError> {
    let mut kept = Vec::new();
    for key in outputs(job) {
        kept.extend(app.blobs.open(&key?).await?);
    }
    // Together not more of them at a time than bodies that carry pictures.
    let sizes = kept.iter().map(|blob| usize::try_from(blob.size));
    let size: usize = sizes.map(|size| size.unwrap_or(usize::MAX / 8)).sum();
    let share = app.bodies.reserve(weight(size)).await;
    let _share = share.ok_or_else(ApiError::crowded)?;
    let mime = job.request.output_format.mime();
    let mut urls = Vec::new();
    for blob in kept {
        let picture: Vec<Bytes> = blob.stream.try_collect().await?;
        let encode = move || {
            format!(
                "data:{mime};base64,{}",
                BASE64_STANDARD.encode(picture.concat())
            )
        };
        urls.push(spawn_blocking(encode).await.map_err(ApiError::internal)?);
    }
    Ok(urls)
}

/// Says what the account holds.
#[utoipa::path(
    get,
    path = super::path::CREDIT_TOTALS,
    tag = "fashn",
    security(("key" = [])),
    responses(
        (status = 200, description = "The figures", body = CreditTotalAnswer),
        refusal::Limited,
    )
)]
pub(super) async fn get_credit_totals(
    Extension(caller): Extension<Caller>,
) -> Json<CreditTotalAnswer> {
    Json(caller.account.balance.into())
}
