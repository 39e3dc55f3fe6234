//! The text encoder as a whole.

use std::path::Path;

use super::{
    config::EncoderConfig, language::Language, layout, position::Positions,
    template::TokenisedPrompt, vision::Tower,
};
use crate::{
    backend::Backend,
    error::{ComputeError, LoadError, RunError},
    image::{Grid, VisionInput},
    tap::Tap,
    weights::{Scope, Weights},
};

/// Qwen2.5-VL up to its last hidden states.
///
/// Its table of embeddings, a tenth of its weights, is never resident: the rows that a prompt needs
/// are read where they lie. Its head is never read at all.
pub struct TextEncoder<B: Backend> {
    config: EncoderConfig,
    weights: Weights,
    tower: Tower<B>,
    language: Language<B>,
}

/// What the vision tower made of pictures: the same for every prompt about them.
pub struct VisionFeatures<B: Backend> {
    /// `[tokens of all pictures, hidden_size]`.
    tokens: B::Tensor,
    /// The merged grid of each picture.
    grids: Vec<Grid>,
}

impl<B: Backend> VisionFeatures<B> {
    /// The tokens of all pictures, one after the other.
    pub(crate) fn tokens(&self) -> &B::Tensor {
        &self.tokens
    }
}

/// What would make words of states.
const HEAD: &str = "lm_head";
/// The table of embeddings.
const EMBEDDINGS: &str = "embed_tokens";

impl<B: Backend> TextEncoder<B> {
    /// Loads `text_encoder` of a checkpoint.
    pub fn load(backend: &B, checkpoint: &Path, config: EncoderConfig) -> Result<Self, LoadError> {
        let weights = Weights::open(&checkpoint.join("text_encoder"))?;
        Self::load_from(backend, weights, config)
    }

    /// The same out of `weights`.
    pub(crate) fn load_from(
        backend: &B,
        weights: Weights,
        config: EncoderConfig,
    ) -> Result<Self, LoadError> {
        let scope = layout::language(&weights)?;
        // Read once, to find a type or a shape that cannot be used before a request does.
        embed(&scope, &config, &[0])?;
        let language = Language::load(backend, &scope, &config.language)?;
        let tower = Tower::load(backend, &layout::vision(&weights)?, &config.vision)?;
        Ok(Self {
            config,
            weights,
            tower,
            language,
        })
    }

    /// The bytes that loading reads: all but those of the table of embeddings and of the head.
    pub(crate) fn bytes_read(weights: &Weights) -> u64 {
        weights.bytes_of(|name| !name.contains(EMBEDDINGS) && !name.contains(HEAD))
    }

    /// Looks at pictures.
    pub fn look(
        &self,
        backend: &B,
        pictures: &[VisionInput],
        tap: &mut dyn Tap<B>,
    ) -> Result<VisionFeatures<B>, ComputeError> {
        let merge = self.config.vision.spatial_merge_size;
        if tap.is_on() {
            let sides = |picture: &VisionInput| {
                [1.0, picture.grid.height as f64, picture.grid.width as f64]
            };
            let grids: Vec<f64> = pictures.iter().flat_map(sides).collect();
            tap.note(format_args!("te.in.image_grid_thw"), &grids);
        }
        Ok(VisionFeatures {
            tokens: self.tower.forward(backend, pictures, tap)?,
            grids: pictures
                .iter()
                .map(|picture| picture.grid.merged(merge))
                .collect(),
        })
    }

    /// Encodes a prompt about these pictures: `[tokens, hidden_size]`, without the states that the
    /// prompt says to drop.
    ///
    /// # Panics
    /// If the prompt was made for other pictures.
    pub fn encode(
        &self,
        backend: &B,
        prompt: &TokenisedPrompt,
        pictures: &VisionFeatures<B>,
        tap: &mut dyn Tap<B>,
    ) -> Result<B::Tensor, RunError> {
        assert_eq!(
            prompt.grids, pictures.grids,
            "BUG: a prompt for other pictures"
        );
        let positions = Positions::of(prompt);
        if tap.is_on() {
            note(prompt, &positions, tap);
        }
        let embeddings = self.embed(backend, prompt, pictures)?;
        tap.see(backend, format_args!("te.inputs_embeds"), &embeddings)?;
        let states = self
            .language
            .forward(backend, embeddings, &positions, tap)?;
        Ok(backend.rows(&states, prompt.drop..prompt.ids.len())?)
    }

    /// The embeddings of a prompt's text, and what the tower made of its pictures between them.
    fn embed(
        &self,
        backend: &B,
        prompt: &TokenisedPrompt,
        pictures: &VisionFeatures<B>,
    ) -> Result<B::Tensor, RunError> {
        let scope = layout::language(&self.weights)?;
        let text = |ids: &[u32]| {
            let rows: Vec<usize> = ids.iter().map(|id| *id as usize).collect();
            let values = embed(&scope, &self.config, &rows)?;
            let tensor = backend.upload(values, &[rows.len(), self.config.language.hidden_size])?;
            Ok::<_, RunError>(tensor)
        };
        let mut parts = Vec::new();
        let (mut done, mut seen) = (0, 0);
        for picture in &prompt.pictures {
            parts.push(text(&prompt.ids[done..picture.start])?);
            parts.push(backend.rows(&pictures.tokens, seen..seen + picture.len())?);
            (done, seen) = (picture.end, seen + picture.len());
        }
        parts.push(text(&prompt.ids[done..])?);
        Ok(backend.concat(&parts.iter().collect::<Vec<_>>())?)
    }
}

/// Rows of the table of embeddings.
fn embed(scope: &Scope<'_>, config: &EncoderConfig, rows: &[usize]) -> Result<Vec<f32>, LoadError> {
    let shape = [config.language.vocab_size, config.language.hidden_size];
    scope
        .at(EMBEDDINGS)
        .view("weight", &shape)?
        .rows_to_f32(rows)
}

/// Shows what goes in, as the reference's processor makes it.
fn note<B: Backend>(prompt: &TokenisedPrompt, positions: &Positions, tap: &mut dyn Tap<B>) {
    let ids: Vec<f64> = prompt.ids.iter().copied().map(f64::from).collect();
    let mut kinds = vec![0.0; ids.len()];
    for picture in &prompt.pictures {
        kinds[picture.clone()].fill(1.0);
    }
    // There is one prompt, so nothing is padded.
    let mask = vec![1.0; ids.len()];
    tap.note(format_args!("te.in.input_ids"), &ids);
    tap.note(format_args!("te.in.attention_mask"), &mask);
    tap.note(format_args!("te.in.mm_token_type_ids"), &kinds);
    let axes = positions.axes.iter().flatten();
    let axes: Vec<f64> = axes.copied().map(f64::from).collect();
    tap.note(format_args!("te.position_ids"), &axes);
}
