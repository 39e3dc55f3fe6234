//! Norms, and what is fused with them. Sums are of 32-bit numbers in eight lanes, as a vector
//! unit adds them.

use candle_core::Tensor;
use pulp::Arch;
use rayon::prelude::*;

use super::{
    Activation, Modulation, Result,
    elementwise::activate,
    tensor::{blank, tensor, values, width},
};

/// Rows that one task works on.
const ROWS: usize = 16;

const LANES: usize = 16;

/// `Σ f(x)`.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "to be compiled for its caller's instructions"
)]
fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let whole = x.chunks_exact(LANES);
    let rest: f32 = whole.remainder().iter().map(|x| f(*x)).sum();
    for chunk in whole {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += f(*x);
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// Mean and one over the deviation of a row.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "to be compiled for its caller's instructions"
)]
fn moments(x: &[f32], eps: f32) -> (f32, f32) {
    let count = x.len() as f32;
    let mean = sum(x, |x| x) / count;
    let variance = sum(x, |x| (x - mean) * (x - mean)) / count;
    (mean, (variance + eps).sqrt().recip())
}

/// Works on rows of `width` numbers: each is given its number, what goes in and what comes out.
fn by_rows(
    x: &Tensor,
    width: usize,
    work: impl Fn(usize, &[f32], &mut [f32]) + Sync,
) -> Result<Tensor> {
    let input = values(x);
    let mut out = blank(input.len());
    out.par_chunks_mut(ROWS * width)
        .zip(input.par_chunks(ROWS * width))
        .enumerate()
        .for_each(|(chunk, (out, input))| {
            Arch::new().dispatch(|| {
                let rows = out.chunks_exact_mut(width).zip(input.chunks_exact(width));
                for (row, (out, input)) in rows.enumerate() {
                    work(chunk * ROWS + row, input, out);
                }
            });
        });
    tensor(out, x.dims())
}

pub(super) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
    let weight = values(weight);
    let group = weight.len();
    assert_eq!(width(x) % group, 0, "BUG: a row is not of whole groups");
    by_rows(x, group, |_, input, out| {
        let mean = sum(input, |x| x * x) / group as f32;
        let factor = (mean + eps).sqrt().recip();
        for (out, (x, weight)) in out.iter_mut().zip(input.iter().zip(&*weight)) {
            *out = x * factor * weight;
        }
    })
}

pub(super) fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f32) -> Result<Tensor> {
    let (weight, bias) = (values(weight), values(bias));
    by_rows(x, width(x), |_, input, out| {
        let (mean, factor) = moments(input, eps);
        for (i, out) in out.iter_mut().enumerate() {
            *out = (input[i] - mean) * factor * weight[i] + bias[i];
        }
    })
}

/// The row of a modulation that a token takes.
fn row_of(rows: &[f32], width: usize, split: usize, token: usize) -> &[f32] {
    if token < split {
        &rows[..width]
    } else {
        &rows[rows.len() - width..]
    }
}

pub(super) fn modulated_norm(
    x: &Tensor,
    shift: Modulation<'_, Tensor>,
    scale: Modulation<'_, Tensor>,
    eps: f32,
) -> Result<Tensor> {
    let width = width(x);
    let (shifts, scales) = (values(shift.rows), values(scale.rows));
    by_rows(x, width, |token, input, out| {
        let shift = row_of(&shifts, width, shift.split, token);
        let scale = row_of(&scales, width, scale.split, token);
        let (mean, factor) = moments(input, eps);
        for (out, (x, (shift, scale))) in out
            .iter_mut()
            .zip(input.iter().zip(shift.iter().zip(scale)))
        {
            *out = (x - mean) * factor * (1.0 + scale) + shift;
        }
    })
}

pub(super) fn add_gated(x: &Tensor, y: &Tensor, gate: Modulation<'_, Tensor>) -> Result<Tensor> {
    assert_eq!(x.dims(), y.dims(), "BUG: the shapes differ");
    let width = width(x);
    let (gates, other) = (values(gate.rows), values(y));
    by_rows(x, width, |token, input, out| {
        let gate = row_of(&gates, width, gate.split, token);
        let other = &other[token * width..][..width];
        for (out, (x, (y, gate))) in out.iter_mut().zip(input.iter().zip(other.iter().zip(gate))) {
            *out = x + gate * y;
        }
    })
}

pub(super) fn channel_norm(x: &Tensor, gamma: &Tensor, activation: Activation) -> Result<Tensor> {
    let gamma = values(gamma);
    let channels = gamma.len();
    assert_eq!(width(x), channels, "BUG: another number of channels");
    let root = (channels as f32).sqrt();
    by_rows(x, channels, |_, input, out| {
        let norm = sum(input, |x| x * x).sqrt();
        let factor = root / norm.max(1e-12);
        for (out, (x, gamma)) in out.iter_mut().zip(input.iter().zip(&*gamma)) {
            *out = x * factor * gamma;
        }
        activate(out, activation);
    })
}
