//! How a gateway is set up: one struct per section of `config.yaml`.
//!
//! Everything has a default but the secrets and the nodes. Durations are numbers of seconds, whole
//! or not; sizes are bytes.

mod database;
mod fault;
mod section;
mod sign_in;
mod task;

pub use fault::ConfigFault;
use serde::{Deserialize, Serialize};
use tryon_core::limit::Limits;
use tryon_trace::TracesConfig;

pub use self::{
    database::{Database, DatabaseConfig, DatabaseUrl},
    section::{
        CallbackConfig, FetchConfig, JobConfig, LimitConfig, NodeConfig, RateConfig,
        RegistrationConfig, SecretConfig, ServerConfig, StorageConfig, WebhookConfig,
    },
    sign_in::{OidcConfig, SignInConfig},
    task::{TaskConfig, find_plan},
};

/// The configuration of a gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// Where it listens and what clients call it.
    pub server: ServerConfig,
    /// Where it remembers.
    pub database: DatabaseConfig,
    /// Where pictures are kept.
    pub storage: StorageConfig,
    /// What nobody else may know.
    pub secrets: SecretConfig,
    /// Who computes.
    pub nodes: Vec<NodeConfig>,
    /// Who else computes: nodes that make themselves known.
    pub registration: RegistrationConfig,
    /// Who may report results, and register as a node.
    pub callbacks: CallbackConfig,
    /// How input pictures are fetched, and where webhooks may go.
    pub fetch: FetchConfig,
    /// How clients are told of their jobs' ends.
    pub webhooks: WebhookConfig,
    /// Who signs in to the pages, and how.
    pub sign_in: SignInConfig,
    /// Who serves which task. The first entry that fits a request serves it; a request that none
    /// fits is refused.
    pub tasks: Vec<TaskConfig>,
    /// How long things take, and are kept.
    pub jobs: JobConfig,
    /// Where requests are counted.
    pub rates: RateConfig,
    /// What is accepted, and how long it is waited for.
    pub limits: LimitConfig,
    /// Where traces go.
    pub traces: TracesConfig,
    /// The limits of an account that is given none.
    pub default_limits: Limits,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            server: ServerConfig::default(),
            database: DatabaseConfig::default(),
            storage: StorageConfig::default(),
            secrets: SecretConfig::default(),
            nodes: Vec::new(),
            registration: RegistrationConfig::default(),
            callbacks: CallbackConfig::default(),
            fetch: FetchConfig::default(),
            webhooks: WebhookConfig::default(),
            sign_in: SignInConfig::default(),
            tasks: task::preview(),
            jobs: JobConfig::default(),
            rates: RateConfig::default(),
            limits: LimitConfig::default(),
            traces: TracesConfig::default(),
            default_limits: Limits::default(),
        }
    }
}

impl GatewayConfig {
    /// Everything that keeps a gateway of this configuration from starting; empty when nothing
    /// does.
    pub fn faults(&self) -> Vec<ConfigFault> {
        fault::find_faults(self)
    }
}
