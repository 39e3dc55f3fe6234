//! What a classifier is shown: the whole picture, squeezed to one size.

use std::path::Path;

use image::RgbImage;
use serde::Deserialize;

use super::{Filter, resize};
use crate::{
    backend::Backend,
    config,
    error::{ComputeError, LoadError},
};

/// Pillow's number for bilinear.
const BILINEAR: u32 = 2;

/// How a classifier's checkpoint wants its pictures: `preprocessor_config.json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ClassifierInput {
    size: Size,
    image_mean: [f32; 3],
    image_std: [f32; 3],
    #[serde(default = "bilinear")]
    resample: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
struct Size {
    width: u32,
    height: u32,
}

const fn bilinear() -> u32 {
    BILINEAR
}

impl ClassifierInput {
    /// Reads and checks the file.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let file: Self = config::read(path)?;
        let wrong = |key: &str, problem: &str| Err(LoadError::config(path, key, problem));
        if file.size.width == 0 || file.size.height == 0 {
            return wrong("size", "has a side of 0");
        }
        if file.image_std.iter().any(|std| *std <= 0.0) {
            return wrong("image_std", "has a number that is not above 0");
        }
        if file.resample != BILINEAR {
            return wrong("resample", "is not 2: only bilinear is known");
        }
        Ok(file)
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.size.width, self.size.height)
    }

    /// A picture as `[height, width, 3]`.
    pub fn prepare<B: Backend>(
        &self,
        backend: &B,
        picture: &RgbImage,
    ) -> Result<B::Tensor, ComputeError> {
        let Size { width, height } = self.size;
        let small = resize(picture, width, height, Filter::Bilinear);
        let channel = |(i, byte): (usize, &u8)| {
            (f32::from(*byte) / 255.0 - self.image_mean[i % 3]) / self.image_std[i % 3]
        };
        let values = small.as_raw().iter().enumerate().map(channel).collect();
        backend.upload(values, &[height as usize, width as usize, 3])
    }
}
