//! The sections.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tryon_core::{secret::Secret, task::Provider};
use url::Url;

use super::Seconds;

/// `server`: who the node is and where it listens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// The node's name in every answer and callback.
    pub node_id: String,
    /// The address to listen on: an IP address or a host name.
    pub host: String,
    /// The port to listen on; 0 lets the system choose one.
    pub port: u16,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            node_id: "gpu-node-1".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: 8000,
        }
    }
}

/// `security`: who may ask the node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecurityConfig {
    /// Whether requests must carry the token. Without it anybody who reaches the port may use the
    /// device.
    pub require_auth: bool,
    /// The token that requests carry in `X-Internal-Auth`.
    pub internal_auth_token: Option<Secret>,
}

impl Default for SecurityConfig {
    fn default() -> Self {
        Self {
            require_auth: true,
            internal_auth_token: None,
        }
    }
}

/// `asset_service`: who receives the results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AssetServiceConfig {
    /// Where results are sent. Without it the results of `POST /tryon` are discarded, and only
    /// `POST /infer` is of use.
    pub callback_url: Option<Url>,
    /// The token that results carry in `X-Internal-Auth`.
    pub internal_auth_token: Option<Secret>,
    /// How long one delivery may take.
    pub timeout: Seconds,
    /// How many times `retry_backoff` is used before the waits grow by themselves.
    pub retries: u32,
    /// The waits after the first failed deliveries. Later ones double, up to five minutes.
    pub retry_backoff: Vec<Seconds>,
}

impl Default for AssetServiceConfig {
    fn default() -> Self {
        Self {
            callback_url: None,
            internal_auth_token: None,
            timeout: Seconds::new(10),
            retries: 3,
            retry_backoff: vec![Seconds::new(1), Seconds::new(2), Seconds::new(4)],
        }
    }
}

/// `load_balancer`: who is told when the device is free.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoadBalancerConfig {
    /// The address that `job_complete` is appended to; nobody is told without it.
    pub url: Option<Url>,
    /// The token that the message carries in `X-Internal-Auth`.
    pub internal_auth_token: Option<Secret>,
}

/// `registration`: the gateways that the node makes itself known to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistrationConfig {
    /// The addresses of gateways' internal listeners, such as `http://gateway:8081`. One of the
    /// gateways on a database is enough, or what stands before them; the next is asked where one
    /// does not answer. None where the gateways' `nodes` list this node.
    pub gateways: Vec<Url>,
    /// Where gateways reach this node, such as `http://10.0.0.7:8000`: the pod's address, or the
    /// machine's.
    pub advertise_url: Option<Url>,
    /// The token that the registration carries in `X-Internal-Auth`: the gateways'
    /// `callbacks.token`.
    pub internal_auth_token: Option<Secret>,
}

/// `model`: what the node runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Which engine to load. `auto` is `qwen` where its checkpoint is installed and the first GPU
    /// has the memory for it, otherwise `preview`; the log says which, and why. Who starts the node
    /// sets what it chose before it starts. Once loaded, the engine's own word is what the node says.
    pub model_type: ModelType,
    /// The version that is said until the engine is loaded and says its own.
    pub model_version: String,
    /// What to compute on: `auto`, `cuda` or `cpu`. `auto` is a GPU where there is one, and the
    /// CPU elsewhere; the preview never uses a GPU.
    pub device: Device,
    /// How the model's weights are used.
    pub default_mode: Mode,
    /// The folder that models are installed in.
    pub dir: PathBuf,
    /// The folder of the checkpoint in it.
    pub checkpoint: String,
    /// How denoising steps are spaced: `base`, `lightning_shift3` or `lightx2v_compat`; what the
    /// mode was made for where absent.
    pub schedule: Option<String>,
    /// Whether FP8 weights are multiplied with FP8 activations, as they were made to be.
    pub fp8_activations: bool,
    /// Whether one part of the model is in memory at a time; found out where absent.
    pub low_memory: Option<bool>,
    /// The language of the built-in prompts: `en` or `zh`.
    pub language: String,
    /// A file with prompts that replace the built-in ones.
    pub prompts: Option<PathBuf>,
    /// Steps of a request that names none; the loaded engine's own default where absent.
    pub default_steps: Option<u32>,
    /// Seed of a request that names none.
    pub default_seed: u64,
    /// Guidance scale of a request that names none.
    pub default_cfg: f32,
    /// Output size of a request that names none. The preview engine keeps the photo's own
    /// size, up to four megapixels.
    pub default_resolution: Resolution,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            model_type: ModelType::Auto,
            model_version: "1.0.0".to_owned(),
            device: Device::Auto,
            default_mode: Mode::Fp8,
            dir: PathBuf::from("./data/models"),
            checkpoint: "qwen-image-edit-2511".to_owned(),
            schedule: None,
            fp8_activations: true,
            low_memory: None,
            language: "en".to_owned(),
            prompts: None,
            default_steps: None,
            default_seed: 42,
            default_cfg: 1.0,
            default_resolution: Resolution::P720,
        }
    }
}

