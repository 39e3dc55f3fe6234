//! Attention without its scores: a block of queries meets a block of keys at a time, and the
//! softmax is kept up to date as they come (Rabe and Staats, "Self-attention does not need O(n²)
//! memory", 2021).

use std::ops::Range;

use candle_core::Tensor;
use pulp::Arch;
use rayon::prelude::*;

use super::{
    Attention, Result, math,
    matmul::{Mat, Spread, Target, multiply},
    tensor::{blank, tensor, values, width},
};
use crate::backend::Visible;

/// Queries of a block.
const QUERIES: usize = 64;
/// Keys of a block: scores of a block stay in a core's cache.
const KEYS: usize = 256;

/// Queries, keys and values, heads side by side.
struct Inputs<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    /// Keys.
    tokens: usize,
    /// Width of a head.
    head: usize,
    form: Attention<'a>,
}

pub(super) fn attend(q: &Tensor, k: &Tensor, v: &Tensor, form: Attention<'_>) -> Result<Tensor> {
    let row = width(q);
    let head = row / form.heads;
    assert_eq!(
        head * form.heads,
        row,
        "BUG: queries are not of whole heads"
    );
    assert_eq!(
        width(k),
        head * form.kv_heads,
        "BUG: keys have another width"
    );
    assert_eq!(k.dims(), v.dims(), "BUG: keys and values differ");
    let (queries, keys, kept) = (values(q), values(k), values(v));
    let inputs = Inputs {
        q: &queries,
        k: &keys,
        v: &kept,
        tokens: keys.len() / width(k),
        head,
        form,
    };
    let mut out = blank(queries.len());
    let blocks = blocks(queries.len() / row, form.visible);
    split(&mut out, &blocks, row)
        .into_par_iter()
        .zip(&blocks)
        .for_each(|(out, queries)| inputs.block(queries.clone(), out));
    tensor(out, q.dims())
}

/// The queries in blocks of which each sees one range of keys.
fn blocks(tokens: usize, visible: Visible<'_>) -> Vec<Range<usize>> {
    let all = [tokens];
    let ends = match visible {
        Visible::Blocks(ends) => ends,
        Visible::All | Visible::Causal => &all,
    };
    let starts = std::iter::once(&0).chain(ends);
    let ranges = starts.zip(ends).flat_map(|(start, end)| {
        (*start..*end)
            .step_by(QUERIES)
            .map(|at| at..(at + QUERIES).min(*end))
    });
    ranges.collect()
}

/// Where the result of each block goes.
fn split<'a>(mut out: &'a mut [f32], blocks: &[Range<usize>], row: usize) -> Vec<&'a mut [f32]> {
    let mut parts = Vec::with_capacity(blocks.len());
    for block in blocks {
        let (part, rest) = out.split_at_mut(block.len() * row);
        parts.push(part);
        out = rest;
    }
    assert!(out.is_empty(), "BUG: blocks leave tokens out");
    parts
}

