//! The engine behind the providers `qwen` and `lightxv`.

mod config;
mod device;
mod load;
mod person;

use std::sync::Arc;

use image::RgbImage;
use tryon_core::task::{ModerationLevel, Provider, Task};
use tryon_engine::{
    Description, Engine, EngineError, Monitor, Options, Output, Refusal, Request, Stage, Step,
};

use self::{config::fault, person::Aside};
pub use self::{
    config::{EngineConfig, Mode},
    device::{Device, UnknownDevice},
    load::load,
};
use crate::{
    backend::{Backend, Cpu},
    error::{LoadError, RunError},
    image::dims,
    moderation::{Moderator, threshold},
    parse::Parser,
    pipeline::{Job, Noise, Pipeline, Residency, Watch},
    prompt::{Ask, Language, Prompts},
    schedule::{Rounding, Schedule},
    tap::Untapped,
    weights::Follow,
};

/// What guidance is led away from. The published pipeline's own choice.
const NEGATIVE: &str = " ";

/// About how many pixels a picture has whose size nobody named.
const AREA: u32 = 1024 * 1024;

/// The engine.
pub struct QwenEngine<B: Backend> {
    config: EngineConfig,
    pipeline: Pipeline<B>,
    parser: Option<Parser<B>>,
    aside: Option<Arc<Aside>>,
    moderator: Option<Moderator<B>>,
    prompts: Prompts,
    language: Language,
    schedule: Schedule,
}

impl<B: Backend> QwenEngine<B> {
    /// Loads the model, and the person parser and the moderator where they are installed. `follower`
    /// is told how far the model is: here, and whenever a part of it is loaded for a request.
    pub fn load(
        backend: B,
        config: EngineConfig,
        follower: Arc<dyn Follow>,
    ) -> Result<Self, EngineError> {
        config.check()?;
        if !config.checkpoint.is_dir() {
            let folder = config.checkpoint.display();
            return Err(fault(format!(
                "`{folder}` is not installed: `tryon models list` says what can be"
            )));
        }
        let (prompts, language) = (config.prompts()?, config.language()?);
        let schedule = config.schedule()?;
        let parser = installed(&config.parser, |folder| Parser::open(&backend, folder))?;
        let aside = installed(&config.parser, |folder| Parser::open(&Cpu, folder))?;
        let moderator = installed(&config.moderator, |folder| {
            Moderator::open(&backend, folder)
        })?;
        let (files, residency) = (config.files(), config.residency());
        Ok(Self {
            pipeline: Pipeline::open_followed(backend, files, residency, follower)?,
            parser,
            aside: aside.map(|parser| Arc::new(Aside(parser))),
            moderator,
            prompts,
            language,
            schedule,
            config,
        })
    }

    fn prompt(&self, options: &Options, masked: bool) -> String {
        let ask = match options.task {
            Task::Clothes => Ask::Clothes {
                category: options.category,
                masked,
            },
            Task::Hairstyle => Ask::Hairstyle {
                haircut: options.haircut.expect("BUG: the haircut was looked for"),
                color: options.hair_color.as_deref(),
            },
            Task::Tattoo => Ask::Tattoo {
                placement: options.placement.as_deref(),
                region: options.region,
            },
        };
        match &options.prompt {
            Some(prompt) => prompt.clone(),
            None => self.prompts.render(self.language, ask),
        }
    }

    /// Refuses a picture that is likely to be unfit. Does nothing without a moderator.
    fn moderate(
        &self,
        what: &str,
        picture: &RgbImage,
        (level, monitor): (ModerationLevel, &mut dyn Monitor),
    ) -> Result<(), EngineError> {
        let (Some(moderator), Some(threshold)) = (&self.moderator, threshold(level)) else {
            return Ok(());
        };
        monitor.stage(Stage::Moderate);
        let backend = self.pipeline.backend();
        let likelihood = moderator.judge(backend, picture, &mut Untapped);
        if likelihood.map_err(RunError::from)? < threshold {
            return Ok(());
        }
        let message = format!("{what} was refused by moderation at level `{level}`");
        Err(EngineError::refused(Refusal::Moderation, message))
    }

    fn metadata(&self, options: &Options, schedule: Schedule) -> Vec<(String, String)> {
        let text = |key: &str, value: String| (key.to_owned(), value);
        vec![
            text("Software", format!("tryon {}", env!("CARGO_PKG_VERSION"))),
            text("tryon:model", self.config.provider.to_string()),
            text("tryon:version", self.version()),
            text("tryon:seed", options.seed.to_string()),
            text("tryon:steps", options.steps.to_string()),
            text("tryon:schedule", schedule.to_string()),
        ]
    }

    /// Those that its runs may have, with what is installed and what stays in memory.
    fn stages(&self) -> Vec<Stage> {
        let moderate = self.moderator.is_some().then_some(Stage::Moderate);
        let loads = self.pipeline.residency() != Residency::Whole;
        let load = loads.then_some(Stage::Load);
        let always = [Stage::EncodeInputs, Stage::Denoise, Stage::DecodeLatents];
        let before = [Some(Stage::ReadPerson), moderate, load];
        before.into_iter().flatten().chain(always).collect()
    }

