//! `POST /infer`: a picture as the answer.
//!
//! The job belongs to its connection: when the client goes away, it is cancelled, because nobody
//! is left to receive its picture. Nothing is written to the spool.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderName, header},
    response::{IntoResponse, Response},
};
use tracing::Instrument;
use tryon_api::{
    callback::ResultError,
    node::{Detail, INFERENCE_TIME_HEADER, InferForm, JOB_ID_HEADER},
};
use tryon_core::task::OutputFormat;
use tryon_trace::Traced as _;

use crate::{app::App, ending::Encoded, order, refusal::Refusal, run::Running, slot::Occupant};

/// Makes a picture while the client waits.
#[utoipa::path(
    post,
    path = "/infer",
    tag = "jobs",
    security(("token" = [])),
    request_body(content = InferForm, content_type = "multipart/form-data"),
    responses(
        (
            status = 200,
            description = "The picture",
            content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg")),
            headers(
                ("x-inference-time-ms" = u64, description = "How long inference took"),
                ("x-job-id" = String, description = "The id that the node gave the job"),
            ),
        ),
        (status = 400, description = "A field is absent or wrong, or the pictures cannot be used", body = Detail),
        (status = 401, description = "No token, or a wrong one", body = Detail),
        (status = 408, description = "The form did not arrive in time", body = Detail),
        (status = 409, description = "The job was cancelled", body = Detail),
        (status = 429, description = "Another job has the device", body = Detail),
        (status = 500, description = "The job failed", body = Detail),
        (status = 503, description = "The model is not loaded", body = Detail),
        (status = 504, description = "The job took too long", body = Detail),
    )
)]
pub(super) async fn create_picture(State(app): State<Arc<App>>, request: Request) -> Response {
    match infer(&app, request).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_infer_response(),
    }
}

async fn infer(app: &Arc<App>, request: Request) -> Result<Response, Refusal> {
    let description = app.gate()?;
    let busy = |retry_after| Refusal::Busy { retry_after };
    let place = app.uploads.try_acquire().map_err(|_| busy(1))?;
    let (parts, body) = request.into_parts();
    let limits = &app.config.limits;
    let order = order::read_infer(&parts.headers, body, limits, &description).await?;
    let job = order.develop(app, &description).await?;
    drop(place);
    let job_id = hex::encode(rand::random::<[u8; 12]>());
    let steps = job.request.options.steps;
    let permit = app
        .slot
        .take(&job_id, steps)
        .map_err(|occupied| busy(occupied.retry_after))?;
    let teller = job.progress_url.map(|url| app.notices.follow(&job_id, url));
    let running = app.start(job.request, permit, teller)?;
    let _cancel = CancelOnDrop(running.occupant.clone());
    let finish = finish(Arc::clone(app), job_id.clone(), running, job.format);
    let finish = finish.traced_here().in_current_span();
    let finished = app.jobs.spawn(finish).await;
    let (took, result) = finished.expect("BUG: ending a job does not panic");
    let encoded = result.map_err(Refusal::Failed)?;
    let headers = [
        (header::CONTENT_TYPE, encoded.image.format.mime().to_owned()),
        (
            HeaderName::from_static(INFERENCE_TIME_HEADER),
            took.as_millis().to_string(),
        ),
        (HeaderName::from_static(JOB_ID_HEADER), job_id),
    ];
    Ok((headers, encoded.bytes).into_response())
}

/// Sees a run through, also when its client is gone: it is counted, and the balancer is told.
async fn finish(
    app: Arc<App>,
    job_id: String,
    running: Running,
    format: OutputFormat,
) -> (Duration, Result<Encoded, ResultError>) {
    let ended = running.end().await;
    app.notices.job_complete(&job_id);
    let took = ended.took;
    (took, app.conclude(ended, format).await)
}

/// Cancels the run when the handler is dropped, which is how a client's leaving shows.
struct CancelOnDrop(Occupant);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        // Of a run that ended this asks nothing.
        self.0.cancel();
    }
}
