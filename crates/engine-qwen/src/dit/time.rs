//! The timestep as the transformer takes it.

use crate::{
    backend::{Activation, Backend},
    error::{ComputeError, LoadError},
    weights::{Bias, Scope},
};

/// Numbers of the sinusoidal embedding.
const WIDTH: usize = 256;
/// The model is given σ, and was trained on a thousand steps.
const STEPS: f32 = 1000.0;

/// diffusers 0.42.1, `models/transformers/transformer_qwenimage.py`, `QwenTimestepProjEmbeddings`.
pub(super) struct TimeEmbedding<B: Backend> {
    linear_1: B::Linear,
    linear_2: B::Linear,
}

impl<B: Backend> TimeEmbedding<B> {
    pub(super) fn load(backend: &B, scope: &Scope<'_>, width: usize) -> Result<Self, LoadError> {
        let linear = |name, inputs| scope.at(name).linear(backend, inputs, width, Bias::Yes);
        Ok(Self {
            linear_1: linear("linear_1", WIDTH)?,
            linear_2: linear("linear_2", width)?,
        })
    }

    /// `[timesteps, width]`, one row a timestep.
    pub(super) fn forward(
        &self,
        backend: &B,
        timesteps: &[f32],
    ) -> Result<B::Tensor, ComputeError> {
        let sinusoids = timesteps.iter().flat_map(|timestep| sinusoids(*timestep));
        let x = backend.upload(sinusoids.collect(), &[timesteps.len(), WIDTH])?;
        let x = backend.linear(&x, &self.linear_1, Activation::Silu)?;
        backend.linear(&x, &self.linear_2, Activation::None)
    }
}

/// Cosines, then sines, of `1000 · timestep · 10000^(-i / 128)`.
///
/// The angles are products of 32-bit numbers in the reference's order: at 1000 the last bit of an
/// angle is 6e-5.
pub(super) fn sinusoids(timestep: f32) -> [f32; WIDTH] {
    let half = WIDTH / 2;
    let mut values = [0.0; WIDTH];
    for i in 0..half {
        let exponent = -(10_000.0_f64.ln() as f32) * i as f32 / half as f32;
        let frequency = f64::from(exponent).exp() as f32;
        let angle = f64::from(STEPS * (timestep * frequency));
        values[i] = angle.cos() as f32;
        values[half + i] = angle.sin() as f32;
    }
    values
}
