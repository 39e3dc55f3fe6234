//! `transformer/config.json`.

use std::path::Path;

use serde::{Deserialize, de::IgnoredAny};

use crate::{config, error::LoadError};

/// What the reference calls the model.
const CLASS: &str = "QwenImageTransformer2DModel";

/// The dimensions of a transformer, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransformerConfig {
    /// Blocks.
    pub layers: usize,
    /// Heads of an attention.
    pub heads: usize,
    /// Numbers of a head.
    pub head_width: usize,
    /// Numbers of a packed latent token.
    pub channels: usize,
    /// Side of the square of latent pixels that is packed into a token.
    pub patch: usize,
    /// Numbers of a token of the prompt.
    pub text_width: usize,
    /// How many numbers of a head are turned by the image's index, the row and the column.
    pub axes: [usize; 3],
    /// Whether reference images are modulated as at timestep 0 (2511), not as the noise is (2509).
    pub zero_cond_t: bool,
}

/// The file. Another key is refused: what it changes is not known here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "they are the file's")]
struct File {
    patch_size: usize,
    in_channels: usize,
    out_channels: Option<usize>,
    num_layers: usize,
    attention_head_dim: usize,
    num_attention_heads: usize,
    joint_attention_dim: usize,
    axes_dims_rope: [usize; 3],
    #[serde(default)]
    zero_cond_t: bool,
    #[serde(default)]
    guidance_embeds: bool,
    #[serde(default)]
    use_layer3d_rope: bool,
    #[serde(default)]
    use_additional_t_cond: bool,
    #[serde(rename = "_class_name")]
    _class_name: IgnoredAny,
    // Written by the tools that save checkpoints, and by the first release; without effect.
    #[serde(rename = "_diffusers_version", default)]
    _diffusers_version: IgnoredAny,
    #[serde(rename = "_name_or_path", default)]
    _name_or_path: IgnoredAny,
    #[serde(rename = "pooled_projection_dim", default)]
    _pooled_projection_dim: IgnoredAny,
}

impl TransformerConfig {
    /// Reads `config.json`.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let file: File = config::read_of_class(path, CLASS)?;
        for (key, on) in [
            ("guidance_embeds", file.guidance_embeds),
            ("use_layer3d_rope", file.use_layer3d_rope),
            ("use_additional_t_cond", file.use_additional_t_cond),
        ] {
            if on {
                let problem = "is `true`, as in a sibling of Qwen-Image-Edit only";
                return Err(LoadError::config(path, key, problem));
            }
        }
        match file.fault() {
            Some((key, problem)) => Err(LoadError::config(path, key, problem)),
            None => Ok(Self::from(file)),
        }
    }

    /// Numbers of a token within the transformer.
    pub fn width(&self) -> usize {
        self.heads * self.head_width
    }
}

impl File {
    /// A key whose value does not go with the others.
    fn fault(&self) -> Option<(&'static str, String)> {
        for (key, value) in [
            ("patch_size", self.patch_size),
            ("in_channels", self.in_channels),
            ("num_layers", self.num_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("joint_attention_dim", self.joint_attention_dim),
        ] {
            if value == 0 {
                return Some((key, "is 0".into()));
            }
        }
        let rotated: usize = self.axes_dims_rope.iter().sum();
        if rotated != self.attention_head_dim
            || self.axes_dims_rope.iter().any(|axis| axis % 2 != 0)
        {
            let problem = format!(
                "is {:?}: not three even numbers with the sum of `attention_head_dim`, {}",
                self.axes_dims_rope, self.attention_head_dim
            );
            return Some(("axes_dims_rope", problem));
        }
        let out = self.out_channels.unwrap_or(self.in_channels) * self.patch_size.pow(2);
        (out != self.in_channels).then(|| {
            let problem = format!(
                "gives {out} numbers for a token of {}: the prediction is not of the noise's size",
                self.in_channels
            );
            ("out_channels", problem)
        })
    }
}

impl From<File> for TransformerConfig {
    fn from(file: File) -> Self {
        Self {
            layers: file.num_layers,
            heads: file.num_attention_heads,
            head_width: file.attention_head_dim,
            channels: file.in_channels,
            patch: file.patch_size,
            text_width: file.joint_attention_dim,
            axes: file.axes_dims_rope,
            zero_cond_t: file.zero_cond_t,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::TransformerConfig;
    use crate::error::LoadError;

    /// Qwen-Image-Edit-2511's.
    fn published() -> Value {
        json!({
            "_class_name": "QwenImageTransformer2DModel",
            "_diffusers_version": "0.36.0",
            "patch_size": 2,
            "in_channels": 64,
            "out_channels": 16,
            "num_layers": 60,
            "attention_head_dim": 128,
            "num_attention_heads": 24,
            "joint_attention_dim": 3584,
            "guidance_embeds": false,
            "axes_dims_rope": [16, 56, 56],
            "zero_cond_t": true,
        })
    }

    fn read(config: &Value) -> Result<TransformerConfig, LoadError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, config.to_string()).unwrap();
        TransformerConfig::read(&path)
    }

    fn with(key: &str, value: Value) -> Value {
        let mut config = published();
        config[key] = value;
        config
    }

    #[test]
    fn the_published_ones_are_read() {
        let config = read(&published()).unwrap();
        assert_eq!((config.layers, config.width()), (60, 3072));
        assert!(config.zero_cond_t);
        let mut old = published();
        old.as_object_mut().unwrap().remove("zero_cond_t");
        old["pooled_projection_dim"] = json!(768);
        assert!(!read(&old).unwrap().zero_cond_t);
    }

    #[test]
    fn a_fault_is_named_by_its_key() {
        for (key, value) in [
            ("_class_name", json!("FluxTransformer2DModel")),
            ("guidance_embeds", json!(true)),
            ("use_layer3d_rope", json!(true)),
            ("use_additional_t_cond", json!(true)),
            ("zero_cond_t", json!("yes")),
            ("num_layers", json!(0)),
            ("num_layers", json!(-1)),
            ("num_attention_heads", json!(null)),
            ("axes_dims_rope", json!([16, 56])),
            ("axes_dims_rope", json!([16, 56, 54])),
            ("axes_dims_rope", json!([15, 57, 56])),
            ("out_channels", json!(17)),
            ("quantization_config", json!({})),
        ] {
            let error = read(&with(key, value.clone())).unwrap_err();
            let LoadError::Config { key: found, .. } = &error else {
                panic!("{error}");
            };
            assert!(found.starts_with(key), "{key} = {value}: {error}");
        }
    }

    #[test]
    fn a_missing_key_is_named() {
        for key in ["_class_name", "num_layers", "axes_dims_rope"] {
            let mut config = published();
            config.as_object_mut().unwrap().remove(key);
            let error = read(&config).unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}`")), "{error}");
        }
    }
}
