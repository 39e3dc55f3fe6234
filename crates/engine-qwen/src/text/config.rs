//! `text_encoder/config.json`.
//!
//! The language model's keys are in `text_config`, as transformers 5 writes them, or beside
//! `vision_config`, as 4 does.

use std::path::{Path, PathBuf};

use serde::{Deserialize, de::IgnoredAny};

use super::tokeniser::Tokeniser;
use crate::{config, error::LoadError, image::Processor};

/// The sizes of both models.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderConfig {
    /// The language model's.
    pub language: LanguageConfig,
    /// The vision tower's.
    pub vision: VisionConfig,
    /// The id that stands for a part of a picture.
    image_token_id: u32,
    place: Place,
}

/// The sizes of the language model.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LanguageConfig {
    /// How many tokens there are.
    pub vocab_size: usize,
    /// Numbers of a token's state.
    pub hidden_size: usize,
    /// Numbers inside the MLP.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads of queries.
    pub num_attention_heads: usize,
    /// Heads of keys and values.
    pub num_key_value_heads: usize,
    /// Added to the mean square that is divided by.
    pub rms_norm_eps: f32,
    #[serde(default = "silu")]
    hidden_act: String,
    head_dim: Option<usize>,
    #[serde(default)]
    use_sliding_window: bool,
    #[serde(default)]
    layer_types: Vec<String>,
    /// As transformers 4 writes it.
    rope_theta: Option<f32>,
    rope_scaling: Option<Rope>,
    /// As 5 does.
    rope_parameters: Option<Rope>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct Rope {
    #[serde(rename = "rope_theta")]
    theta: Option<f32>,
    #[serde(rename = "rope_type")]
    kind: Option<String>,
    #[serde(rename = "type")]
    old_kind: Option<String>,
    mrope_section: Option<Vec<usize>>,
}

/// The sizes of the vision tower.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct VisionConfig {
    /// Layers.
    pub depth: usize,
    /// Numbers of a patch's state.
    pub hidden_size: usize,
    /// Numbers inside the MLP.
    pub intermediate_size: usize,
    /// Heads.
    pub num_heads: usize,
    /// Numbers of a merged patch; the language model's `hidden_size`.
    pub out_hidden_size: usize,
    /// Pixels of a patch's side.
    pub patch_size: usize,
    /// Patches of the side of a square that is merged.
    pub spatial_merge_size: usize,
    /// Frames of a patch.
    pub temporal_patch_size: usize,
    /// Pixels of the side of a window.
    pub window_size: usize,
    /// Layers that see a picture as a whole.
    pub fullatt_block_indexes: Vec<usize>,
    #[serde(default = "silu")]
    hidden_act: String,
    #[serde(alias = "in_chans", default = "three")]
    in_channels: usize,
}

fn silu() -> String {
    "silu".to_owned()
}

fn three() -> usize {
    3
}

/// What the file says of itself.
#[derive(Deserialize)]
struct Head {
    model_type: String,
}

/// What both layouts have in common.
#[derive(Deserialize)]
struct Outer {
    image_token_id: u32,
    vision_config: VisionConfig,
    text_config: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Nested {
    text_config: LanguageConfig,
}

/// The file, and what stands before the language model's keys.
#[derive(Debug, Clone, PartialEq)]
struct Place {
    path: PathBuf,
    language: &'static str,
}

/// What stands before the vision tower's keys.
const VISION: &str = "vision_config.";

type Checked = Result<(), LoadError>;

impl Place {
    fn language(&self, key: &str, problem: impl Into<String>) -> LoadError {
        LoadError::config(&self.path, format!("{}{key}", self.language), problem)
    }

    fn vision(&self, key: &str, problem: impl Into<String>) -> LoadError {
        LoadError::config(&self.path, format!("{VISION}{key}"), problem)
    }
}

impl EncoderConfig {
    /// Reads it from a checkpoint, and checks that it is that of a model which can be computed and
    /// which the checkpoint's tokenizer and image processor belong to.
    pub fn open(
        checkpoint: &Path,
        tokeniser: &Tokeniser,
        processor: &Processor,
    ) -> Result<Self, LoadError> {
        let config = Self::without_tokeniser(checkpoint, processor)?;
        config.check_tokeniser(tokeniser)?;
        Ok(config)
    }

