//! What the tensors of a text encoder are called.

use crate::{
    error::LoadError,
    weights::{Scope, Weights},
};

/// What stands before the language model's tensors: as published, and as the modules are called.
const LANGUAGE: [&str; 2] = ["model", "model.language_model"];
/// What stands before the vision tower's.
const VISION: [&str; 2] = ["visual", "model.visual"];

/// The language model's tensors.
pub(super) fn language(weights: &Weights) -> Result<Scope<'_>, LoadError> {
    below(weights, &LANGUAGE, "embed_tokens.weight")
}

/// The vision tower's tensors.
pub(super) fn vision(weights: &Weights) -> Result<Scope<'_>, LoadError> {
    below(weights, &VISION, "patch_embed.proj.weight")
}

/// What lies below the first of the prefixes that has `tensor`.
fn below<'a>(
    weights: &'a Weights,
    prefixes: &[&str],
    tensor: &str,
) -> Result<Scope<'a>, LoadError> {
    let scopes = prefixes.iter().map(|prefix| weights.root().at(prefix));
    let found = scopes.into_iter().find(|scope| scope.has(tensor));
    found.ok_or_else(|| LoadError::MissingTensor {
        path: weights.path().to_owned(),
        name: format!("{}.{tensor}", prefixes[0]),
    })
}
