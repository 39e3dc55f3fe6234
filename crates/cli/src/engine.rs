//! The engines this binary has, by name. Nothing else in the platform knows them.

use std::{ffi::OsString, path::PathBuf, sync::Arc};

use tryon_core::task::Provider;
use tryon_engine::{
    Engine, EngineError,
    supervisor::{SupervisorConfig, WorkerCommand},
    worker,
};
use tryon_engine_preview::PreviewEngine;
use tryon_engine_qwen::engine::{Device, EngineConfig, Mode, load};
use tryon_node::{
    NodeConfig,
    config::{Device as DeviceChoice, Mode as WeightMode, ModelConfig},
};

use crate::loading::{self, Lines};

/// An engine of this binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum EngineName {
    /// The classical engine, on any CPU: a preview, not a generative model
    Preview,
    /// Qwen-Image-Edit
    Qwen,
    /// Qwen-Image-Edit, distilled to four steps, in FP8
    Lightxv,
}

impl EngineName {
    /// The engine that serves `provider`; without one, the best that this machine can run. That is
    /// the preview: the diffusion model runs on a CPU, but nobody would wait for it.
    pub(crate) const fn choose(provider: Option<Provider>) -> Self {
        match provider {
            None | Some(Provider::Preview) => Self::Preview,
            Some(Provider::Qwen) => Self::Qwen,
            Some(Provider::Lightxv) => Self::Lightxv,
        }
    }

    /// The provider that it serves, for a node to say until it is loaded.
    pub(crate) const fn provider(self) -> Provider {
        match self {
            Self::Preview => Provider::Preview,
            Self::Qwen => Provider::Qwen,
            Self::Lightxv => Provider::Lightxv,
        }
    }

    /// Loads it into this process, and draws how far it is.
    pub(crate) fn load(self, model: &ModelConfig) -> Result<Box<dyn Engine>, EngineError> {
        match self.settings(model) {
            None => Ok(Box::new(PreviewEngine::new())),
            Some(settings) => load(settings, loading::shown()),
        }
    }

    /// What the diffusion model is set up with; the preview needs nothing.
    fn settings(self, model: &ModelConfig) -> Option<EngineConfig> {
        if self == Self::Preview {
            return None;
        }
        let mode = match model.default_mode {
            WeightMode::Fp8 => Mode::Fp8,
            WeightMode::Lora => Mode::Lora,
            WeightMode::Base => Mode::Base,
        };
        Some(EngineConfig {
            checkpoint: model.dir.join(&model.checkpoint),
            device: match model.device {
                DeviceChoice::Auto => Device::Auto,
                DeviceChoice::Cuda => Device::Cuda,
                DeviceChoice::Cpu => Device::Cpu,
            },
            schedule: model.schedule.clone(),
            fp8_activations: model.fp8_activations,
            low_memory: model.low_memory,
            language: model.language.clone(),
            prompts: model.prompts.clone(),
            ..EngineConfig::new(self.provider(), mode, &model.dir)
        })
    }

    /// Serves the node that started this process, until that ends. `settings` are as
    /// [`Self::supervise`] writes them.
    pub(crate) fn serve_worker(settings: Option<&EngineConfig>) -> ! {
        worker::serve(&|| match settings {
            None => Ok(Box::new(PreviewEngine::new()) as Box<dyn Engine>),
            Some(settings) => load(settings.clone(), Arc::new(Lines::default())),
        })
    }

    /// How a node with this engine runs it: this binary again, in a process of its own.
    pub(crate) fn supervise(self, node: &NodeConfig) -> SupervisorConfig {
        let mut args: Vec<OsString> = vec!["worker".into()];
        if let Some(settings) = self.settings(&node.model) {
            let settings = serde_json::to_string(&settings);
            args.push("--settings".into());
            args.push(settings.expect("BUG: settings are JSON").into());
        }
        let command = WorkerCommand {
            // The running binary itself, also after its file was replaced by another version.
            program: PathBuf::from("/proc/self/exe"),
            args,
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
    fn a_provider_is_served_by_its_own_engine_alone() {
        assert_eq!(EngineName::choose(None), EngineName::Preview);
        for provider in Provider::ALL {
            assert_eq!(EngineName::choose(Some(*provider)).provider(), *provider);
        }
    }

    #[test]
    fn a_worker_is_told_what_its_node_was_configured_with() {
        let mut node = NodeConfig::default();
        node.model.default_mode = WeightMode::Lora;
        node.model.device = DeviceChoice::Cuda;
        let command = EngineName::Qwen.supervise(&node).command;
        let [worker, flag, settings] = command.args.as_slice() else {
            panic!("{command:?}");
        };
        assert_eq!(
            (worker.to_str(), flag.to_str()),
            (Some("worker"), Some("--settings"))
        );
        let settings: EngineConfig = serde_json::from_str(settings.to_str().unwrap()).unwrap();
        assert_eq!(
            (settings.provider, settings.mode, settings.device),
            (Provider::Qwen, Mode::Lora, Device::Cuda)
        );
        assert!(EngineName::Preview.supervise(&node).command.args.len() == 1);
    }
}
