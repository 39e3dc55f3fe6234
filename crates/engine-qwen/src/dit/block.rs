//! A block: two streams of tokens that attend to each other.

use super::{
    TransformerConfig,
    modulation::BlockModulation,
    stream::{IMAGE, Seen, Split, Stream, TEXT},
};
use crate::{
    backend::{Attention, Backend, Rotary, Visible},
    error::{ComputeError, LoadError},
    tap::Tap,
    weights::Scope,
};

/// diffusers 0.42.1, `models/transformers/transformer_qwenimage.py`, `QwenImageTransformerBlock`
/// and `QwenDoubleStreamAttnProcessor2_0`.
pub(super) struct Block<B: Backend> {
    image: Stream<B>,
    text: Stream<B>,
    heads: usize,
    head_width: usize,
}

/// Both streams, one row a token.
pub(super) struct Streams<T> {
    /// The noise's tokens, then the references': `[n, width]`.
    pub(super) image: T,
    /// `[t, width]`.
    pub(super) text: T,
}

/// Where everything is in the sequence of prompt, noise and references.
#[derive(Debug, Clone)]
pub(super) struct Places<T> {
    /// The angles of all tokens.
    pub(super) all: Rotary<T>,
    /// And of the noise's.
    pub(super) noise: Rotary<T>,
    /// How many tokens the prompt has.
    pub(super) text_tokens: usize,
    /// And the noise.
    pub(super) noise_tokens: usize,
}

/// A block's step: what it takes besides the tokens.
pub(super) struct Step<'a, B: Backend> {
    pub(super) backend: &'a B,
    pub(super) modulation: &'a BlockModulation<B::Tensor>,
    pub(super) places: &'a Places<B::Tensor>,
}

impl<B: Backend> Block<B> {
    pub(super) fn load(
        backend: &B,
        scope: &Scope<'_>,
        config: &TransformerConfig,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            image: Stream::load(backend, scope, config, &IMAGE)?,
            text: Stream::load(backend, scope, config, &TEXT)?,
            heads: config.heads,
            head_width: config.head_width,
        })
    }

    /// Both streams after the block. `i` is its number, for the tap.
    pub(super) fn forward(
        &self,
        step: &Step<'_, B>,
        x: &Streams<B::Tensor>,
        i: usize,
        tap: &mut dyn Tap<B>,
    ) -> Result<Streams<B::Tensor>, ComputeError> {
        let (backend, text_tokens) = (step.backend, step.places.text_tokens);
        let image = step.image().for_attention(backend, &x.image)?;
        tap.see(backend, format_args!("dit.block.{i}.img_modulated"), &image)?;
        let text = step.text().for_attention(backend, &x.text)?;
        tap.see(backend, format_args!("dit.block.{i}.txt_modulated"), &text)?;

        let image_q = self.image.queries(backend, &image)?;
        tap.see(
            backend,
            format_args!("dit.block.{i}.img_q_normed"),
            &image_q,
        )?;
        let q = backend.concat(&[&self.text.queries(backend, &text)?, &image_q])?;
        let q = backend.rotate(&q, self.heads, &step.places.all)?;
        let attended = self.attend(step, &q, &self.seen(step, &text, &image)?)?;

        let tokens = backend.shape(&attended)[0];
        let image = backend.rows(&attended, text_tokens..tokens)?;
        let image = self.image.out(backend, &image)?;
        tap.see(backend, format_args!("dit.block.{i}.attn_img"), &image)?;
        let text = backend.rows(&attended, 0..text_tokens)?;
        let text = self.text.out(backend, &text)?;
        tap.see(backend, format_args!("dit.block.{i}.attn_txt"), &text)?;

        let image = self.image.finish(backend, &x.image, &image, step.image())?;
        tap.see(backend, format_args!("dit.block.{i}.img_out"), &image)?;
        let text = self.text.finish(backend, &x.text, &text, step.text())?;
        tap.see(backend, format_args!("dit.block.{i}.txt_out"), &text)?;
        Ok(Streams { image, text })
    }

    /// The noise's tokens alone after the last block. Nothing comes after it that would look at the
    /// others: they are attended to here, and not computed further.
    pub(super) fn forward_last(
        &self,
        step: &Step<'_, B>,
        x: &Streams<B::Tensor>,
    ) -> Result<B::Tensor, ComputeError> {
        let (backend, noise_tokens) = (step.backend, step.places.noise_tokens);
        let image = step.image().for_attention(backend, &x.image)?;
        let text = step.text().for_attention(backend, &x.text)?;
        let noise = backend.rows(&image, 0..noise_tokens)?;
        let q = self.image.queries(backend, &noise)?;
        let q = backend.rotate(&q, self.heads, &step.places.noise)?;
        let attended = self.attend(step, &q, &self.seen(step, &text, &image)?)?;
        let attended = self.image.out(backend, &attended)?;
        let x = backend.rows(&x.image, 0..noise_tokens)?;
        self.image.finish(backend, &x, &attended, step.image())
    }

    /// Keys, turned, and values of all tokens.
    fn seen(
        &self,
        step: &Step<'_, B>,
        text: &B::Tensor,
        image: &B::Tensor,
    ) -> Result<Seen<B::Tensor>, ComputeError> {
        let backend = step.backend;
        let text = self.text.seen(backend, text)?;
        let image = self.image.seen(backend, image)?;
        let keys = backend.concat(&[&text.keys, &image.keys])?;
        Ok(Seen {
            keys: backend.rotate(&keys, self.heads, &step.places.all)?,
            values: backend.concat(&[&text.values, &image.values])?,
        })
    }

    fn attend(
        &self,
        step: &Step<'_, B>,
        queries: &B::Tensor,
        seen: &Seen<B::Tensor>,
    ) -> Result<B::Tensor, ComputeError> {
        let attention = Attention {
            heads: self.heads,
            kv_heads: self.heads,
            scale: 1.0 / (self.head_width as f32).sqrt(),
            visible: Visible::All,
        };
        step.backend
            .attend(queries, &seen.keys, &seen.values, attention)
    }
}

impl<B: Backend> Step<'_, B> {
    /// The references take the second row, if there is one.
    fn image(&self) -> Split<'_, B::Tensor> {
        Split {
            halves: &self.modulation.image,
            split: self.places.noise_tokens,
        }
    }

    fn text(&self) -> Split<'_, B::Tensor> {
        Split {
            halves: &self.modulation.text,
            split: self.places.text_tokens,
        }
    }
}
