//! Looking at what a model computes on its way.

use std::fmt;

use crate::{backend::Backend, error::ComputeError};

/// Sees named tensors while a model runs, to compare them with a reference.
pub trait Tap<B: Backend> {
    /// Whether anybody looks. Work that is done for a tap alone asks this first.
    fn is_on(&self) -> bool;

    /// Sees a tensor.
    fn see(
        &mut self,
        backend: &B,
        name: fmt::Arguments<'_>,
        tensor: &B::Tensor,
    ) -> Result<(), ComputeError>;

    /// Sees numbers that are not on the device: ids, positions, sizes, sigmas, bytes of a picture.
    fn note(&mut self, name: fmt::Arguments<'_>, values: &[f64]);
}

/// Sees a picture, `[h, w, c]`, in the order of the reference, `[c, h, w]`.
pub(crate) fn see_planes<B: Backend>(
    backend: &B,
    tap: &mut dyn Tap<B>,
    name: fmt::Arguments<'_>,
    picture: &B::Tensor,
) -> Result<(), ComputeError> {
    if !tap.is_on() {
        return Ok(());
    }
    let shape = backend.shape(picture);
    let [height, width, channels] = [shape[0], shape[1], shape[2]];
    let planes = planes(&backend.download(picture)?, channels);
    let planes = backend.upload(planes, &[channels, height, width])?;
    tap.see(backend, name, &planes)
}

/// `[pixels, channels] → [channels, pixels]`.
pub(crate) fn planes(pixels: &[f32], channels: usize) -> Vec<f32> {
    let plane = |channel| pixels.iter().skip(channel).step_by(channels).copied();
    (0..channels).flat_map(plane).collect()
}

/// Nobody looks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Untapped;

impl<B: Backend> Tap<B> for Untapped {
    fn is_on(&self) -> bool {
        false
    }

    fn see(&mut self, _: &B, _: fmt::Arguments<'_>, _: &B::Tensor) -> Result<(), ComputeError> {
        Ok(())
    }

    fn note(&mut self, _: fmt::Arguments<'_>, _: &[f64]) {}
}
