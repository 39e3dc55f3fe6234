//! `config.json` and `preprocessor_config.json` of a `SegFormer`.

use std::path::Path;

use serde::Deserialize;

use crate::{config, error::LoadError};

const MODEL_TYPE: &str = "segformer";

/// The form of a `SegFormer`; a number for each stage where there are several.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ParserConfig {
    model_type: String,
    /// Layers.
    pub depths: Vec<usize>,
    /// Channels.
    pub hidden_sizes: Vec<usize>,
    /// Heads.
    pub num_attention_heads: Vec<usize>,
    /// How many times smaller, in each direction, keys and values are.
    pub sr_ratios: Vec<usize>,
    /// Width of the feed-forward layer in [`Self::hidden_sizes`].
    pub mlp_ratios: Vec<usize>,
    /// Kernel of the patch embedding.
    pub patch_sizes: Vec<usize>,
    /// Step of the patch embedding.
    pub strides: Vec<usize>,
    /// Channels of the decoding head.
    pub decoder_hidden_size: usize,
    /// The label of each class.
    id2label: std::collections::BTreeMap<String, String>,
    #[serde(default = "gelu")]
    hidden_act: String,
    #[serde(default = "yes")]
    reshape_last_stage: bool,
}

fn gelu() -> String {
    "gelu".to_owned()
}

const fn yes() -> bool {
    true
}

impl ParserConfig {
    /// Reads and checks `config.json`.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let file: Self = config::read(path)?;
        file.check()
            .map_err(|(key, problem)| LoadError::config(path, key, problem))?;
        Ok(file)
    }

    /// How many classes there are.
    pub fn labels(&self) -> usize {
        self.id2label.len()
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        let wrong = |key, problem: String| Err((key, problem));
        if self.model_type != MODEL_TYPE {
            return wrong(
                "model_type",
                format!("is `{}`, not `{MODEL_TYPE}`", self.model_type),
            );
        }
        if self.hidden_act != gelu() {
            return wrong(
                "hidden_act",
                format!("is `{}`; only `gelu` is known", self.hidden_act),
            );
        }
        if !self.reshape_last_stage {
            return wrong(
                "reshape_last_stage",
                "is false, which is another model's".to_owned(),
            );
        }
        if self.labels() == 0 || self.labels() > 256 {
            return wrong("id2label", format!("names {} classes", self.labels()));
        }
        let stages = self.depths.len();
        let per_stage = [
            ("hidden_sizes", &self.hidden_sizes),
            ("num_attention_heads", &self.num_attention_heads),
            ("sr_ratios", &self.sr_ratios),
            ("mlp_ratios", &self.mlp_ratios),
            ("patch_sizes", &self.patch_sizes),
            ("strides", &self.strides),
        ];
        for (key, numbers) in per_stage {
            if numbers.len() != stages || numbers.contains(&0) {
                return wrong(
                    key,
                    format!("needs a positive number for each of {stages} stages"),
                );
            }
        }
        let mut heads = self.hidden_sizes.iter().zip(&self.num_attention_heads);
        if heads.any(|(width, heads)| width % heads != 0) {
            return wrong(
                "num_attention_heads",
                "does not divide `hidden_sizes`".to_owned(),
            );
        }
        Ok(())
    }
}
