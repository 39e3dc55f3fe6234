//! Number by number.

use candle_core::Tensor;
use pulp::Arch;
use rayon::prelude::*;

use super::{
    Activation, Result, math,
    tensor::{blank, tensor, values},
};

/// Numbers that one task works on.
const CHUNK: usize = 1 << 14;

/// `activation(x)` in place, with the vector instructions that this machine has.
pub(super) fn activate(x: &mut [f32], activation: Activation) {
    match activation {
        Activation::None => {}
        Activation::Silu => each(x, math::silu),
        Activation::GeluErf => x.iter_mut().for_each(|x| *x = math::gelu_erf(*x)),
        Activation::GeluTanh => each(x, math::gelu_tanh),
        Activation::Relu => each(x, |x| x.max(0.0)),
    }
}

#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "to be compiled for the instructions it is dispatched to"
)]
fn each(x: &mut [f32], f: impl Fn(f32) -> f32) {
    Arch::new().dispatch(|| {
        for x in x {
            *x = f(*x);
        }
    });
}

pub(super) fn activated(x: &Tensor, activation: Activation) -> Result<Tensor> {
    let mut y = values(x).to_vec();
    y.par_chunks_mut(CHUNK)
        .for_each(|y| activate(y, activation));
    tensor(y, x.dims())
}

/// `f(x, y)`, number by number.
pub(super) fn combine(
    x: &Tensor,
    y: &Tensor,
    f: impl Fn(f32, f32) -> f32 + Copy + Sync,
) -> Result<Tensor> {
    assert_eq!(x.dims(), y.dims(), "BUG: the shapes differ");
    let (left, right) = (values(x), values(y));
    let mut out = blank(left.len());
    out.par_chunks_mut(CHUNK)
        .zip(left.par_chunks(CHUNK).zip(right.par_chunks(CHUNK)))
        .for_each(|(out, (left, right))| {
            Arch::new().dispatch(|| {
                for (out, (x, y)) in out.iter_mut().zip(left.iter().zip(right)) {
                    *out = f(*x, *y);
                }
            });
        });
    tensor(out, x.dims())
}
