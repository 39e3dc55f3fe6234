//! Kernels that take each number for itself.

use super::launch::{Argument, Launch, arguments, names, small};
use crate::backend::{
    Activation,
    cuda::command::{Command, Element, Operand},
};

/// Threads of a block.
const BLOCK: usize = 256;
/// Numbers of a thread.
const VECTOR: usize = 8;

/// A thread for eight numbers of a row.
fn launch(kernel: &'static str, [rows, width]: [usize; 2], mut arguments: Vec<Argument>) -> Launch {
    arguments.extend(arguments![rows, width]);
    Launch {
        kernel,
        grid: [small((rows * width.div_ceil(VECTOR)).div_ceil(BLOCK)), 1, 1],
        block: small(BLOCK),
        shared: 0,
        arguments,
    }
}

/// Dense numbers are one row.
fn flat(operand: &Operand) -> [usize; 2] {
    [1, operand.rows * operand.width]
}

pub(super) fn add(command: &Command) -> Launch {
    let (x, y) = (&command.reads[0], &command.reads[1]);
    let arguments = arguments![x.at, y.at, command.writes[0].at];
    launch(names!("add").of(x.element), flat(x), arguments)
}

pub(super) fn activate(command: &Command, activation: Activation) -> Launch {
    let x = &command.reads[0];
    let arguments = arguments![x.at, activation, command.writes[0].at];
    launch(names!("activate").of(x.element), flat(x), arguments)
}

pub(super) fn swiglu(command: &Command) -> Launch {
    let (gate, up) = (&command.reads[0], &command.reads[1]);
    let out = &command.writes[0];
    let arguments = arguments![gate.at, gate.stride, up.at, up.stride, out.at];
    launch(
        names!("swiglu").of(gate.element),
        [out.rows, out.width],
        arguments,
    )
}

/// Rows, or parts of them, elsewhere, in another order or another type.
pub(super) fn copy(command: &Command, order: Option<Operand>) -> Launch {
    let (x, out) = (&command.reads[0], &command.writes[0]);
    let order = order.map_or(0, |order| order.at);
    let arguments = arguments![x.at, x.stride, order, out.at, out.stride];
    let names = match x.element {
        Element::F32 => names!("copy_f32"),
        _ => names!("copy_bf16"),
    };
    launch(names.of(out.element), [out.rows, out.width], arguments)
}

/// What a matrix product could not do itself, on its result:
/// `activation(y · row_scales · column_scales + bias)`, each where there is one.
pub(in crate::backend::cuda) fn finish(
    y: &Operand,
    scales: [Option<Operand>; 2],
    bias: Option<Operand>,
    activation: Activation,
) -> Launch {
    let at = |operand: Option<Operand>| Argument::from(operand.map_or(0, |operand| operand.at));
    let [rows, columns] = scales;
    let arguments = arguments![y.at, at(rows), at(columns), at(bias), activation];
    launch(names!("finish").of(y.element), [y.rows, y.width], arguments)
}
