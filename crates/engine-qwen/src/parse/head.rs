//! From the features of all stages to a score for each class and place:
//! transformers 5.23.0, `SegformerDecodeHead`.

use super::{config::ParserConfig, stage::EPS};
use crate::{
    backend::{Activation, Backend},
    error::{ComputeError, LoadError},
    weights::{Bias, LinearWeights, Matrix, Scope},
};

pub(super) struct Head<B: Backend> {
    projections: Vec<B::Linear>,
    /// `linear_fuse` with `batch_norm` folded into it: the part of each stage, whose sum it is.
    fuse: Vec<B::Linear>,
    classifier: B::Linear,
}

impl<B: Backend> Head<B> {
    pub(super) fn load(
        backend: &B,
        scope: &Scope<'_>,
        config: &ParserConfig,
    ) -> Result<Self, LoadError> {
        let width = config.decoder_hidden_size;
        let projections = config.hidden_sizes.iter().enumerate().map(|(i, inputs)| {
            let at = scope.at("linear_c").at(i).at("proj");
            at.linear(backend, *inputs, width, Bias::Yes)
        });
        let classifier = scope.at("classifier");
        let classifier = LinearWeights {
            matrix: Matrix::F32(
                classifier
                    .view("weight", &[config.labels(), width, 1, 1])?
                    .to_f32()?,
            ),
            inputs: width,
            outputs: config.labels(),
            bias: Some(classifier.view("bias", &[config.labels()])?.to_f32()?),
        };
        Ok(Self {
            projections: projections.collect::<Result<_, _>>()?,
            fuse: fuse(backend, scope, width, config.hidden_sizes.len())?,
            classifier: backend.prepare_linear(classifier)?,
        })
    }

    /// The features of each stage, the largest first, to `[h, w, classes]` of the largest.
    pub(super) fn forward(
        &self,
        backend: &B,
        features: &[B::Tensor],
    ) -> Result<B::Tensor, ComputeError> {
        let largest = backend.shape(&features[0]);
        let (height, width) = (largest[0], largest[1]);
        let mut sum: Option<B::Tensor> = None;
        for ((feature, projection), fuse) in features.iter().zip(&self.projections).zip(&self.fuse)
        {
            let projected = backend.linear(feature, projection, Activation::None)?;
            let grown = backend.resize(&projected, width, height)?;
            let part = backend.linear(&grown, fuse, Activation::None)?;
            sum = Some(match sum {
                None => part,
                Some(sum) => backend.add(&sum, &part)?,
            });
        }
        let sum = sum.expect("BUG: there is a stage");
        let active = backend.activate(&sum, Activation::Relu)?;
        backend.linear(&active, &self.classifier, Activation::None)
    }
}

/// `batch_norm(W · x) = (γ / σ) · W · x + (β - γ · μ / σ)`.
fn fuse<B: Backend>(
    backend: &B,
    scope: &Scope<'_>,
    width: usize,
    stages: usize,
) -> Result<Vec<B::Linear>, LoadError> {
    let inputs = width * stages;
    let mut matrix = scope
        .at("linear_fuse")
        .view("weight", &[width, inputs, 1, 1])?
        .to_f32()?;
    let norm = scope.at("batch_norm");
    let values = |name| norm.view(name, &[width])?.to_f32();
    let (gamma, beta) = (values("weight")?, values("bias")?);
    let (mean, variance) = (values("running_mean")?, values("running_var")?);
    let mut bias = beta;
    for (i, row) in matrix.chunks_exact_mut(inputs).enumerate() {
        let factor = gamma[i] / (variance[i] + EPS).sqrt();
        for weight in row {
            *weight *= factor;
        }
        bias[i] -= mean[i] * factor;
    }
    // The last stage comes first; the bias is added once.
    let part = |stage: usize| {
        let columns = (stages - 1 - stage) * width..(stages - stage) * width;
        let rows = matrix.chunks_exact(inputs);
        backend.prepare_linear(LinearWeights {
            matrix: Matrix::F32(
                rows.flat_map(|row| &row[columns.clone()])
                    .copied()
                    .collect(),
            ),
            inputs: width,
            outputs: width,
            bias: (stage == 0).then(|| bias.clone()),
        })
    };
    (0..stages).map(part).collect()
}
