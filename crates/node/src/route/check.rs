//! `POST /check`: what of a photo would be masked.
//!
//! It is answered beside the running job, by the worker's person parser on the CPU: the device is not
//! waited for, nor taken.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::timeout,
};
use tryon_api::{
    node::{CheckForm, CheckReport, Detail, MaskReport, field},
    public::Rectangle,
};
use tryon_engine::{Description, Masked, supervisor::RunError};

use crate::{app::App, ending, order, refusal::Refusal};

/// How long a photo waits for its turn. Others may be asked sooner.
const TURN: Duration = Duration::from_secs(2);

/// How long one is given, from its first byte to its answer.
const PATIENCE: Duration = Duration::from_secs(8);

/// Tells which region of a photo a job would mask where none is marked in it.
#[utoipa::path(
    post,
    path = "/check",
    tag = "jobs",
    security(("token" = [])),
    request_body(content = CheckForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "What would be masked, or what a job would fail with", body = CheckReport),
        (status = 400, description = "A field is absent or wrong, or the photo cannot be read", body = Detail),
        (status = 401, description = "No token, or a wrong one", body = Detail),
        (status = 408, description = "The form did not arrive in time", body = Detail),
        (status = 429, description = "Other photos are looked into", body = Detail),
        (status = 500, description = "The engine failed", body = Detail),
        (status = 503, description = "The model is not loaded", body = Detail),
    )
)]
pub(super) async fn check_photo(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<CheckReport>, Refusal> {
    let description = app.check_open()?;
    // Nothing of the photo is read before its turn.
    let turn = timeout(TURN, Arc::clone(&app.checks).acquire_owned()).await;
    let turn = turn.ok().and_then(Result::ok).ok_or(BUSY)?;
    let answer = timeout(PATIENCE, look(&app, request, &description, turn)).await;
    let answer = answer.unwrap_or_else(|_| {
        tracing::error!("a photo was not looked into in {} s", PATIENCE.as_secs());
        Err(BUSY)
    });
    answer.map(Json)
}

const BUSY: Refusal = Refusal::Busy { retry_after: 1 };

async fn look(
    app: &App,
    request: Request,
    description: &Description,
    turn: OwnedSemaphorePermit,
) -> Result<CheckReport, Refusal> {
    let (parts, body) = request.into_parts();
    let limits = &app.config.limits;
    let (category, photo) = order::read_check(&parts.headers, body, limits, description).await?;
    let photo = app.dark_room.develop(field::PERSON, photo).await?;
    let (tell, told) = oneshot::channel();
    let on_answer = move |answer| {
        // The turn is over when the engine is done, also if nobody waits any more.
        drop(turn);
        let _ = tell.send(answer);
    };
    app.supervisor.ask(photo, category, Box::new(on_answer))?;
    // It is not told when the supervisor ends.
    report(told.await.map_err(|_| Refusal::Stopping)?)
}

fn report(answer: Result<Option<Masked>, RunError>) -> Result<CheckReport, Refusal> {
    match answer {
        Ok(found) => Ok(CheckReport {
            mask: found.map(to_report),
            error: None,
        }),
        Err(error @ RunError::Refused { .. }) => Ok(CheckReport {
            mask: None,
            error: Some(ending::to_error(&error)),
        }),
        Err(error) => {
            tracing::warn!(%error, "a photo could not be looked into");
            Err(Refusal::Failed(ending::to_error(&error)))
        }
    }
}

fn to_report(masked: Masked) -> MaskReport {
    let [x, y, w, h] = masked.frame;
    MaskReport {
        share: masked.share,
        region: Rectangle { x, y, w, h },
    }
}
