//! Between pictures and latents: `AutoencoderKLQwenImage` for single pictures.

mod config;
mod decoder;
mod encoder;
mod layer;
mod picture;

pub use self::{config::VaeConfig, picture::to_image};
use self::{
    decoder::Decoder,
    encoder::Encoder,
    picture::{fetch, from_image},
};
use crate::{
    backend::Backend,
    error::{ComputeError, LoadError},
    latent::LatentSize,
    tap::{Tap, Untapped, planes},
    weights::Weights,
};

/// An autoencoder.
pub struct Vae<B: Backend> {
    config: VaeConfig,
    encoder: Encoder<B>,
    decoder: Decoder<B>,
}

impl<B: Backend> Vae<B> {
    /// Takes its tensors out of `weights`.
    pub fn load(backend: &B, weights: &Weights, config: VaeConfig) -> Result<Self, LoadError> {
        Ok(Self {
            encoder: Encoder::load(backend, &weights.root(), &config)?,
            decoder: Decoder::load(backend, &weights.root(), &config)?,
            config,
        })
    }

    /// Its form.
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// The size of a latent, `width` and `height` in pixels of the picture, in tokens of
    /// `patch`·`patch` latent pixels.
    pub fn latent_size(&self, width: usize, height: usize, patch: usize) -> LatentSize {
        let factor = self.config.scale_factor();
        LatentSize {
            channels: self.config.z_dim,
            height: height / factor,
            width: width / factor,
            patch,
        }
    }

    /// The most likely latent of a picture, `[z, h/8, w/8]`, with mean 0 and deviation 1 over all
    /// pictures. Sides are multiples of [`VaeConfig::scale_factor`].
    pub fn encode(
        &self,
        backend: &B,
        picture: &image::RgbImage,
        tap: &mut dyn Tap<B>,
    ) -> Result<Vec<f32>, ComputeError> {
        let picture = from_image(backend, picture)?;
        let moments = self.encoder.forward(backend, &picture, tap)?;
        // Their second half are variances.
        let mean = backend.columns(&moments, 0..self.config.z_dim)?;
        let mut latent = planes(&backend.download(&mean)?, self.config.z_dim);
        self.per_channel(&mut latent, |value, mean, std| (value - mean) / std);
        Ok(latent)
    }

    /// The picture of a latent `[z, h, w]` as [`Self::encode`] gives it: `[8·h, 8·w, 3]`, about
    /// -1..1.
    pub fn decode(
        &self,
        backend: &B,
        latent: &[f32],
        size: LatentSize,
        tap: &mut dyn Tap<B>,
    ) -> Result<Vec<f32>, ComputeError> {
        backend.download(&self.picture(backend, latent, size, tap)?)
    }

    /// The same, cut off at -1 and 1, in bytes.
    pub fn decode_to_image(
        &self,
        backend: &B,
        latent: &[f32],
        size: LatentSize,
    ) -> Result<image::RgbImage, ComputeError> {
        fetch(
            backend,
            &self.picture(backend, latent, size, &mut Untapped)?,
        )
    }

    /// The picture of a latent on the device.
    fn picture(
        &self,
        backend: &B,
        latent: &[f32],
        size: LatentSize,
        tap: &mut dyn Tap<B>,
    ) -> Result<B::Tensor, ComputeError> {
        let mut latent = latent.to_vec();
        self.per_channel(&mut latent, |value, mean, std| value * std + mean);
        let places = size.height * size.width;
        let pixels = planes(&latent, places);
        let latent = backend.upload(pixels, &[size.height, size.width, size.channels])?;
        self.decoder.forward(backend, &latent, tap)
    }

    fn per_channel(&self, latent: &mut [f32], apply: fn(f32, f32, f32) -> f32) {
        let places = latent.len() / self.config.z_dim;
        let statistics = self
            .config
            .latents_mean
            .iter()
            .zip(&self.config.latents_std);
        for (channel, (mean, std)) in latent.chunks_exact_mut(places).zip(statistics) {
            for value in channel {
                *value = apply(*value, *mean, *std);
            }
        }
    }
}
