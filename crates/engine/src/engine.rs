//! What a model implements.

use std::sync::Arc;

use image::{RgbImage, RgbaImage};
use serde::{Deserialize, Serialize};
use tryon_core::{
    category::Category,
    stage::Stage,
    task::{GarmentPhotoType, Haircut, ModerationLevel, OutputFormat, Provider, Region, Task},
};
use tryon_picture::{Mask, PictureError, encode_jpeg, encode_png};

/// A model that is loaded and ready to run requests, one at a time.
pub trait Engine: Send {
    /// What this engine is and what it offers. Constant while it lives.
    fn describe(&self) -> Description;

    /// Runs one request.
    ///
    /// The engine calls [`Monitor::step`] at each step boundary and returns
    /// [`EngineError::Cancelled`] as soon as it says so. It calls [`Monitor::stage`] as each of its
    /// [`Description::stages`] begins. The same request gives the same bytes on
    /// the same device.
    fn run(&mut self, request: &Request, monitor: &mut dyn Monitor) -> Result<Output, EngineError>;

    /// What finds the region to dress in a photo where none is marked; `None` where nothing is
    /// masked, because the model finds out by itself what to change.
    fn parser(&self) -> Option<Arc<dyn Parser>> {
        None
    }
}

/// Finds the region of a photo that is to be dressed.
///
/// It is asked while the engine runs a request, from another thread: it holds nothing of a run and
/// does not use its device.
pub trait Parser: Send + Sync {
    /// The region of `photo`, upright, that would be masked for a garment of `category`; `None` where
    /// none would be. The mask has the photo's proportions and may have fewer pixels. An error is
    /// what a run on the photo would be refused with.
    fn parse(&self, photo: &RgbaImage, category: Category) -> Result<Option<Mask>, EngineError>;
}

/// The region of a photo that is to be dressed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Masked {
    /// Its share of the photo's pixels, 0–1.
    pub share: f64,
    /// The smallest rectangle around it in shares of the photo's sides: left, top, width, height.
    pub frame: [f64; 4],
}

impl Masked {
    /// Measures a mask; `None` where no pixel is inside.
    pub fn measure(mask: &Mask) -> Option<Self> {
        Some(Self {
            share: mask.share(),
            frame: mask.frame()?,
        })
    }
}

/// Loads an engine. Loading may take minutes; it happens in the worker process.
pub trait Load {
    /// Loads the engine, or says why it cannot be had here.
    fn load(&self) -> Result<Box<dyn Engine>, EngineError>;
}

impl<F> Load for F
where
    F: Fn() -> Result<Box<dyn Engine>, EngineError>,
{
    fn load(&self) -> Result<Box<dyn Engine>, EngineError> {
        self()
    }
}

/// What an engine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The providers it answers for.
    pub providers: Vec<Provider>,
    /// The tasks it can do.
    pub tasks: Vec<Task>,
    /// The model's name, such as `preview`.
    pub model_type: String,
    /// The model's version, stamped on every result.
    pub model_version: String,
    /// What it computes on, such as `cpu`.
    pub backend: String,
    /// What a user must know about its pictures, such as "preview, not a generative model".
    pub notice: Option<String>,
    /// Steps that a request takes where it names no number.
    pub default_steps: u32,
    /// The stages that its runs may have, each once.
    pub stages: Vec<Stage>,
}

/// One picture to make.
#[derive(Debug, Clone)]
pub struct Request {
    /// The provider that was asked for; one of the engine's own.
    pub provider: Provider,
    /// What to do and how.
    pub options: Options,
    /// The photo of the person, upright. Where it is transparent or painted pure green
    /// (0, 255, 0), it is to be dressed.
    pub person: RgbaImage,
    /// The photo of the garment, or the tattoo's design. A hairstyle has none.
    pub garment: Option<RgbaImage>,
}

