//! A latent as a picture: diffusers 0.42.1, `models/autoencoders/autoencoder_kl_qwenimage.py`,
//! `QwenImageDecoder3d`.

use super::{
    config::VaeConfig,
    layer::{Head, Middle, Residual, causal_conv, resample},
};
use crate::{
    backend::{Activation, Backend, ConvShape},
    error::{ComputeError, LoadError},
    tap::{Tap, see_planes},
    weights::Scope,
};

pub(super) struct Decoder<B: Backend> {
    dequantise: B::Conv,
    conv_in: B::Conv,
    middle: Middle<B>,
    up: Vec<Up<B>>,
    head: Head<B>,
}

/// `QwenImageUpBlock`: an entry of `up_blocks`.
struct Up<B: Backend> {
    residuals: Vec<Residual<B>>,
    /// What follows doubling the size; the last block does not.
    double: Option<B::Conv>,
}

impl<B: Backend> Decoder<B> {
    pub(super) fn load(
        backend: &B,
        scope: &Scope<'_>,
        config: &VaeConfig,
    ) -> Result<Self, LoadError> {
        let inner = scope.at("decoder");
        let z = config.z_dim;
        let widest = config.base_dim * config.dim_mult[config.dim_mult.len() - 1];
        let narrowest = config.base_dim * config.dim_mult[0];
        Ok(Self {
            dequantise: causal_conv(backend, &scope.at("post_quant_conv"), [z, z, 1])?,
            conv_in: causal_conv(backend, &inner.at("conv_in"), [widest, z, 3])?,
            middle: Middle::load(backend, &inner.at("mid_block"), widest)?,
            up: load_up(backend, &inner, config, widest)?,
            head: Head::load(backend, &inner, narrowest, 3)?,
        })
    }

    /// `[h, w, z]` to `[8·h, 8·w, 3]`, not clamped.
    pub(super) fn forward(
        &self,
        backend: &B,
        latent: &B::Tensor,
        tap: &mut dyn Tap<B>,
    ) -> Result<B::Tensor, ComputeError> {
        see_planes(backend, tap, format_args!("vae.dec.z"), latent)?;
        let x = backend.conv(latent, &self.dequantise)?;
        see_planes(backend, tap, format_args!("vae.dec.post_quant"), &x)?;
        let x = backend.conv(&x, &self.conv_in)?;
        see_planes(backend, tap, format_args!("vae.dec.conv_in"), &x)?;
        let (_, mut x) = self.middle.forward(backend, &x)?;
        see_planes(backend, tap, format_args!("vae.dec.mid"), &x)?;
        for (i, up) in self.up.iter().enumerate() {
            x = up.forward(backend, x)?;
            see_planes(backend, tap, format_args!("vae.dec.up.{i}"), &x)?;
        }
        if tap.is_on() {
            // Fused with what follows it otherwise.
            let normed = backend.channel_norm(&x, &self.head.norm, Activation::None)?;
            see_planes(backend, tap, format_args!("vae.dec.norm_out"), &normed)?;
        }
        let picture = self.head.forward(backend, &x)?;
        see_planes(
            backend,
            tap,
            format_args!("vae.dec.conv_out_unclamped"),
            &picture,
        )?;
        Ok(picture)
    }
}

impl<B: Backend> Up<B> {
    fn forward(&self, backend: &B, mut x: B::Tensor) -> Result<B::Tensor, ComputeError> {
        for residual in &self.residuals {
            x = residual.forward(backend, &x)?;
        }
        match &self.double {
            None => Ok(x),
            Some(conv) => {
                let doubled = backend.upsample(&x)?;
                // The largest tensors of all: the smaller one is not kept beside the two others.
                drop(x);
                backend.conv(&doubled, conv)
            }
        }
    }
}

fn load_up<B: Backend>(
    backend: &B,
    scope: &Scope<'_>,
    config: &VaeConfig,
    widest: usize,
) -> Result<Vec<Up<B>>, LoadError> {
    let mut up = Vec::new();
    let mut inputs = widest;
    for (i, multiple) in config.dim_mult.iter().rev().enumerate() {
        let at = scope.at("up_blocks").at(i);
        let outputs = config.base_dim * multiple;
        let mut residuals = Vec::new();
        for j in 0..=config.res_blocks {
            let from = if j == 0 { inputs } else { outputs };
            residuals.push(Residual::load(
                backend,
                &at.at("resnets").at(j),
                from,
                outputs,
            )?);
        }
        let last = i + 1 == config.dim_mult.len();
        let shape = [outputs / 2, outputs];
        let double =
            (!last).then(|| resample(backend, &at.at("upsamplers.0"), shape, ConvShape::same(1)));
        up.push(Up {
            residuals,
            double: double.transpose()?,
        });
        inputs = outputs / 2;
    }
    Ok(up)
}
