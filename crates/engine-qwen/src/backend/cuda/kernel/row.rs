//! Kernels that look at whole rows: norms, what is fused with them, and quantisation.
//!
//! A team of lanes takes a row and keeps it in registers, at most [`LANE`] numbers a lane.

use super::launch::{Argument, Launch, arguments, modulation, names, small};
use crate::backend::{
    Activation,
    cuda::command::{Command, Operand},
};

/// Numbers that a lane can keep: four loads of eight.
const LANE: usize = 32;
/// Threads of a block in which several teams work.
const BLOCK: u32 = 128;

/// How rows are spread over blocks; the number of a team's lanes is the last argument.
fn launch(kernel: &'static str, [rows, width]: [usize; 2], mut arguments: Vec<Argument>) -> Launch {
    let lanes = small(width.div_ceil(LANE));
    assert!(lanes <= 512, "BUG: a row of {width} numbers is too wide");
    let (team, block) = match lanes {
        // Several teams in a warp.
        0..=32 => (lanes.next_power_of_two().max(4), BLOCK),
        // A team of several warps meets at the block's barrier.
        _ => (lanes.next_multiple_of(32), lanes.next_multiple_of(32)),
    };
    arguments.extend([
        Argument::from(rows),
        Argument::from(width),
        Argument::U32(team),
    ]);
    Launch {
        kernel,
        grid: [small(rows).div_ceil(block / team), 1, 1],
        block,
        shared: 0,
        arguments,
    }
}

fn size(operand: &Operand) -> [usize; 2] {
    [operand.rows, operand.width]
}

/// Where a norm goes: `[y]`, or codes and scales.
fn destination(writes: &[Operand]) -> [Argument; 3] {
    match writes {
        [y] => [y.at.into(), 0_u64.into(), 0_u64.into()],
        [codes, scales] => [0_u64.into(), codes.at.into(), scales.at.into()],
        _ => panic!("BUG: a norm has one result"),
    }
}

pub(super) fn modulated_norm(command: &Command, eps: f32, splits: [usize; 2]) -> Launch {
    let [x, shift, scale] = &command.reads[..] else {
        panic!("BUG: a modulated norm reads x, shift and scale");
    };
    let mut arguments = arguments![x.at];
    for (rows, split) in [shift, scale].into_iter().zip(splits) {
        arguments.extend(modulation(rows));
        arguments.push(split.into());
    }
    arguments.extend(destination(&command.writes));
    arguments.push(eps.into());
    launch(names!("modulated_norm").of(x.element), size(x), arguments)
}

pub(super) fn add_gated(command: &Command, split: usize) -> Launch {
    let [x, y, gate] = &command.reads[..] else {
        panic!("BUG: a gated sum reads x, y and a gate");
    };
    let mut arguments = arguments![x.at, y.at];
    arguments.extend(modulation(gate));
    arguments.extend(arguments![split, command.writes[0].at]);
    launch(names!("add_gated").of(x.element), size(x), arguments)
}

pub(super) fn add_gated_norm(command: &Command, eps: f32, splits: [usize; 3]) -> Launch {
    let [x, y, modulations @ ..] = &command.reads[..] else {
        panic!("BUG: a gated sum and its norm read x and y");
    };
    let mut arguments = arguments![x.at, y.at];
    for (rows, split) in modulations.iter().zip(splits) {
        arguments.extend(modulation(rows));
        arguments.push(split.into());
    }
    arguments.push(command.writes[0].at.into());
    arguments.extend(destination(&command.writes[1..]));
    arguments.push(eps.into());
    launch(names!("add_gated_norm").of(x.element), size(x), arguments)
}

/// A row that is normed in groups is so many rows.
pub(super) fn rms_norm(command: &Command, eps: f32) -> Launch {
    let (x, weight) = (&command.reads[0], &command.reads[1]);
    let groups = x.width / weight.width;
    let arguments = arguments![x.at, weight.at, command.writes[0].at, eps];
    let name = names!("rms_norm").of(x.element);
    launch(name, [x.rows * groups, weight.width], arguments)
}

pub(super) fn layer_norm(command: &Command, eps: f32) -> Launch {
    let [x, weight, bias] = &command.reads[..] else {
        panic!("BUG: a norm of layers reads x, weight and bias");
    };
    let arguments = arguments![x.at, weight.at, bias.at, command.writes[0].at, eps];
    launch(names!("layer_norm").of(x.element), size(x), arguments)
}

pub(super) fn channel_norm(command: &Command, activation: Activation) -> Launch {
    let (x, gamma) = (&command.reads[0], &command.reads[1]);
    let arguments = arguments![x.at, gamma.at, activation, command.writes[0].at];
    launch(names!("channel_norm").of(x.element), size(x), arguments)
}

pub(super) fn quantise(command: &Command) -> Launch {
    let x = &command.reads[0];
    let arguments = arguments![x.at, command.writes[0].at, command.writes[1].at];
    launch(names!("quantise").of(x.element), size(x), arguments)
}
