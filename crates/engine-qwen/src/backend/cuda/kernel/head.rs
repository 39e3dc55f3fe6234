//! Heads of queries, keys and values: normed, turned, and put where they belong.
//!
//! One kernel takes up to three parts at once, such as those that one product gave side by side.

use super::launch::{Launch, arguments, names, small};
use crate::backend::{
    Pairing,
    cuda::command::{Command, Operand},
};

/// Threads of a block.
const BLOCK: usize = 128;
/// The widest head: eight numbers a lane of a warp.
const WIDEST: usize = 256;

/// Queries, keys or values.
struct Part<'a> {
    /// The first head of the first row.
    x: u64,
    /// From a row to the next.
    stride: usize,
    /// Of the norm over each head.
    weight: Option<&'a Operand>,
    turned: bool,
    out: &'a Operand,
}

/// What is the same for all parts.
struct Shared<'a> {
    cos: &'a Operand,
    sin: &'a Operand,
    pairing: Pairing,
    eps: f32,
}

/// Whether a lane can take eight neighbours at a time: they are turned among themselves, and all
/// rows begin where a load may.
fn in_vectors(parts: &[Part<'_>], width: usize, pairing: Pairing) -> bool {
    let whole = |at: u64, stride: usize| at.is_multiple_of(16) && stride.is_multiple_of(8);
    let all = parts
        .iter()
        .all(|part| whole(part.x, part.stride) && whole(part.out.at, part.out.stride));
    pairing == Pairing::Interleaved && width.is_multiple_of(8) && all
}

/// A team of lanes takes a head of a row.
fn launch(parts: &[Part<'_>], shared: &Shared<'_>) -> Launch {
    let width = 2 * shared.cos.width;
    assert!(
        width <= WIDEST,
        "BUG: a head of {width} numbers is too wide"
    );
    let first = parts[0].out;
    let vectors = in_vectors(parts, width, shared.pairing);
    let team = if vectors {
        (width / 8).next_power_of_two()
    } else {
        32
    };
    let mut arguments = Vec::new();
    for part in parts {
        arguments.extend(arguments![
            part.x,
            part.stride,
            part.weight.map_or(0, |weight| weight.at),
            part.turned,
            part.out.width / width,
            part.out.at,
            part.out.stride,
        ]);
    }
    let nothing = arguments![0_u64, 0_usize, 0_u64, false, 0_usize, 0_u64, 0_usize];
    arguments.extend(nothing.repeat(3 - parts.len()));
    arguments.extend(arguments![
        shared.cos.at,
        shared.sin.at,
        shared.pairing == Pairing::Halves,
        first.rows,
        width,
        shared.eps,
        team,
        vectors,
    ]);
    let heads: usize = parts.iter().map(|part| part.out.width / width).sum();
    Launch {
        kernel: names!("heads").of(first.element),
        grid: [small((heads * first.rows).div_ceil(BLOCK / team)), 1, 1],
        block: small(BLOCK),
        shared: 0,
        arguments,
    }
}

pub(super) fn norm_turn(command: &Command, eps: f32) -> Launch {
    let [x, weight, cos, sin] = &command.reads[..] else {
        panic!("BUG: heads are normed and turned by a weight and angles");
    };
    let part = Part {
        x: x.at,
        stride: x.stride,
        weight: Some(weight),
        turned: true,
        out: &command.writes[0],
    };
    let pairing = Pairing::Interleaved;
    let shared = Shared {
        cos,
        sin,
        pairing,
        eps,
    };
    launch(&[part], &shared)
}

pub(super) fn qkv(command: &Command, eps: f32) -> Launch {
    let [x, q_weight, k_weight, cos, sin] = &command.reads[..] else {
        panic!("BUG: queries, keys and values take two weights and angles");
    };
    let weights = [Some(q_weight), Some(k_weight), None];
    let part = |i: usize| Part {
        x: x.at + (i * x.width / 3 * x.element.size()) as u64,
        stride: x.stride,
        weight: weights[i],
        turned: weights[i].is_some(),
        out: &command.writes[i],
    };
    let pairing = Pairing::Interleaved;
    let shared = Shared {
        cos,
        sin,
        pairing,
        eps,
    };
    launch(&[part(0), part(1), part(2)], &shared)
}

pub(super) fn turn(command: &Command, pairing: Pairing) -> Launch {
    let [x, cos, sin] = &command.reads[..] else {
        panic!("BUG: heads are turned by angles");
    };
    let part = Part {
        x: x.at,
        stride: x.stride,
        weight: None,
        turned: true,
        out: &command.writes[0],
    };
    let shared = Shared {
        cos,
        sin,
        pairing,
        eps: 0.0,
    };
    launch(&[part], &shared)
}
