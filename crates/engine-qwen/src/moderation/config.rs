//! `config.json` of an image classifier.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use crate::{config, error::LoadError};

const MODEL_TYPE: &str = "vit";
/// What the class is called that is moderated.
const UNFIT: &str = "nsfw";

/// The form of a vision transformer that classifies.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct ClassifierConfig {
    model_type: String,
    pub(super) hidden_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    pub(super) intermediate_size: usize,
    pub(super) layer_norm_eps: f32,
    pub(super) image_size: usize,
    pub(super) patch_size: usize,
    #[serde(default = "gelu")]
    hidden_act: String,
    #[serde(default = "yes")]
    qkv_bias: bool,
    id2label: BTreeMap<usize, String>,
}

fn gelu() -> String {
    "gelu".to_owned()
}

const fn yes() -> bool {
    true
}

impl ClassifierConfig {
    /// Reads and checks the file.
    pub(super) fn read(path: &Path) -> Result<Self, LoadError> {
        let file: Self = config::read(path)?;
        file.check()
            .map_err(|(key, problem)| LoadError::config(path, key, problem))?;
        Ok(file)
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
        if !self.qkv_bias {
            return wrong("qkv_bias", "is false, which is another model's".to_owned());
        }
        let heads = self.num_attention_heads;
        if heads == 0 || !self.hidden_size.is_multiple_of(heads) {
            return wrong(
                "num_attention_heads",
                "does not divide `hidden_size`".to_owned(),
            );
        }
        if self.patch_size == 0 || !self.image_size.is_multiple_of(self.patch_size) {
            return wrong("patch_size", "does not divide `image_size`".to_owned());
        }
        if self.find_unfit().is_none() {
            return wrong("id2label", format!("has no class `{UNFIT}`"));
        }
        Ok(())
    }

    fn find_unfit(&self) -> Option<usize> {
        let mut classes = self.id2label.iter();
        classes
            .find(|(_, name)| *name == UNFIT)
            .map(|(class, _)| *class)
    }

    /// The class that is moderated.
    pub(super) fn unfit(&self) -> usize {
        self.find_unfit()
            .expect("BUG: the class was looked for when the file was read")
    }

    pub(super) fn classes(&self) -> usize {
        self.id2label.len()
    }
}