    /// The checkpoint's folder and how it is used, such as `qwen-image-edit-2511 fp8`.
    fn version(&self) -> String {
        let folder = self.config.checkpoint.file_name().unwrap_or_default();
        let mode = format!("{:?}", self.config.mode).to_lowercase();
        format!("{} {mode}", folder.to_string_lossy())
    }
}

/// What lies in a folder, if there is one.
fn installed<T>(
    folder: &std::path::Path,
    open: impl FnOnce(&std::path::Path) -> Result<T, LoadError>,
) -> Result<Option<T>, EngineError> {
    if !folder.is_dir() {
        return Ok(None);
    }
    Ok(Some(open(folder)?))
}

impl<B: Backend> Engine for QwenEngine<B> {
    fn describe(&self) -> Description {
        let unmoderated = "no moderator is installed: `moderation_level` is accepted and has no \
                           effect";
        let unmoderated = self.moderator.is_none().then_some(unmoderated);
        let notices: Vec<&str> = [unmoderated, short_of_memory(self.pipeline.residency())]
            .into_iter()
            .flatten()
            .collect();
        Description {
            providers: vec![self.config.provider],
            tasks: Task::ALL.to_vec(),
            model_type: self.config.provider.to_string(),
            model_version: self.version(),
            backend: self.pipeline.backend().name().to_owned(),
            notice: (!notices.is_empty()).then(|| notices.join("; ")),
            default_steps: self.config.default_steps(),
            stages: self.stages(),
        }
    }

    fn parser(&self) -> Option<Arc<dyn tryon_engine::Parser>> {
        let aside = self.aside.clone()?;
        Some(aside)
    }

    fn run(&mut self, request: &Request, monitor: &mut dyn Monitor) -> Result<Output, EngineError> {
        let options = &request.options;
        check(request)?;
        monitor.stage(Stage::ReadPerson);
        let person = self.person(request)?;
        let garment = request.garment.as_ref().map(person::flatten);
        let moderated = [
            ("the person's picture", Some(&person.picture)),
            ("the garment's picture", garment.as_ref()),
        ];
        for (what, picture) in moderated {
            if let Some(picture) = picture {
                self.moderate(what, picture, (options.moderation, monitor))?;
            }
        }
        let (width, height) = match options.size {
            Some(size) => size,
            None => dims(AREA, person.picture.dimensions())?,
        };
        let prompt = self.prompt(options, person.masked);
        let references: Vec<RgbImage> = [Some(person.picture), garment]
            .into_iter()
            .flatten()
            .collect();
        let job = Job {
            prompt: &prompt,
            negative_prompt: Some(NEGATIVE),
            references: &references,
            width,
            height,
            steps: options.steps as usize,
            true_cfg_scale: options.cfg,
            schedule: self.schedule,
            noise: Noise::Seed(options.seed),
            areas: self.config.areas(),
            rounding: Rounding::Bf16,
            drop: None,
        };
        let mut progress = Progress { monitor, done: 0 };
        let picture = self.pipeline.run(&job, &mut progress, &mut Untapped)?;
        self.moderate("the result", &picture, (options.moderation, monitor))?;
        Ok(Output {
            metadata: self.metadata(options, self.schedule),
            picture,
        })
    }
}

/// What a model that is not in memory as a whole costs.
const fn short_of_memory(residency: Residency) -> Option<&'static str> {
    match residency {
        Residency::Auto | Residency::Whole => None,
        Residency::Swapped => Some(
            "there is no room for the whole model: the text encoder is loaded for each request",
        ),
        Residency::Parts => {
            Some("there is no room for the whole model: each part of it is loaded for each request")
        }
    }
}

/// What can be told without the model.
fn check(request: &Request) -> Result<(), EngineError> {
    let options = &request.options;
    let input = |message: &str| Err(EngineError::refused(Refusal::Input, message));
    match options.task {
        Task::Hairstyle if options.haircut.is_none() => input("`haircut` is missing"),
        Task::Clothes if request.garment.is_none() => input("`garment_image` is missing"),
        Task::Tattoo if request.garment.is_none() => input("`design_image` is missing"),
        _ if request.provider == Provider::Preview => {
            Err(fault("BUG: a request for another engine"))
        }
        _ => Ok(()),
    }
}

/// Tells the monitor how far a run is.
struct Progress<'a> {
    monitor: &'a mut dyn Monitor,
    done: u32,
}

impl Watch for Progress<'_> {
    fn advance(&mut self, total: usize) -> Result<(), RunError> {
        self.done += 1;
        let step = Step {
            done: self.done,
            total: total as u32,
        };
        self.monitor.step(step).map_err(|error| match error {
            EngineError::Cancelled => RunError::Cancelled,
            error => RunError::Monitor(error),
        })
    }

    fn stage(&mut self, stage: Stage) {
        self.monitor.stage(stage);
    }
}
