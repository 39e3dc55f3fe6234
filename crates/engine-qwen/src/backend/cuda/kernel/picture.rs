//! Kernels that look at a pixel's neighbours, or at what is shown of it. Pictures are
//! `[height, width, channels]`.

use super::launch::{Argument, Launch, arguments, names, small};
use crate::backend::cuda::command::{Command, Window};

/// Threads of a block.
const BLOCK: usize = 256;
/// Pixels and channels of the result that a block of a convolution computes.
const TILE: [usize; 2] = [128, 64];
/// Bytes that a thread makes.
const VECTOR: usize = 8;

/// A thread for each number.
fn by_numbers(kernel: &'static str, count: usize, arguments: Vec<Argument>) -> Launch {
    Launch {
        kernel,
        grid: [small(count.div_ceil(BLOCK)), 1, 1],
        block: small(BLOCK),
        shared: 0,
        arguments,
    }
}

/// Of all channels, a matrix product whose left side is gathered as it goes; of each channel for
/// itself, plain.
pub(super) fn conv(command: &Command, window: &Window) -> Launch {
    let (x, weight, out) = (&command.reads[0], &command.reads[1], &command.writes[0]);
    let bias = command.reads.get(2).map_or(0, |bias| bias.at);
    let [from_height, from_width] = window.from;
    let [height, width] = window.to;
    let [left, top] = window.before;
    let arguments = arguments![
        x.at,
        weight.at,
        bias,
        out.at,
        from_height,
        from_width,
        x.width,
        height,
        width,
        out.width,
        window.kernel,
        window.stride,
        left,
        top,
    ];
    if window.depthwise {
        let name = names!("depthwise_conv").of(x.element);
        return by_numbers(name, height * width * out.width, arguments);
    }
    let pixels = (height * width).div_ceil(TILE[0]);
    Launch {
        kernel: names!("conv").of(x.element),
        grid: [small(pixels), small(out.width.div_ceil(TILE[1])), 1],
        block: small(BLOCK),
        shared: 0,
        arguments,
    }
}

pub(super) fn upsample(command: &Command, [height, width]: [usize; 2]) -> Launch {
    let (x, out) = (&command.reads[0], &command.writes[0]);
    let arguments = arguments![x.at, out.at, height, width, x.width];
    let count = 4 * height * width * x.width;
    by_numbers(names!("upsample").of(x.element), count, arguments)
}

pub(super) fn resize(command: &Command, from: [usize; 2], to: [usize; 2]) -> Launch {
    let (x, out) = (&command.reads[0], &command.writes[0]);
    let arguments = arguments![x.at, out.at, from[0], from[1], x.width, to[0], to[1]];
    let count = to[0] * to[1] * x.width;
    by_numbers(names!("resize").of(x.element), count, arguments)
}

pub(super) fn bytes(command: &Command) -> Launch {
    let (x, out) = (&command.reads[0], &command.writes[0]);
    let count = x.rows * x.width;
    let arguments = arguments![x.at, out.at, count];
    let name = names!("bytes").of(x.element);
    by_numbers(name, count.div_ceil(VECTOR), arguments)
}