    /// The same where there is no tokenizer.
    pub(crate) fn without_tokeniser(
        checkpoint: &Path,
        processor: &Processor,
    ) -> Result<Self, LoadError> {
        let config = Self::read(checkpoint)?;
        config.language.check(&config.place)?;
        config.vision.check(&config.place, &config.language)?;
        config.check_processor(processor)?;
        Ok(config)
    }

    fn read(checkpoint: &Path) -> Result<Self, LoadError> {
        let path = checkpoint.join("text_encoder/config.json");
        let head: Head = config::read(&path)?;
        if head.model_type != "qwen2_5_vl" {
            let problem = format!(
                "is `{}`, another family of models; `qwen2_5_vl` is needed",
                head.model_type
            );
            return Err(LoadError::config(&path, "model_type", problem));
        }
        let outer: Outer = config::read(&path)?;
        let (language, above) = if outer.text_config.is_some() {
            let nested: Nested = config::read(&path)?;
            (nested.text_config, "text_config.")
        } else {
            (config::read(&path)?, "")
        };
        Ok(Self {
            language,
            vision: outer.vision_config,
            image_token_id: outer.image_token_id,
            place: Place {
                path,
                language: above,
            },
        })
    }

    fn check_tokeniser(&self, tokeniser: &Tokeniser) -> Checked {
        if self.image_token_id != tokeniser.image_pad() {
            let problem = format!(
                "is {}, and `<|image_pad|>` is {} in `{}`",
                self.image_token_id,
                tokeniser.image_pad(),
                tokeniser.path().display()
            );
            let path = &self.place.path;
            return Err(LoadError::config(path, "image_token_id", problem));
        }
        if tokeniser.largest_id() as usize >= self.language.vocab_size {
            let problem = format!(
                "is {}, and `{}` has an id of {}",
                self.language.vocab_size,
                tokeniser.path().display(),
                tokeniser.largest_id()
            );
            return Err(self.place.language("vocab_size", problem));
        }
        Ok(())
    }

