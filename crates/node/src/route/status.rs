//! What a node says about itself. None of it waits for anything.

use std::sync::Arc;

use axum::{Json, extract::State};
use tryon_api::node::{Detail, GpuStatus, Health, Readiness, StepCount, TestReport, VersionReport};
use tryon_engine::supervisor::WorkerState;

use crate::{
    app::{App, headline},
    config::Device,
};

/// The commit that a release's build names; there is none in a build by hand.
const GIT_COMMIT: &str = match option_env!("TRYON_GIT_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// The process is alive.
#[utoipa::path(
    get,
    path = "/health",
    tag = "state",
    responses(
        (status = 200, description = "The process is alive", body = Health),
    )
)]
pub(super) async fn get_health(State(app): State<Arc<App>>) -> Json<Health> {
    Json(Health {
        status: "ok".to_owned(),
        model_loaded: app.is_hot(),
        node_id: app.config.server.node_id.clone(),
    })
}

/// The engine's state.
#[utoipa::path(
    get,
    path = "/test",
    tag = "state",
    responses(
        (status = 200, description = "How the engine stands", body = TestReport),
    )
)]
pub(super) async fn get_test(State(app): State<Arc<App>>) -> Json<TestReport> {
    let (status, reason) = match app.supervisor.state() {
        WorkerState::Ready => (Readiness::Hot, None),
        WorkerState::Loading => (Readiness::Loading, None),
        WorkerState::Failed { reason } => (Readiness::Failed, Some(headline(&reason).to_owned())),
    };
    Json(TestReport {
        status,
        model_loaded: status == Readiness::Hot,
        node_id: app.config.server.node_id.clone(),
        model_type: app.model_type(),
        reason,
    })
}

/// What the device does.
#[utoipa::path(
    get,
    path = "/gpu/status",
    tag = "state",
    security(("token" = [])),
    responses(
        (status = 200, description = "What the device does", body = GpuStatus),
        (status = 401, description = "No token, or a wrong one", body = Detail),
    )
)]
pub(super) async fn get_gpu_status(State(app): State<Arc<App>>) -> Json<GpuStatus> {
    let occupation = app.slot.find_occupation();
    let step = occupation.as_ref().and_then(|it| it.step);
    let remaining = occupation.as_ref().and_then(|it| it.remaining);
    Json(GpuStatus {
        node_id: app.config.server.node_id.clone(),
        busy: occupation.is_some(),
        current_job_id: occupation.map(|it| it.job_id),
        queue_length: 0,
        progress: step.map(|step| StepCount {
            step: step.done,
            steps: step.total,
        }),
        eta_ms: remaining.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
        gpu: app.meter.find_gpu(),
    })
}

/// What runs here.
#[utoipa::path(
    get,
    path = "/version",
    tag = "state",
    responses(
        (status = 200, description = "What runs here", body = VersionReport),
    )
)]
pub(super) async fn get_version(State(app): State<Arc<App>>) -> Json<VersionReport> {
    let model = &app.config.model;
    let git_commit = GIT_COMMIT.to_owned();
    let node_id = app.config.server.node_id.clone();
    Json(match app.supervisor.description() {
        Some(engine) => VersionReport {
            model_type: engine.model_type,
            model_version: engine.model_version,
            backend: engine.backend,
            git_commit,
            node_id,
            providers: engine.providers.iter().map(ToString::to_string).collect(),
            notice: engine.notice,
        },
        None => VersionReport {
            model_type: model.model_type.as_str().to_owned(),
            model_version: model.model_version.clone(),
            backend: match model.device {
                Device::Auto => "unknown".to_owned(),
                Device::Cuda => "cuda".to_owned(),
                Device::Cpu => "cpu".to_owned(),
            },
            git_commit,
            node_id,
            providers: Vec::new(),
            notice: None,
        },
    })
}