impl Inputs<'_> {
    /// The keys that some of these queries see.
    fn seen(&self, queries: &Range<usize>) -> Range<usize> {
        match self.form.visible {
            Visible::All => 0..self.tokens,
            Visible::Causal => 0..queries.end,
            Visible::Blocks(ends) => {
                let block = ends.partition_point(|end| *end <= queries.start);
                let start = if block == 0 { 0 } else { ends[block - 1] };
                start..ends[block]
            }
        }
    }

    /// All heads of a block of queries.
    fn block(&self, queries: Range<usize>, out: &mut [f32]) {
        let row = self.head * self.form.heads;
        let shared = self.form.heads / self.form.kv_heads;
        let mut state = State::new(queries.len(), self.head);
        for head in 0..self.form.heads {
            state.reset();
            let at = queries.start * row + head * self.head;
            let q = Mat::new(&self.q[at..], queries.len(), self.head, row);
            let seen = self.seen(&queries);
            for start in seen.clone().step_by(KEYS) {
                let keys = start..(start + KEYS).min(seen.end);
                self.meet(&mut state, (q, &queries), keys, head / shared);
            }
            state.finish(&mut out[head * self.head..], row);
        }
    }

    /// A block of queries meets a block of keys.
    fn meet(
        &self,
        state: &mut State,
        (q, queries): (Mat<'_>, &Range<usize>),
        keys: Range<usize>,
        kv_head: usize,
    ) {
        let kv_row = self.head * self.form.kv_heads;
        let at = keys.start * kv_row + kv_head * self.head;
        let k = Mat::new(&self.k[at..], keys.len(), self.head, kv_row);
        let v = Mat::new(&self.v[at..], keys.len(), self.head, kv_row);
        let scores = Target {
            values: &mut state.scores,
            stride: KEYS,
            add: false,
        };
        multiply(scores, q, k.transposed(), Spread::Nothing);
        for row in 0..queries.len() {
            let visible = match self.form.visible {
                Visible::Causal => (queries.start + row + 1).saturating_sub(keys.start),
                Visible::All | Visible::Blocks(_) => keys.len(),
            };
            state.weigh(row, keys.len(), visible.min(keys.len()), self.form.scale);
        }
        let weights = Mat::new(&state.scores, queries.len(), keys.len(), KEYS);
        let sums = Target {
            values: &mut state.sums,
            stride: self.head,
            add: true,
        };
        multiply(sums, weights, v, Spread::Nothing);
    }
}

/// What a block of queries has seen so far.
struct State {
    head: usize,
    /// `[QUERIES, KEYS]`: scores, then weights.
    scores: Vec<f32>,
    /// `[queries, head]`: weighted sums of values.
    sums: Vec<f32>,
    /// The largest score of each query.
    largest: Vec<f32>,
    /// The sum of weights of each query, relative to its largest score.
    total: Vec<f32>,
}

impl State {
    fn new(queries: usize, head: usize) -> Self {
        Self {
            head,
            scores: blank(queries * KEYS),
            sums: blank(queries * head),
            largest: blank(queries),
            total: blank(queries),
        }
    }

    fn reset(&mut self) {
        self.sums.fill(0.0);
        self.largest.fill(f32::NEG_INFINITY);
        self.total.fill(0.0);
    }

    /// Turns a query's scores into weights, of which those behind `visible` are 0, and what was
    /// summed up before into terms of the new largest score.
    fn weigh(&mut self, row: usize, keys: usize, visible: usize, scale: f32) {
        let scores = &mut self.scores[row * KEYS..][..keys];
        let (seen, hidden) = scores.split_at_mut(visible);
        hidden.fill(0.0);
        if seen.is_empty() {
            return;
        }
        let sums = &mut self.sums[row * self.head..][..self.head];
        let (before, total) = (self.largest[row], &mut self.total[row]);
        let largest = Arch::new().dispatch(|| {
            let found = seen.iter().fold(f32::NEG_INFINITY, |most, x| most.max(*x)) * scale;
            let largest = before.max(found);
            let keep = math::exp(before - largest);
            let sum = weights(seen, scale, largest);
            *total = *total * keep + sum;
            if keep < 1.0 {
                for sum in sums {
                    *sum *= keep;
                }
            }
            largest
        });
        self.largest[row] = largest;
    }

    /// Writes the weighted means.
    fn finish(&self, out: &mut [f32], row: usize) {
        for (i, total) in self.total.iter().enumerate() {
            let sums = &self.sums[i * self.head..][..self.head];
            let out = &mut out[i * row..][..self.head];
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = sum / total;
            }
        }
    }
}

/// Scores as weights relative to `largest`, and their sum.
#[inline(always)]
fn weights(scores: &mut [f32], scale: f32, largest: f32) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [0.0; LANES];
    let mut chunks = scores.chunks_exact_mut(LANES);
    for chunk in &mut chunks {
        for (lane, score) in lanes.iter_mut().zip(chunk) {
            *score = math::exp(*score * scale - largest);
            *lane += *score;
        }
    }
    let mut sum: f32 = lanes.iter().sum();
    for score in chunks.into_remainder() {
        *score = math::exp(*score * scale - largest);
        sum += *score;
    }
    sum
}
