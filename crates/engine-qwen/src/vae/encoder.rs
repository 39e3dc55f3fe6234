//! A picture as a latent: diffusers 0.42.1, `models/autoencoders/autoencoder_kl_qwenimage.py`,
//! `QwenImageEncoder3d`.

use super::{
    config::VaeConfig,
    layer::{Head, Middle, Residual, causal_conv, resample},
};
use crate::{
    backend::{Backend, ConvShape},
    error::{ComputeError, LoadError},
    tap::{Tap, see_planes},
    weights::Scope,
};

/// Half the width and height: one row and one column of zeros at the right and the bottom alone.
const HALVE: ConvShape = ConvShape {
    stride: 2,
    padding: [0, 1, 0, 1],
    groups: 1,
};

pub(super) struct Encoder<B: Backend> {
    conv_in: B::Conv,
    down: Vec<Down<B>>,
    middle: Middle<B>,
    head: Head<B>,
    quantise: B::Conv,
}

/// An entry of `down_blocks`.
enum Down<B: Backend> {
    Residual(Residual<B>),
    Halve(B::Conv),
}

impl<B: Backend> Encoder<B> {
    pub(super) fn load(
        backend: &B,
        scope: &Scope<'_>,
        config: &VaeConfig,
    ) -> Result<Self, LoadError> {
        let inner = scope.at("encoder");
        let widest = config.base_dim * config.dim_mult[config.dim_mult.len() - 1];
        let moments = 2 * config.z_dim;
        Ok(Self {
            conv_in: causal_conv(backend, &inner.at("conv_in"), [config.base_dim, 3, 3])?,
            down: load_down(backend, &inner, config)?,
            middle: Middle::load(backend, &inner.at("mid_block"), widest)?,
            head: Head::load(backend, &inner, widest, moments)?,
            quantise: causal_conv(backend, &scope.at("quant_conv"), [moments, moments, 1])?,
        })
    }

    /// `[h, w, 3]` in -1..1 to mean and log variance of the latent, `[h/8, w/8, 2·z]`.
    pub(super) fn forward(
        &self,
        backend: &B,
        picture: &B::Tensor,
        tap: &mut dyn Tap<B>,
    ) -> Result<B::Tensor, ComputeError> {
        let mut x = backend.conv(picture, &self.conv_in)?;
        see_planes(backend, tap, format_args!("vae.enc.conv_in"), &x)?;
        for (i, down) in self.down.iter().enumerate() {
            x = match down {
                Down::Residual(residual) => residual.forward(backend, &x)?,
                Down::Halve(conv) => backend.conv(&x, conv)?,
            };
            see_planes(backend, tap, format_args!("vae.enc.down.{i}"), &x)?;
        }
        let (attended, x) = self.middle.forward(backend, &x)?;
        see_planes(backend, tap, format_args!("vae.enc.mid_attn"), &attended)?;
        see_planes(backend, tap, format_args!("vae.enc.mid"), &x)?;
        let x = self.head.forward(backend, &x)?;
        see_planes(backend, tap, format_args!("vae.enc.conv_out"), &x)?;
        let moments = backend.conv(&x, &self.quantise)?;
        see_planes(backend, tap, format_args!("vae.enc.moments"), &moments)?;
        Ok(moments)
    }
}

fn load_down<B: Backend>(
    backend: &B,
    scope: &Scope<'_>,
    config: &VaeConfig,
) -> Result<Vec<Down<B>>, LoadError> {
    let mut down = Vec::new();
    let mut inputs = config.base_dim;
    for (level, multiple) in config.dim_mult.iter().enumerate() {
        let outputs = config.base_dim * multiple;
        for _ in 0..config.res_blocks {
            let at = scope.at("down_blocks").at(down.len());
            down.push(Down::Residual(Residual::load(
                backend, &at, inputs, outputs,
            )?));
            inputs = outputs;
        }
        if level + 1 < config.dim_mult.len() {
            let at = scope.at("down_blocks").at(down.len());
            down.push(Down::Halve(resample(
                backend,
                &at,
                [outputs, outputs],
                HALVE,
            )?));
        }
    }
    Ok(down)
}
