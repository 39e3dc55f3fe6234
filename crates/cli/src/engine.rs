//! The engines this binary has, by name. Nothing else in the platform knows them.

use std::{ffi::OsString, path::PathBuf, sync::Arc};

use tryon_core::task::Provider;
use tryon_engine::{
    Engine, EngineError,
    supervisor::{SupervisorConfig, WorkerCommand},
    worker,
};
use tryon_engine_preview::PreviewEngine;
use tryon_engine_qwen::{
    backend::cuda::driver::{Library, Listed, devices},
    engine::{Device, EngineConfig, Mode, load},
};
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
    /// The engine that serves `provider`.
    pub(crate) const fn of(provider: Provider) -> Self {
        match provider {
            Provider::Preview => Self::Preview,
            Provider::Qwen => Self::Qwen,
            Provider::Lightxv => Self::Lightxv,
        }
    }

    /// The engine that a node loads, and why where `model.model_type` leaves that open: the
    /// diffusion model if it is installed and there is a GPU for it, otherwise the preview. On a
    /// CPU the model runs too, but nobody would wait for it.
    pub(crate) fn choose(model: &ModelConfig) -> (Self, Option<String>) {
        if let Some(provider) = model.model_type.find_provider() {
            return (Self::of(provider), None);
        }
        let needed = || {
            let settings = Self::Qwen.settings(model);
            let settings = settings.expect("BUG: the diffusion model has settings");
            if !settings.checkpoint.is_dir() {
                let folder = settings.checkpoint.display();
                return Err(format!("`{folder}` is not installed"));
            }
            settings.gpu_memory().map_err(|error| error.to_string())
        };
        let gpus = || devices(&[]).map_err(|error| error.to_string());
        let libraries = || {
            let mut needed = [Library::Nvrtc, Library::CublasLt].into_iter();
            let opened = needed.try_for_each(|library| library.open(&[]).map(drop));
            opened.map_err(|error| error.to_string())
        };
        let (engine, why) = match find_gpu(model.device, needed, gpus, libraries) {
            Ok(why) => (Self::Qwen, why),
            Err(why) => (Self::Preview, why),
        };
        (engine, Some(why))
    }

    /// [`Self::choose`] for a node that is about to start, which is told of it; so is the log.
    pub(crate) fn choose_for(model: &mut ModelConfig) -> Self {
        let (engine, why) = Self::choose(model);
        model.model_type = engine.provider().into();
        if let Some(why) = why {
            let name = engine.provider().as_str();
            let said = format!("`model.model_type` is `auto`, which is `{name}` here: {why}");
            // Somebody who asks for a GPU expects it to be used.
            if engine == Self::Preview && model.device == DeviceChoice::Cuda {
                tracing::warn!("{said}");
            } else {
                tracing::info!("{said}");
            }
        }
        engine
    }

    /// Denoising steps and guidance scale that it makes pictures with.
    pub(crate) const fn steps(self, model: &ModelConfig) -> (u32, f32) {
        match (self, model.default_mode) {
            (Self::Preview, _) => (1, 1.0),
            (_, WeightMode::Fp8 | WeightMode::Lora) => (4, 1.0),
            (_, WeightMode::Base) => (40, 4.0),
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

/// Bytes of a GPU's memory that are taken before a model is loaded: the driver's own and what its
/// libraries work in.
const OVERHEAD: u64 = 1 << 30;

/// What there is of a GPU for a model that needs so many bytes of its memory: why it will do, or why
/// there is none. The first that the driver knows is the one that is computed on.
fn find_gpu(
    device: DeviceChoice,
    needed: impl FnOnce() -> Result<u64, String>,
    gpus: impl FnOnce() -> Result<Vec<Listed>, String>,
    libraries: impl FnOnce() -> Result<(), String>,
) -> Result<String, String> {
    if device == DeviceChoice::Cpu {
        return Err("`model.device` is `cpu`, which takes hours for a picture".to_owned());
    }
    let needed =
        needed().map_err(|error| format!("the diffusion model cannot be loaded: {error}"))?;
    let gpus = gpus().map_err(|error| format!("no GPU can be used: {error}"))?;
    let gpu = gpus.first().ok_or("the driver knows no GPU")?;
    let (name, (major, minor)) = (&gpu.name, gpu.capability);
    if gpu.capability < (8, 0) {
        return Err(format!(
            "`{name}` has compute capability {major}.{minor}, and the model needs 8.0"
        ));
    }
    let needed = needed + OVERHEAD;
    let (mib, needed_mib) = (gpu.memory >> 20, needed.div_ceil(1 << 20));
    let compared = format!("`{name}` has {mib} MiB of memory, and the model needs {needed_mib}");
    if gpu.memory < needed {
        return Err(compared);
    }
    libraries().map_err(|error| format!("`{name}` cannot be used: {error}"))?;
    Ok(compared)
}

#[cfg(test)]
mod tests {
    use tryon_node::config::ModelType;

    use super::*;

    #[test]
    fn a_provider_is_served_by_its_own_engine_alone() {
        for provider in Provider::ALL {
            assert_eq!(EngineName::of(*provider).provider(), *provider);
            let model = ModelConfig {
                model_type: (*provider).into(),
                ..ModelConfig::default()
            };
            let chosen = EngineName::choose(&model);
            assert_eq!(chosen, (EngineName::of(*provider), None));
        }
    }

    fn gpu(memory: u64, capability: (u32, u32)) -> Listed {
        Listed {
            ordinal: 0,
            name: "NVIDIA X".to_owned(),
            capability,
            memory,
            pci: (0, 1, 0),
        }
    }

    #[test]
    fn a_gpu_that_is_large_enough_is_one_for_the_model() {
        let needed = 32 << 30;
        let find = |device, gpus| find_gpu(device, || Ok(31 << 30), || Ok(gpus), || Ok(()));
        for device in [DeviceChoice::Auto, DeviceChoice::Cuda] {
            let large = vec![gpu(80 << 30, (8, 0)), gpu(8 << 30, (9, 0))];
            let why = find(device, large).unwrap();
            let expected = "`NVIDIA X` has 81920 MiB of memory, and the model needs 32768";
            assert_eq!(why, expected);
            assert!(find(device, vec![gpu(needed, (9, 0))]).is_ok());
            let small = vec![gpu(needed - 1, (9, 0)), gpu(80 << 30, (9, 0))];
            let why = find(device, small).unwrap_err();
            assert!(why.contains("32767 MiB of memory"), "{why}");
            let old = find(device, vec![gpu(80 << 30, (7, 5))]).unwrap_err();
            assert!(old.contains("capability 7.5"), "{old}");
            assert_eq!(
                find(device, Vec::new()).unwrap_err(),
                "the driver knows no GPU"
            );
        }
        let gpus = || vec![gpu(80 << 30, (9, 0))];
        let why = find(DeviceChoice::Cpu, gpus()).unwrap_err();
        assert!(why.contains("`model.device` is `cpu`"), "{why}");
        let lacking = || Err("libcublasLt is nowhere".to_owned());
        let found = find_gpu(DeviceChoice::Auto, || Ok(0), || Ok(gpus()), lacking);
        assert_eq!(
            found.unwrap_err(),
            "`NVIDIA X` cannot be used: libcublasLt is nowhere"
        );
    }

    #[test]
    fn without_a_model_no_gpu_is_looked_for() {
        let needed = || Err("`x` cannot be read".to_owned());
        let nothing = || panic!("it was looked for");
        let found = find_gpu(DeviceChoice::Auto, needed, nothing, || Ok(()));
        assert_eq!(
            found.unwrap_err(),
            "the diffusion model cannot be loaded: `x` cannot be read"
        );
        let no_driver = || Err("no driver".to_owned());
        let found = find_gpu(DeviceChoice::Auto, || Ok(1), no_driver, || Ok(()));
        assert_eq!(found.unwrap_err(), "no GPU can be used: no driver");
    }

    #[test]
    fn where_nothing_is_installed_a_node_is_a_preview() {
        let folder = tempfile::tempdir().unwrap();
        let mut model = ModelConfig {
            dir: folder.path().to_owned(),
            ..ModelConfig::default()
        };
        let (engine, why) = EngineName::choose(&model);
        assert_eq!(engine, EngineName::Preview);
        let why = why.unwrap();
        assert!(why.contains("qwen-image-edit-2511"), "{why}");
        assert_eq!(EngineName::choose_for(&mut model), EngineName::Preview);
        assert_eq!(model.model_type, ModelType::Preview);
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