/// What to do with the pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// The kind of try-on.
    pub task: Task,
    /// What the garment picture shows.
    #[serde(default)]
    pub category: Category,
    /// The finer kind of a piece of clothing, jewellery or an accessory, in the client's words.
    #[serde(default)]
    pub subcategory: Option<String>,
    /// How the garment picture was taken.
    #[serde(default = "unknown_photo")]
    pub garment_photo: GarmentPhotoType,
    /// Whether the engine may work without a segmentation of the person.
    #[serde(default = "allowed")]
    pub segmentation_free: bool,
    /// Where to ink, for a tattoo.
    #[serde(default)]
    pub region: Option<Region>,
    /// Where and how to ink, in the client's words.
    #[serde(default)]
    pub placement: Option<String>,
    /// The haircut, for a hairstyle.
    #[serde(default)]
    pub haircut: Option<Haircut>,
    /// Its colour, in the client's words.
    #[serde(default)]
    pub hair_color: Option<String>,
    /// The seed: the same seed and inputs give the same bytes on the same device.
    pub seed: u64,
    /// Denoising steps, 1–100.
    pub steps: u32,
    /// Guidance scale, 0–20.
    pub cfg: f32,
    /// Replaces the built-in prompt of the task.
    #[serde(default)]
    pub prompt: Option<String>,
    /// Width and height of the output in pixels; the engine's own choice where absent.
    #[serde(default)]
    pub size: Option<(u32, u32)>,
    /// How strictly to moderate.
    pub moderation: ModerationLevel,
}

const fn unknown_photo() -> GarmentPhotoType {
    GarmentPhotoType::Auto
}

const fn allowed() -> bool {
    true
}

/// A picture that was made.
#[derive(Debug, Clone)]
pub struct Output {
    /// The picture.
    pub picture: RgbImage,
    /// Keyword and text pairs to be written into the file.
    pub metadata: Vec<(String, String)>,
}

/// Of 100: differences to the original are not seen, at a fifth of a PNG's size.
const JPEG_QUALITY: u8 = 92;

impl Output {
    /// The file: the picture with its metadata as texts (PNG) or as one comment (JPEG).
    pub fn encode(&self, format: OutputFormat) -> Result<Vec<u8>, PictureError> {
        let texts = self.metadata.iter();
        match format {
            OutputFormat::Png => {
                let texts = texts.map(|(key, text)| (key.as_str(), text.as_str()));
                encode_png(&self.picture, &texts.collect::<Vec<_>>())
            }
            OutputFormat::Jpeg => {
                let lines = texts.map(|(key, text)| format!("{key}: {text}"));
                let comment = lines.collect::<Vec<_>>().join("\n");
                encode_jpeg(&self.picture, JPEG_QUALITY, &comment)
            }
        }
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Steps done.
    pub done: u32,
    /// Steps in all.
    pub total: u32,
}

/// Watches a run from outside the engine.
pub trait Monitor {
    /// Takes note that a step ended. [`EngineError::Cancelled`] asks the engine to stop.
    fn step(&mut self, step: Step) -> Result<(), EngineError>;

    /// Takes note that a stage begins, and that the one before is over: what was computed in it is
    /// there, and not merely asked of the device. A stage may come more than once, and one that is
    /// told of twice in a row goes on.
    fn stage(&mut self, _stage: Stage) {}
}

/// Why a request cannot be served although the engine is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The pictures or options cannot be used.
    Input,
    /// No person, or not one that can be dressed.
    Pose,
    /// Moderation refused a picture.
    Moderation,
}

/// Why no picture was made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The request cannot be served; another attempt would end the same way.
    #[error("{message}")]
    Refused {
        /// The kind.
        refusal: Refusal,
        /// A sentence for the client that says what to do.
        message: String,
    },
    /// It was asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// The device has too little memory for this request; the engine goes on.
    #[error("out of memory: {needed} needed")]
    OutOfMemory {
        /// What could not be allocated.
        needed: String,
    },
    /// The engine failed. The worker process ends and is started again.
    #[error("the engine failed")]
    Fault(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl EngineError {
    /// A refusal of this kind.
    pub fn refused(refusal: Refusal, message: impl Into<String>) -> Self {
        Self::Refused {
            refusal,
            message: message.into(),
        }
    }
}
