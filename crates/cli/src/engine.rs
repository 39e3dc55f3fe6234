//! The engines this binary has, by name. Nothing else in the platform knows them.

use std::path::PathBuf;

use tryon_core::task::Provider;
use tryon_engine::{
    Engine, EngineError,
    supervisor::{SupervisorConfig, WorkerCommand},
    worker,
};
use tryon_engine_preview::PreviewEngine;
use tryon_node::NodeConfig;

use crate::failure::Failure;

/// An engine of this binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum EngineName {
    /// The classical engine, on any CPU: a preview, not a generative model
    Preview,
}

impl EngineName {
    /// The engine that serves `provider`; without one, the best that this machine can run.
    pub(crate) fn choose(provider: Option<Provider>) -> Result<Self, Failure> {
        match provider {
            None | Some(Provider::Preview) => Ok(Self::Preview),
            Some(provider @ (Provider::Qwen | Provider::Lightxv)) => Err(Failure::new(format!(
                "this build has no engine for `{provider}`"
            ))
            .hint("`preview` is what it has; `auto` takes the best that a machine can run")),
        }
    }

    /// The provider that it serves, for a node to say until it is loaded.
    pub(crate) const fn provider(self) -> Provider {
        match self {
            Self::Preview => Provider::Preview,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Preview => "preview",
        }
    }

    /// Loads it into this process.
    #[expect(
        clippy::unnecessary_wraps,
        reason = "engines with weights can fail to load"
    )]
    pub(crate) fn load(self) -> Result<Box<dyn Engine>, EngineError> {
        match self {
            Self::Preview => Ok(Box::new(PreviewEngine::new())),
        }
    }

    /// Serves the node that started this process, until that ends.
    pub(crate) fn serve_worker(self) -> ! {
        worker::serve(&move || self.load())
    }

    /// How a node with this engine runs it: this binary again, in a process of its own.
    pub(crate) fn supervise(self, node: &NodeConfig) -> SupervisorConfig {
        let command = WorkerCommand {
            // The running binary itself, also after its file was replaced by another version.
            program: PathBuf::from("/proc/self/exe"),
            args: vec!["worker".into(), self.as_str().into()],
            env: Vec::new(),
        };
        SupervisorConfig {
            job_timeout: node.limits.job_timeout.duration(),
            load_timeout: node.limits.load_timeout.duration(),
            ..SupervisorConfig::new(command)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_never_quietly_replaced_by_another() {
        assert_eq!(EngineName::choose(None).unwrap(), EngineName::Preview);
        for provider in [Provider::Qwen, Provider::Lightxv] {
            let failure = EngineName::choose(Some(provider)).unwrap_err().to_string();
            assert!(failure.contains("\nhint: "), "{failure}");
        }
    }
}