/// What a model is computed on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// A GPU where there is one, otherwise the CPU.
    #[default]
    Auto,
    /// An NVIDIA GPU, or nothing.
    Cuda,
    /// The CPU.
    Cpu,
}

/// Which engine a node loads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelType {
    /// The diffusion model where there is a device for it and its weights are installed,
    /// otherwise the preview.
    #[default]
    Auto,
    /// Qwen-Image-Edit in bf16.
    Qwen,
    /// Qwen-Image-Edit, distilled to four steps.
    Lightxv,
    /// The classical preview.
    Preview,
}

impl ModelType {
    /// The word that configuration and `/test` use.
    pub const fn as_str(self) -> &'static str {
        match self.find_provider() {
            Some(provider) => provider.as_str(),
            None => "auto",
        }
    }

    /// The provider whose engine is to be loaded; `None` while that is left open.
    pub const fn find_provider(self) -> Option<Provider> {
        match self {
            Self::Auto => None,
            Self::Qwen => Some(Provider::Qwen),
            Self::Lightxv => Some(Provider::Lightxv),
            Self::Preview => Some(Provider::Preview),
        }
    }
}

impl From<Provider> for ModelType {
    fn from(provider: Provider) -> Self {
        match provider {
            Provider::Qwen => Self::Qwen,
            Provider::Lightxv => Self::Lightxv,
            Provider::Preview => Self::Preview,
        }
    }
}

/// How a model's weights are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Distilled to few steps, in FP8.
    Fp8,
    /// The base weights with the few-step adapter.
    Lora,
    /// The base weights alone.
    Base,
}

/// A standard output size: the shorter side, both sides rounded down to multiples of 16, aspect
/// ratio kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resolution {
    /// A shorter side of 480.
    #[serde(rename = "480p")]
    P480,
    /// A shorter side of 720.
    #[serde(rename = "720p")]
    P720,
    /// A shorter side of 1080.
    #[serde(rename = "1080p")]
    P1080,
}

impl Resolution {
    /// The shorter side in pixels, before rounding.
    pub const fn short_side(self) -> u32 {
        match self {
            Self::P480 => 480,
            Self::P720 => 720,
            Self::P1080 => 1080,
        }
    }
}

/// `spool`: where results wait until they are received.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolConfig {
    /// Its folder, created when absent. Two nodes must not share one.
    pub dir: PathBuf,
    /// Bytes of waiting results above which no further job is accepted. One result beyond it may
    /// be kept: that of the job that runs.
    pub max_bytes: u64,
    /// How long a result is offered before it is given up.
    pub keep: Seconds,
    /// How long an ended job's id is remembered, so that it is not run again.
    pub remember: Seconds,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("./data/spool"),
            max_bytes: 2_000_000_000,
            keep: Seconds::new(24 * 60 * 60),
            remember: Seconds::new(60 * 60),
        }
    }
}

/// `limits`: what the node accepts, and how long it waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Largest picture file, in bytes.
    pub picture_bytes: u64,
    /// Largest picture, in pixels; checked before a pixel is decoded.
    pub picture_pixels: u64,
    /// Shortest side of a picture, in pixels.
    pub picture_side: u32,
    /// Connections open at the same time; further ones wait to be accepted.
    pub connections: usize,
    /// Uploads read at the same time; further ones are answered 429.
    pub uploads: usize,
    /// How long a connection may take to send a request's head, or stay idle between two.
    pub header_timeout: Seconds,
    /// How long an upload may stand still.
    pub stall_timeout: Seconds,
    /// How long an upload may take in all.
    pub upload_timeout: Seconds,
    /// How long a job may run; for the engine's supervisor.
    pub job_timeout: Seconds,
    /// How long the engine may take to load; for the engine's supervisor.
    pub load_timeout: Seconds,
    /// How long a running job and open deliveries are waited for when the node is stopped.
    pub shutdown_grace: Seconds,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            picture_bytes: 20_000_000,
            picture_pixels: 40_000_000,
            picture_side: 16,
            connections: 512,
            uploads: 4,
            header_timeout: Seconds::new(30),
            stall_timeout: Seconds::new(10),
            upload_timeout: Seconds::new(120),
            job_timeout: Seconds::new(300),
            load_timeout: Seconds::new(900),
            shutdown_grace: Seconds::new(30),
        }
    }
}

/// `logging`: what the node logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoggingConfig {
    /// A level or a filter, such as `INFO` or `info,tryon_node=debug`. `tryon serve` logs by it as a
    /// whole; `tryon gateway` reads the variable alone.
    pub level: String,
}

impl Default for LoggingConfig {
    fn default() -> Self {
        Self {
            level: "INFO".to_owned(),
        }
    }
}
