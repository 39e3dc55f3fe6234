//! `vae/config.json`.

use std::path::Path;

use serde::Deserialize;

use crate::{config, error::LoadError};

const CLASS: &str = "AutoencoderKLQwenImage";

/// The form of an autoencoder.
#[derive(Debug, Clone, PartialEq)]
pub struct VaeConfig {
    /// Channels of the first level.
    pub base_dim: usize,
    /// Channels of each level, in [`Self::base_dim`]s.
    pub dim_mult: Vec<usize>,
    /// Residual blocks of a level of the encoder; a level of the decoder has one more.
    pub res_blocks: usize,
    /// Channels of a latent.
    pub z_dim: usize,
    /// What is taken off each channel of a latent, before it is divided by [`Self::latents_std`].
    pub latents_mean: Vec<f32>,
    /// See [`Self::latents_mean`].
    pub latents_std: Vec<f32>,
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "_class_name")]
    class_name: String,
    base_dim: usize,
    dim_mult: Vec<usize>,
    num_res_blocks: usize,
    z_dim: usize,
    latents_mean: Vec<f32>,
    latents_std: Vec<f32>,
    temperal_downsample: Vec<bool>,
    #[serde(default)]
    attn_scales: Vec<f32>,
    #[serde(default = "rgb")]
    input_channels: usize,
}

const fn rgb() -> usize {
    3
}

impl VaeConfig {
    /// Reads and checks the file.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let file: File = config::read(path)?;
        file.check()
            .map_err(|(key, problem)| LoadError::config(path, key, problem))?;
        Ok(Self {
            base_dim: file.base_dim,
            dim_mult: file.dim_mult,
            res_blocks: file.num_res_blocks,
            z_dim: file.z_dim,
            latents_mean: file.latents_mean,
            latents_std: file.latents_std,
        })
    }

    /// Pixels of a picture for one of a latent, in each direction.
    pub fn scale_factor(&self) -> usize {
        1 << (self.dim_mult.len() - 1)
    }
}

impl File {
    fn check(&self) -> Result<(), (&'static str, String)> {
        let levels = self.dim_mult.len();
        let is = |key, good: bool, problem: &str| {
            if good {
                Ok(())
            } else {
                Err((key, problem.to_owned()))
            }
        };
        is(
            "_class_name",
            self.class_name == CLASS,
            &format!("is `{}`, not `{CLASS}`", self.class_name),
        )?;
        is("base_dim", self.base_dim > 0, "is 0")?;
        is("z_dim", self.z_dim > 0, "is 0")?;
        is("num_res_blocks", self.num_res_blocks > 0, "is 0")?;
        is(
            "dim_mult",
            levels > 0 && !self.dim_mult.contains(&0),
            "needs a positive number for each level",
        )?;
        is(
            "attn_scales",
            self.attn_scales.is_empty(),
            "is not empty: attention in levels is another model's",
        )?;
        is("input_channels", self.input_channels == rgb(), "is not 3")?;
        let downs = self.temperal_downsample.len() + 1 == levels;
        is(
            "temperal_downsample",
            downs,
            "needs one entry for each level but the last",
        )?;
        is(
            "latents_mean",
            self.latents_mean.len() == self.z_dim,
            "needs `z_dim` numbers",
        )?;
        let positive = self.latents_std.iter().all(|std| *std > 0.0);
        let std = self.latents_std.len() == self.z_dim && positive;
        is("latents_std", std, "needs `z_dim` positive numbers")
    }
}
