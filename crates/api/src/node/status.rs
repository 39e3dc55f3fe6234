//! What a node says about itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /health`: the process is alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`.
    pub status: String,
    /// Whether a job would be taken or is running.
    pub model_loaded: bool,
    /// The node.
    pub node_id: String,
}

/// Whether a node can take jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Readiness {
    /// The engine is loaded; it may be busy.
    Hot,
    /// The engine is being loaded.
    Loading,
    /// The engine was given up after repeated failures; `reason` says why.
    Failed,
}

/// `GET /test`: the engine's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TestReport {
    /// The state.
    pub status: Readiness,
    /// Whether it is `hot`.
    pub model_loaded: bool,
    /// The node.
    pub node_id: String,
    /// The model's name.
    pub model_type: String,
    /// Why the engine was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How far the running job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepCount {
    /// Steps done.
    pub step: u32,
    /// Steps in all.
    pub steps: u32,
}

/// `GET /gpu/status`: what the device does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GpuStatus {
    /// The node.
    pub node_id: String,
    /// Whether a job has the device.
    pub busy: bool,
    /// Which.
    pub current_job_id: Option<String>,
    /// Jobs that wait behind it: always 0, a node has no queue.
    pub queue_length: u32,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<StepCount>,
    /// Milliseconds until it is expected to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_ms: Option<u64>,
}

/// `GET /version`: what runs here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionReport {
    /// The model's name.
    pub model_type: String,
    /// The model's version.
    pub model_version: String,
    /// What it computes on.
    pub backend: String,
    /// The commit the binary was built from, or `unknown`.
    pub git_commit: String,
    /// The node.
    pub node_id: String,
    /// The providers that are served; empty until the engine is loaded.
    #[serde(default)]
    pub providers: Vec<String>,
    /// What its pictures are not, or what a request may ask for here in vain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// `GET /metrics` as JSON. Other formats are negotiated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricsSummary {
    /// Inferences that gave a picture.
    pub vton_inference_count: u64,
    /// Their mean duration in milliseconds; 0 before the first.
    pub vton_inference_latency_ms: f64,
    /// Inferences that gave none.
    pub vton_inference_errors_total: u64,
    /// Device memory in use, in bytes; 0 without a GPU.
    pub gpu_memory_used_bytes: u64,
    /// Device utilisation, 0–100; 0 without a GPU.
    pub gpu_utilization_percent: f64,
}
