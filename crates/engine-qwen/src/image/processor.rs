//! The text encoder's image processor, as a checkpoint configures it.

use std::path::{Path, PathBuf};

use image::RgbImage;
use serde::Deserialize;

use super::{
    filter::Filter,
    patch::{Cut, VisionInput, patchify},
    resize::resize,
    size::smart_resize,
};
use crate::{
    config,
    error::{LoadError, RunError},
};

/// Makes patches of a picture.
///
/// transformers 5.23.0, `models/qwen2_vl/image_processing_pil_qwen2_vl.py`,
/// `Qwen2VLImageProcessorPil`.
#[derive(Debug, Clone)]
pub struct Processor {
    cut: Cut,
    least: u64,
    most: u64,
    /// What each byte of each channel stands for.
    values: Box<[[f32; 256]; 3]>,
}

/// The keys of `preprocessor_config.json`.
#[derive(Deserialize)]
struct Config {
    image_processor_type: String,
    /// The limits as older versions of transformers write them.
    min_pixels: Option<u64>,
    max_pixels: Option<u64>,
    /// And as newer ones do.
    #[serde(default)]
    size: Limits,
    patch_size: usize,
    temporal_patch_size: usize,
    merge_size: usize,
    image_mean: [f32; 3],
    image_std: [f32; 3],
    #[serde(default = "bicubic")]
    resample: u32,
    #[serde(default = "one_of_255")]
    rescale_factor: f64,
    #[serde(default = "yes")]
    do_resize: bool,
    #[serde(default = "yes")]
    do_rescale: bool,
    #[serde(default = "yes")]
    do_normalize: bool,
}

#[derive(Default, Deserialize)]
struct Limits {
    shortest_edge: Option<u64>,
    longest_edge: Option<u64>,
}

/// `processor_config.json`, in which transformers 5 keeps everything.
#[derive(Deserialize)]
struct Nested {
    image_processor: Config,
}

/// Pillow's number for it.
const BICUBIC: u32 = 3;

fn bicubic() -> u32 {
    BICUBIC
}

fn one_of_255() -> f64 {
    1.0 / 255.0
}

fn yes() -> bool {
    true
}

impl Processor {
    /// Reads `processor/preprocessor_config.json` of a checkpoint, or `processor_config.json`
    /// where that is not there.
    pub fn open(checkpoint: &Path) -> Result<Self, LoadError> {
        let folder = checkpoint.join("processor");
        let path = folder.join("preprocessor_config.json");
        if path.exists() {
            let config = config::read(&path)?;
            return Self::new(&config, &Place { path, above: "" });
        }
        let path = folder.join("processor_config.json");
        let config: Nested = config::read(&path)?;
        let above = "image_processor.";
        Self::new(&config.image_processor, &Place { path, above })
    }

    fn new(config: &Config, place: &Place) -> Result<Self, LoadError> {
        config.check(place)?;
        // As in the reference, an older key that is there still decides.
        let least = config.min_pixels.or(config.size.shortest_edge);
        let most = config.max_pixels.or(config.size.longest_edge);
        let least = least.ok_or_else(|| place.fault("size.shortest_edge", "is missing"))?;
        let most = most.ok_or_else(|| place.fault("size.longest_edge", "is missing"))?;
        if least > most {
            return Err(place.fault("size", "allows no size: its least is above its most"));
        }
        Ok(Self {
            cut: Cut {
                side: config.patch_size,
                merge: config.merge_size,
                frames: config.temporal_patch_size,
            },
            least,
            most,
            values: Box::new(config.values()),
        })
    }

    /// Pixels of a patch's side.
    pub fn patch_size(&self) -> usize {
        self.cut.side
    }

    /// Patches of the side of a square that becomes one token.
    pub fn merge_size(&self) -> usize {
        self.cut.merge
    }

    /// Frames of a film that a patch has; a picture's are all the same.
    pub fn temporal_patch_size(&self) -> usize {
        self.cut.frames
    }

    /// Resamples a picture to whole squares of patches, and cuts it.
    pub fn process(&self, picture: &RgbImage) -> Result<VisionInput, RunError> {
        let factor = (self.cut.side * self.cut.merge) as u32;
        let (width, height) = smart_resize(picture.dimensions(), factor, self.least, self.most)?;
        let picture = resize(picture, width, height, Filter::Bicubic);
        Ok(patchify(&picture, self.cut, &self.values))
    }
}

/// Where a configuration was read.
struct Place {
    path: PathBuf,
    above: &'static str,
}

impl Place {
    fn fault(&self, key: &str, problem: impl Into<String>) -> LoadError {
        LoadError::config(&self.path, format!("{}{key}", self.above), problem)
    }
}

impl Config {
    /// Finds what would be computed otherwise than it is here.
    fn check(&self, place: &Place) -> Result<(), LoadError> {
        if !self
            .image_processor_type
            .starts_with("Qwen2VLImageProcessor")
        {
            let problem = format!(
                "is `{}`, the processor of another family of models; `Qwen2VLImageProcessor` \
                 is needed",
                self.image_processor_type
            );
            return Err(place.fault("image_processor_type", problem));
        }
        if self.resample != BICUBIC {
            let problem = format!("is {}; only 3, bicubic, is known", self.resample);
            return Err(place.fault("resample", problem));
        }
        let switches = [
            ("do_resize", self.do_resize),
            ("do_rescale", self.do_rescale),
            ("do_normalize", self.do_normalize),
        ];
        if let Some((key, _)) = switches.iter().find(|(_, on)| !on) {
            return Err(place.fault(key, "is off, without which the model sees noise"));
        }
        self.check_numbers(place)
    }

    fn check_numbers(&self, place: &Place) -> Result<(), LoadError> {
        let sizes = [
            ("patch_size", self.patch_size),
            ("temporal_patch_size", self.temporal_patch_size),
            ("merge_size", self.merge_size),
        ];
        if let Some((key, size)) = sizes.iter().find(|(_, size)| !(1..=256).contains(size)) {
            return Err(place.fault(key, format!("is {size}, outside 1 to 256")));
        }
        if self.image_std.iter().any(|std| *std <= 0.0) {
            return Err(place.fault("image_std", "has a deviation that is not above 0"));
        }
        Ok(())
    }

    /// A byte is rescaled in 64 bits and normalised in 32, as the reference does it.
    fn values(&self) -> [[f32; 256]; 3] {
        std::array::from_fn(|channel| {
            let (mean, std) = (self.image_mean[channel], self.image_std[channel]);
            let value = |byte: usize| ((byte as f64 * self.rescale_factor) as f32 - mean) / std;
            std::array::from_fn(value)
        })
    }
}