    fn check_processor(&self, processor: &Processor) -> Checked {
        let vision = &self.vision;
        let pairs = [
            ("patch_size", vision.patch_size, processor.patch_size()),
            (
                "spatial_merge_size",
                vision.spatial_merge_size,
                processor.merge_size(),
            ),
            (
                "temporal_patch_size",
                vision.temporal_patch_size,
                processor.temporal_patch_size(),
            ),
        ];
        match pairs
            .iter()
            .find(|(_, model, processor)| model != processor)
        {
            None => Ok(()),
            Some((key, model, processor)) => {
                let problem = format!("is {model}, and {processor} in the image processor's");
                Err(self.place.vision(key, problem))
            }
        }
    }
}

impl LanguageConfig {
    /// Numbers of a head.
    pub fn head_width(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// The base of the rotary embedding's wavelengths.
    pub fn rope_theta(&self) -> f32 {
        let new = self.rope().and_then(|rope| rope.theta);
        new.or(self.rope_theta).unwrap_or(1e6)
    }

    /// How many pairs of a head turn with the time, the row and the column, in this order.
    pub fn mrope_section(&self) -> [usize; 3] {
        let rope = self.rope().and_then(|rope| rope.mrope_section.as_deref());
        let section = rope.and_then(|section| section.try_into().ok());
        section.expect("BUG: checked when it was read")
    }

    fn rope(&self) -> Option<&Rope> {
        self.rope_parameters.as_ref().or(self.rope_scaling.as_ref())
    }

    fn check(&self, place: &Place) -> Checked {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
        ];
        if let Some((key, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(place.language(key, "is 0"));
        }
        if self.hidden_act != "silu" {
            let problem = format!("is `{}`; only `silu` is known", self.hidden_act);
            return Err(place.language("hidden_act", problem));
        }
        self.check_attention(place)?;
        self.check_rope(place)
    }

    fn check_attention(&self, place: &Place) -> Checked {
        let heads = self.num_attention_heads;
        if !self.hidden_size.is_multiple_of(2 * heads) {
            let problem = format!(
                "is {heads}, which does not part {} evenly",
                self.hidden_size
            );
            return Err(place.language("num_attention_heads", problem));
        }
        if !heads.is_multiple_of(self.num_key_value_heads) {
            let problem = format!(
                "is {}, which does not divide {heads}",
                self.num_key_value_heads
            );
            return Err(place.language("num_key_value_heads", problem));
        }
        if let Some(width) = self.head_dim.filter(|width| *width != self.head_width()) {
            let problem = format!("is {width}, not {} as in this family", self.head_width());
            return Err(place.language("head_dim", problem));
        }
        if self.use_sliding_window {
            let problem = "is true; only attention to every token before is known";
            return Err(place.language("use_sliding_window", problem));
        }
        match self
            .layer_types
            .iter()
            .find(|kind| *kind != "full_attention")
        {
            None => Ok(()),
            Some(kind) => {
                let problem = format!("has `{kind}`; only `full_attention` is known");
                Err(place.language("layer_types", problem))
            }
        }
    }

    fn check_rope(&self, place: &Place) -> Checked {
        let key = if self.rope_parameters.is_some() {
            "rope_parameters"
        } else {
            "rope_scaling"
        };
        let fault =
            |below: &str, problem: String| place.language(&format!("{key}{below}"), problem);
        let rope = self
            .rope()
            .ok_or_else(|| fault("", "is missing".to_owned()))?;
        let kind = rope.kind.as_ref().or(rope.old_kind.as_ref());
        if let Some(kind) = kind.filter(|kind| !["default", "mrope"].contains(&kind.as_str())) {
            return Err(fault(
                ".rope_type",
                format!("is `{kind}`; only `default` is known"),
            ));
        }
        let theta = self.rope_theta();
        if !(theta > 1.0 && theta.is_finite()) {
            return Err(fault(".rope_theta", format!("is {theta}, not above 1")));
        }
        let pairs = self.head_width() / 2;
        match rope.mrope_section.as_deref() {
            Some(section) if section.len() == 3 && section.iter().sum::<usize>() == pairs => Ok(()),
            Some(section) => Err(fault(
                ".mrope_section",
                format!("is {section:?}, and it takes three numbers that sum up to {pairs}"),
            )),
            None => Err(fault(".mrope_section", "is missing".to_owned())),
        }
    }
}

impl VisionConfig {
    /// Numbers of a head.
    pub fn head_width(&self) -> usize {
        self.hidden_size / self.num_heads
    }

    /// Numbers of a patch's pixels.
    pub fn patch_width(&self) -> usize {
        self.in_channels * self.temporal_patch_size * self.patch_size * self.patch_size
    }

    /// Merged patches of the side of a window.
    pub fn window(&self) -> usize {
        self.window_size / self.spatial_merge_size / self.patch_size
    }

    fn check(&self, place: &Place, language: &LanguageConfig) -> Checked {
        let sizes = [
            ("depth", self.depth),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_heads", self.num_heads),
            ("patch_size", self.patch_size),
            ("spatial_merge_size", self.spatial_merge_size),
            ("temporal_patch_size", self.temporal_patch_size),
        ];
        if let Some((key, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(place.vision(key, "is 0"));
        }
        if self.hidden_act != "silu" {
            let problem = format!("is `{}`; only `silu` is known", self.hidden_act);
            return Err(place.vision("hidden_act", problem));
        }
        if self.in_channels != 3 {
            let problem = format!("is {}; pictures have 3", self.in_channels);
            return Err(place.vision("in_channels", problem));
        }
        self.check_shapes(place, language)
    }

    fn check_shapes(&self, place: &Place, language: &LanguageConfig) -> Checked {
        // A head turns by rows with one half and by columns with the other, in pairs.
        if !self.hidden_size.is_multiple_of(4 * self.num_heads) {
            let problem = format!(
                "is {}, which does not part {} into fours",
                self.num_heads, self.hidden_size
            );
            return Err(place.vision("num_heads", problem));
        }
        if self.window() == 0 {
            let problem = format!("is {}, less than a merged patch", self.window_size);
            return Err(place.vision("window_size", problem));
        }
        if self.out_hidden_size != language.hidden_size {
            let problem = format!(
                "is {}, not the language model's {}",
                self.out_hidden_size, language.hidden_size
            );
            return Err(place.vision("out_hidden_size", problem));
        }
        Ok(())
    }
}
