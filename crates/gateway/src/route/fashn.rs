//! The dialect of FASHN's API: the same keys, credits and queue, other words.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderName},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use tryon_api::public::{CreditTotalAnswer, ErrorBody, RunAnswer, RunRequest, RunStatus};
use tryon_core::job::{JobState, SampleState};
use utoipa::IntoParams;

use super::{
    extract::UrlPath,
    refusal,
    status::{failure, find_own, links},
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
    tag = "FASHN",
    security(("key" = [])),
    params(RunQuery, ("Idempotency-Key" = Option<String>, Header, description = NAMED, min_length = 1, max_length = 255)),
    request_body = RunRequest<'_>,
    responses((status = 200, description = "The job was accepted", body = RunAnswer), refusal::Submission)
)]
pub(super) async fn submit_run(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<RunQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let twice = "`webhook_url` is wrong: give it once, as text";
    let Query(RunQuery { webhook_url }) = query.map_err(|_| ApiError::bad_request(twice))?;
    let form = Form::Run { webhook_url };
    let accepted = submit(&app, &caller.account, form, &headers, body).await?;
    Ok(accepted.answer::<RunAnswer>())
}

/// Says how a job stands, whichever dialect it was submitted in. A job of another account is not
/// found, exactly like one that never was.
#[utoipa::path(
    get,
    path = super::path::RUN_STATUS,
    tag = "FASHN",
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
        JobState::Completed => Some(links(&app, &job)?),
        _ => None,
    };
    let error = (job.state == JobState::Failed).then(|| failure(&job).into());
    // Of an erased job as well.
    let paid = job
        .samples
        .iter()
        .filter(|it| it.state == SampleState::Succeeded);
    let cost = job.state.is_terminal().then(|| paid.count());
    let cost = cost.map(|credits| [(CREDITS_USED, credits.to_string())]);
    let status = RunStatus {
        id: job.id,
        status: job.state.into(),
        output,
        error,
    };
    Ok((cost, Json(status)).into_response())
}

/// Says what the account holds.
#[utoipa::path(
    get,
    path = super::path::CREDIT_TOTALS,
    tag = "FASHN",
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
