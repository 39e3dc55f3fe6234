//! Which pixel of a person shows what: `SegFormer` as Hugging Face runs it, for checkpoints in the
//! layout of `mattmdjaga/segformer_b2_clothes`.

mod config;
mod head;
mod stage;

use std::path::Path;

use image::RgbImage;
use rayon::prelude::*;

pub use self::config::ParserConfig;
use self::{head::Head, stage::Stage};
use crate::{
    backend::{Backend, Between},
    error::{ComputeError, LoadError},
    image::ClassifierInput,
    tap::{Tap, see_planes},
    weights::Weights,
};

/// A person parser.
pub struct Parser<B: Backend> {
    stages: Vec<Stage<B>>,
    head: Head<B>,
    labels: usize,
    input: ClassifierInput,
}

/// A class for each pixel, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsing {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The class of each pixel.
    pub classes: Vec<u8>,
}

impl<B: Backend> Parser<B> {
    /// Loads the folder of a checkpoint: `config.json`, `preprocessor_config.json` and its
    /// weights.
    pub fn open(backend: &B, folder: &Path) -> Result<Self, LoadError> {
        let config = ParserConfig::read(&folder.join("config.json"))?;
        let input = ClassifierInput::read(&folder.join("preprocessor_config.json"))?;
        let weights = Weights::open(folder)?;
        let encoder = weights.root().at("segformer.encoder");
        let stages = 0..config.depths.len();
        let stages = stages.map(|i| Stage::load(backend, &encoder, &config, i));
        Ok(Self {
            stages: stages.collect::<Result<_, _>>()?,
            head: Head::load(backend, &weights.root().at("decode_head"), &config)?,
            labels: config.labels(),
            input,
        })
    }

    /// Tells what each pixel of `picture` shows.
    pub fn parse(
        &self,
        backend: &B,
        picture: &RgbImage,
        tap: &mut dyn Tap<B>,
    ) -> Result<Parsing, ComputeError> {
        let mut x = self.input.prepare(backend, picture)?;
        see_planes(backend, tap, format_args!("seg.pixel_values"), &x)?;
        let mut features = Vec::with_capacity(self.stages.len());
        for (i, stage) in self.stages.iter().enumerate() {
            x = stage.forward(backend, &x)?;
            see_planes(backend, tap, format_args!("seg.stage.{i}"), &x)?;
            features.push(x.clone());
        }
        let scores = self.head.forward(backend, &features)?;
        see_planes(backend, tap, format_args!("seg.logits"), &scores)?;
        let shape = backend.shape(&scores);
        let scores = Scores {
            values: backend.download(&scores)?,
            labels: self.labels,
            width: shape[1],
            height: shape[0],
        };
        Ok(scores.decide(picture.width() as usize, picture.height() as usize))
    }
}

/// A score for each class, place by place.
struct Scores {
    values: Vec<f32>,
    labels: usize,
    width: usize,
    height: usize,
}

impl Scores {
    /// The class with the highest score for each pixel of a picture of this size, with scores
    /// between places interpolated linearly. They are never held for the whole picture.
    fn decide(&self, width: usize, height: usize) -> Parsing {
        let mut classes = vec![0; width * height];
        let columns: Vec<Between> = (0..width)
            .map(|x| Between::new(x, width, self.width))
            .collect();
        classes
            .par_chunks_mut(width)
            .enumerate()
            .for_each(|(y, row)| {
                let rows = Between::new(y, height, self.height);
                for (class, column) in row.iter_mut().zip(&columns) {
                    *class = self.best(rows, *column);
                }
            });
        Parsing {
            width,
            height,
            classes,
        }
    }

    fn best(&self, y: Between, x: Between) -> u8 {
        let mut best = (0, f32::NEG_INFINITY);
        for label in 0..self.labels {
            let at = |y: usize, x: usize| self.values[(y * self.width + x) * self.labels + label];
            let row = |y: usize| x.mix(at(y, x.low), at(y, x.high));
            let score = y.mix(row(y.low), row(y.high));
            if score > best.1 {
                best = (label, score);
            }
        }
        best.0 as u8
    }
}
