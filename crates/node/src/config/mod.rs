//! How a node is set up: one struct per section of `config.yaml`.
//!
//! Everything has a default but the tokens and addresses. Durations are numbers of seconds, whole
//! or not.

mod fault;
mod section;

pub use fault::ConfigFault;
pub use section::{
    AssetServiceConfig, Device, LimitsConfig, LoadBalancerConfig, LoggingConfig, Mode, ModelConfig,
    ModelType, RegistrationConfig, Resolution, SecurityConfig, ServerConfig, SpoolConfig,
};
use serde::{Deserialize, Serialize};
pub use tryon_core::time::Seconds;
use tryon_trace::TracesConfig;

/// The configuration of a node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeConfig {
    /// Who the node is and where it listens.
    pub server: ServerConfig,
    /// Who may ask it.
    pub security: SecurityConfig,
    /// Who receives its results.
    pub asset_service: AssetServiceConfig,
    /// Who is told when its device is free.
    pub load_balancer: LoadBalancerConfig,
    /// Who is told that it is there.
    pub registration: RegistrationConfig,
    /// What it runs.
    pub model: ModelConfig,
    /// Where results wait until they are received.
    pub spool: SpoolConfig,
    /// What it accepts, and how long it waits.
    pub limits: LimitsConfig,
    /// What it logs.
    pub logging: LoggingConfig,
    /// Where traces go.
    pub traces: TracesConfig,
}

impl NodeConfig {
    /// Everything that keeps a node of this configuration from starting; empty when nothing does.
    pub fn faults(&self) -> Vec<ConfigFault> {
        fault::find_faults(self)
    }
}
