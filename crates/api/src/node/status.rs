//! What a node says about itself.

use serde::{Deserialize, Deserializer, Serialize};
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

/// What NVIDIA's driver says of a GPU. What it does not tell of this one is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct GpuReport {
    /// Its number, as `nvidia-smi` counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 0)]
    pub index: Option<u32>,
    /// The card's own id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77")]
    pub uuid: Option<String>,
    /// The product.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "NVIDIA H200")]
    pub name: Option<String>,
    /// All of its memory, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 150_754_820_096_u64)]
    pub memory_total_bytes: Option<u64>,
    /// Memory in use, by whatever process, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 62_277_025_792_u64)]
    pub memory_used_bytes: Option<u64>,
    /// The share of the time in which it computed, 0–100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 97)]
    pub utilization_percent: Option<u32>,
    /// Its temperature.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 61)]
    pub temperature_celsius: Option<u32>,
    /// The power that it draws.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 612.4)]
    pub power_watts: Option<f64>,
    /// The most that it may draw.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 700.0)]
    pub power_limit_watts: Option<f64>,
    /// What keeps its clocks down, in the words of `nvidia-smi`; empty where nothing does. That it
    /// has nothing to do is not among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["sw_power_cap"]))]
    pub throttled_by: Option<Vec<String>>,
}

/// `GET /gpu/status`: what the device does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
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
    /// The GPU that the engine computes on, or would; absent where there is none, or none can be
    /// told.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read_gpu"
    )]
    pub gpu: Option<GpuReport>,
}

/// Other nodes may call something else so, which is no reason not to understand the rest.
fn read_gpu<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<GpuReport>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
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

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};
    use utoipa::PartialSchema as _;

    use super::*;

    fn read(status: serde_json::Value) -> GpuStatus {
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn a_node_without_a_gpu_says_nothing_of_one() {
        let status =
            json!({"node_id": "n", "busy": false, "current_job_id": null, "queue_length": 0});
        let read = read(status.clone());
        assert_eq!(read.gpu, None);
        assert_eq!(serde_json::to_value(read).unwrap(), status);
    }

    #[test]
    fn of_a_gpu_there_is_what_is_known() {
        let gpu = json!({"name": "NVIDIA L4", "power_watts": 31.5, "throttled_by": []});
        let status = json!({"node_id": "n", "busy": false, "current_job_id": null,
            "queue_length": 0, "gpu": gpu});
        let read = read(status.clone());
        let expected = GpuReport {
            name: Some("NVIDIA L4".to_owned()),
            power_watts: Some(31.5),
            throttled_by: Some(Vec::new()),
            ..GpuReport::default()
        };
        assert_eq!(read.gpu, Some(expected));
        assert_eq!(serde_json::to_value(read).unwrap(), status);
    }

    /// Every field has an example, and together they are a report.
    #[test]
    fn a_gpu_is_described_by_example() {
        let schema = serde_json::to_value(GpuReport::schema()).unwrap();
        let fields = schema["properties"].as_object().unwrap();
        let example = |(name, field): (&String, &Value)| (name.clone(), field["example"].clone());
        let examples = Value::Object(fields.iter().map(example).collect::<Map<_, _>>());
        let read: GpuReport = serde_json::from_value(examples.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), examples);
        assert_eq!(schema["required"], Value::Null);
    }

    #[test]
    fn what_others_call_a_gpu_hides_nothing_else() {
        for gpu in [
            json!("NVIDIA L4"),
            json!(0),
            json!(null),
            json!([{"index": 0}]),
            json!({"index": "0"}),
        ] {
            let read = read(
                json!({"node_id": "n", "busy": true, "current_job_id": "job-1",
                "queue_length": 0, "gpu": gpu, "gpus": [gpu]}),
            );
            let expected = (Some("job-1"), None);
            assert_eq!(
                (read.current_job_id.as_deref(), read.gpu),
                expected,
                "{gpu}"
            );
        }
    }
}
