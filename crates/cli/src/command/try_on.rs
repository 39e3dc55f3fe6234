//! `tryon try`: one try-on here, without a server.

use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tryon_core::{
    category::Category,
    task::{GarmentPhotoType, Haircut, ModerationLevel, Provider, Region, Task},
};
use tryon_engine::{EngineError, Monitor, Options, Request, Step};
use tryon_node::config::{Mode, ModelConfig};
use tryon_picture::{Growth, fit_long_side, resize};

use super::{category, output_format, region};
use crate::{engine::EngineName, failure::Failure, picture_file};

/// A try-on on this machine.
#[derive(Debug, Args)]
pub(crate) struct TryArgs {
    /// The photo of the person
    person: PathBuf,
    /// The photo of the garment, or the tattoo's design; a hairstyle needs none
    garment: Option<PathBuf>,
    /// Where to write the picture: PNG, or JPEG by its ending
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The kind of try-on: `clothes`, `hairstyle` or `tattoo`
    #[arg(long, default_value = "clothes")]
    task: Task,
    /// What the garment is: `auto`, `tops`, `bottoms`, `one-pieces`, …
    #[arg(long, default_value = "auto", value_parser = category)]
    category: Category,
    /// Where to ink: `x,y,w,h` as shares of the picture
    #[arg(long, value_parser = region)]
    region: Option<Region>,
    /// The same seed and pictures give the same bytes
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// The longest side to work at, in pixels
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(64..=4096))]
    max_side: u32,
    /// What makes the picture: `preview`, `qwen` or `lightxv`; `preview` where absent
    #[arg(long, value_name = "NAME")]
    provider: Option<Provider>,
    /// Denoising steps; what the model was made for where absent
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    steps: Option<u32>,
    /// Guidance scale; 1 is none
    #[arg(long, default_value_t = 1.0)]
    cfg: f32,
    /// What to do, in your own words
    #[arg(long)]
    prompt: Option<String>,
    /// Which haircut, such as `BobCut`, for a hairstyle
    #[arg(long)]
    haircut: Option<Haircut>,
    /// Its colour
    #[arg(long)]
    hair_color: Option<String>,
    /// Width and height of the picture; the engine's own choice where absent
    #[arg(long, value_name = "WxH", value_parser = size)]
    size: Option<(u32, u32)>,
    /// How the model's weights are used: `fp8`, `lora` or `base`
    #[arg(long, value_parser = mode, default_value = "fp8")]
    mode: Mode,
    /// The folder of installed models
    #[arg(long, value_name = "DIR", default_value = "./data/models")]
    models: PathBuf,
}

/// Runs the engine in this process and writes what it made.
pub(crate) fn run(args: &TryArgs) -> Result<(), Failure> {
    let format = output_format(&args.output);
    let person = read(&args.person, args.max_side)?;
    let garment = args.garment.as_ref();
    let garment = garment.map(|path| read(path, args.max_side)).transpose()?;
    let model = ModelConfig {
        dir: args.models.clone(),
        default_mode: args.mode,
        ..ModelConfig::default()
    };
    let provider = args.provider.unwrap_or(Provider::Preview);
    let engine = EngineName::of(provider).load(&model);
    let mut engine = engine.map_err(|error| engine_failed(&error))?;
    let description = engine.describe();
    let request = Request {
        provider: description.providers[0],
        options: options(args, description.default_steps),
        person,
        garment,
    };
    let mut bar = Bar::new();
    let made = engine
        .run(&request, &mut bar)
        .map_err(|error| engine_failed(&error))?;
    bar.0.finish_and_clear();
    let file = made.encode(format).map_err(|error| {
        Failure::from_error("the picture cannot be written as a file", &error)
            .hint("name another kind of file with `--output`: PNG or JPEG")
    })?;
    picture_file::write(&args.output, &file)?;
    println!("{}", args.output.display());
    if let Some(notice) = description.notice {
        eprintln!("note: {notice}");
    }
    Ok(())
}

fn read(path: &std::path::Path, max_side: u32) -> Result<image::RgbaImage, Failure> {
    let name = path.display().to_string();
    let picture = picture_file::decode(&picture_file::read(path)?, &name)?;
    let (width, height) = fit_long_side(
        picture.width(),
        picture.height(),
        max_side,
        1,
        Growth::Never,
    );
    if (width, height) == picture.dimensions() {
        return Ok(picture);
    }
    Ok(resize(&picture, width, height))
}

/// Reads `WIDTHxHEIGHT`.
fn size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once('x');
    let sides = sides.and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    sides.ok_or_else(|| "width and height are needed, such as `768x1024`".to_owned())
}

/// Reads a mode's name in the configuration.
fn mode(text: &str) -> Result<Mode, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

fn options(args: &TryArgs, default_steps: u32) -> Options {
    Options {
        task: args.task,
        category: args.category,
        region: args.region,
        placement: None,
        haircut: args.haircut,
        subcategory: None,
        garment_photo: GarmentPhotoType::Auto,
        segmentation_free: true,
        hair_color: args.hair_color.clone(),
        seed: args.seed,
        steps: args.steps.unwrap_or(default_steps),
        cfg: args.cfg,
        prompt: args.prompt.clone(),
        size: args.size,
        moderation: ModerationLevel::None,
    }
}

fn engine_failed(error: &EngineError) -> Failure {
    match error {
        EngineError::Refused { message, .. } => {
            Failure::new(message.clone()).hint("`tryon try --help` lists what can be asked for")
        }
        other => Failure::from_error("no picture was made", other)
            .hint("`tryon doctor` says what this machine can run"),
    }
}

/// Draws an engine's steps.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        let style = "{elapsed_precise} {bar:32} step {pos} of {len}";
        let style = ProgressStyle::with_template(style).expect("BUG: the template is one");
        Self(ProgressBar::new(1).with_style(style))
    }
}

impl Monitor for Bar {
    fn step(&mut self, step: Step) -> Result<(), EngineError> {
        self.0.set_length(step.total.into());
        self.0.set_position(step.done.into());
        Ok(())
    }
}
