//! Rows and columns in another order, and heads turned.

use std::ops::Range;

use candle_core::Tensor;
use rayon::prelude::*;

use super::{
    Result,
    tensor::{blank, tensor, values, width},
};
use crate::backend::{Pairing, Rotary};

pub(super) fn columns(x: &Tensor, columns: Range<usize>) -> Result<Tensor> {
    let (row, count) = (width(x), columns.len());
    let input = values(x);
    let mut out = blank(input.len() / row * count);
    out.par_chunks_mut(count)
        .zip(input.par_chunks(row))
        .for_each(|(out, row)| out.copy_from_slice(&row[columns.clone()]));
    let mut shape = x.dims().to_vec();
    *shape.last_mut().expect("BUG: a tensor has a dimension") = count;
    tensor(out, &shape)
}

pub(super) fn gather(x: &Tensor, order: &[usize]) -> Result<Tensor> {
    let input = values(x);
    let row = input.len() / x.dims()[0];
    let mut out = blank(order.len() * row);
    out.par_chunks_mut(row)
        .zip(order)
        .for_each(|(out, from)| out.copy_from_slice(&input[from * row..][..row]));
    let mut shape = x.dims().to_vec();
    shape[0] = order.len();
    tensor(out, &shape)
}

pub(super) fn rotate(x: &Tensor, heads: usize, rotary: &Rotary<Tensor>) -> Result<Tensor> {
    let row = width(x);
    let head = row / heads;
    let half = head / 2;
    let input = values(x);
    let (cosines, sines) = (values(&rotary.cos), values(&rotary.sin));
    assert_eq!(
        cosines.len(),
        input.len() / row * half,
        "BUG: angles for other tokens"
    );
    let mut out = blank(input.len());
    out.par_chunks_mut(row)
        .zip(input.par_chunks(row))
        .zip(cosines.par_chunks(half).zip(sines.par_chunks(half)))
        .for_each(|((out, input), (cos, sin))| {
            let heads = out.chunks_exact_mut(head).zip(input.chunks_exact(head));
            for (out, input) in heads {
                match rotary.pairing {
                    Pairing::Interleaved => turn_neighbours(out, input, cos, sin),
                    Pairing::Halves => turn_halves(out, input, cos, sin),
                }
            }
        });
    tensor(out, x.dims())
}

fn turn_neighbours(out: &mut [f32], x: &[f32], cos: &[f32], sin: &[f32]) {
    let pairs = out.chunks_exact_mut(2).zip(x.chunks_exact(2));
    for ((out, x), (cos, sin)) in pairs.zip(cos.iter().zip(sin)) {
        out[0] = x[0] * cos - x[1] * sin;
        out[1] = x[1] * cos + x[0] * sin;
    }
}

fn turn_halves(out: &mut [f32], x: &[f32], cos: &[f32], sin: &[f32]) {
    let half = cos.len();
    let (first, second) = out.split_at_mut(half);
    let (x, y) = x.split_at(half);
    for i in 0..half {
        first[i] = x[i] * cos[i] - y[i] * sin[i];
        second[i] = y[i] * cos[i] + x[i] * sin[i];
    }
}
