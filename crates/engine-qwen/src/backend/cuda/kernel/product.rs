//! Products that no library multiplies.

use super::launch::{Launch, arguments, names, small};
use crate::backend::cuda::command::{Element, Operand};

/// Threads of a block.
const BLOCK: usize = 256;
/// Threads that make a number.
const WARP: usize = 32;

/// `x · Wᵀ` of FP8 matrices, without scales.
pub(in crate::backend::cuda) fn multiply(x: &Operand, weight: &Operand, y: &Operand) -> Launch {
    for matrix in [x, weight] {
        assert_eq!(matrix.element, Element::F8, "BUG: others are a library's");
    }
    Launch {
        kernel: names!("multiply").of(y.element),
        grid: [small(y.width.div_ceil(BLOCK / WARP)), small(y.rows), 1],
        block: small(BLOCK),
        shared: 0,
        arguments: arguments![x.at, x.stride, weight.at, y.at, x.width, y.width],
    }
}
