//! `POST /tryon`: a job is taken, and its result goes to the callback.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
};
use bytes::BytesMut;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};
use tryon_api::node::{Accepted, Busy, Detail, TryonForm, field};
use tryon_trace::Traced as _;

use crate::{
    app::App,
    form::{self, Glimpse},
    order,
    refusal::Refusal,
};

/// How much of a refused request is looked at, and for how long, to find out whether its job is
/// known. Texts come before pictures, so the first packet tells.
const GLIMPSE_BYTES: usize = 16 * 1024;
const GLIMPSE_TIME: Duration = Duration::from_millis(250);

type Answer = Result<(StatusCode, Json<Accepted>), Refusal>;

/// Takes a job. The order of checks is part of the contract: engine, slot, then the body.
#[utoipa::path(
    post,
    path = "/tryon",
    tag = "jobs",
    security(("token" = [])),
    request_body(content = TryonForm, content_type = "multipart/form-data"),
    responses(
        (status = 202, description = "The job will run, or is known, and its result will be sent to the result callback", body = Accepted),
        (status = 400, description = "A field is absent or wrong; `detail` names it", body = Detail),
        (status = 401, description = "No token, or a wrong one", body = Detail),
        (status = 408, description = "The form did not arrive in time", body = Detail),
        (status = 429, description = "Another job has the device; `Retry-After` says for how long", body = Busy),
        (status = 503, description = "The model is not loaded, or no result can be kept", body = Detail),
    )
)]
pub(super) async fn create_tryon(State(app): State<Arc<App>>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let description = match app
        .gate()
        .and_then(|found| app.check_spool().map(|()| found))
    {
        Ok(description) => description,
        Err(refusal) => return answer_early(&app, refusal, &parts.headers, body).await,
    };
    let Ok(_place) = app.uploads.try_acquire() else {
        let refusal = Refusal::Busy { retry_after: 1 };
        return answer_early(&app, refusal, &parts.headers, body).await;
    };
    let limits = &app.config.limits;
    let (ids, order) = order::read_tryon(&parts.headers, body, limits, &description).await?;
    if app.recent.contains(&ids.job_id) {
        return Ok(accept(Accepted::queued(ids.job_id)));
    }
    let order = order.develop(&app, &description).await?;
    // A client that goes away now must not leave a job half begun.
    let submit = Arc::clone(&app).submit(ids, order).traced_here();
    let submitted = tokio::spawn(submit).await;
    submitted
        .expect("BUG: taking a job does not panic")
        .map(accept)
}

pub(super) fn accept(accepted: Accepted) -> (StatusCode, Json<Accepted>) {
    (StatusCode::ACCEPTED, Json(accepted))
}

/// Refuses without reading the pictures, unless the job is known: that is accepted again.
async fn answer_early(app: &App, refusal: Refusal, headers: &HeaderMap, body: Body) -> Answer {
    match find_job_id(headers, body).await {
        Some(job_id) if app.knows(&job_id).await => Ok(accept(Accepted::queued(job_id))),
        _ => Err(refusal),
    }
}

async fn find_job_id(headers: &HeaderMap, mut body: Body) -> Option<String> {
    let deadline = Instant::now() + GLIMPSE_TIME;
    let mut start = BytesMut::new();
    while start.len() < GLIMPSE_BYTES {
        let frame = timeout_at(deadline, body.frame()).await.ok()??.ok()?;
        start.extend_from_slice(frame.data_ref()?);
        match form::glimpse(headers, start.clone().freeze(), field::JOB_ID).await {
            Glimpse::Found(job_id) => return Some(job_id),
            Glimpse::Absent => return None,
            Glimpse::Unclear => {}
        }
    }
    None
}
