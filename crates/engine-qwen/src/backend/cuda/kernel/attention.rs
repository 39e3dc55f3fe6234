//! Attention whose scores are never held whole.

use super::launch::{Launch, arguments, names, small};
use crate::backend::cuda::command::{Command, Element, Kind, Mask, Operand};

/// Queries of a block.
const QUERIES: usize = 64;
/// The widest head of the plain kernel: sixteen numbers a lane of a warp.
const WIDEST: usize = 512;

/// A kernel for a width of heads.
struct Form {
    kernel: &'static str,
    /// How many numbers of a head of the result are computed at a time.
    columns: usize,
    /// Queries of a block.
    queries: usize,
    shared: usize,
}

/// For a width whose numbers the matrix units take: bf16 in rows of whole vectors.
fn matrix(kernel: &'static str, [width, columns, keys]: [usize; 3]) -> Form {
    // Queries, and two of each of keys and values: one is read while the other comes. Rows are
    // eight numbers longer, so that eight of them in a row do not begin in the same bank.
    let numbers = (QUERIES + 2 * keys) * (width + 8) + 2 * keys * (columns + 8);
    Form {
        kernel,
        columns,
        queries: QUERIES,
        shared: Element::Bf16.size() * numbers,
    }
}

/// A warp a query.
fn plain(element: Element, width: usize) -> Form {
    assert!(
        width <= WIDEST,
        "BUG: a head of {width} numbers is too wide"
    );
    Form {
        kernel: names!("attend").of(element),
        columns: width,
        queries: 4,
        shared: 0,
    }
}

fn form(operands: [&Operand; 4], width: usize) -> Form {
    let element = operands[0].element;
    let whole = |operand: &Operand| operand.stride % 8 == 0 && operand.at % 16 == 0;
    if element != Element::Bf16 || !operands.into_iter().all(whole) {
        return plain(element, width);
    }
    match width {
        64 => matrix("attend_64", [64, 64, 64]),
        80 => matrix("attend_80", [80, 80, 64]),
        128 => matrix("attend_128", [128, 128, 64]),
        384 => matrix("attend_384", [384, 128, 16]),
        _ => plain(element, width),
    }
}

pub(super) fn attend(command: &Command) -> Launch {
    let Kind::Attend {
        heads,
        kv_heads,
        scale,
        mask,
    } = command.kind
    else {
        panic!("BUG: not an attention");
    };
    let [q, k, v, ends @ ..] = &command.reads[..] else {
        panic!("BUG: an attention reads queries, keys and values");
    };
    let out = &command.writes[0];
    let width = q.width / heads;
    let form = form([q, k, v, out], width);
    let (mode, ends) = match mask {
        Mask::All => (0_usize, 0),
        Mask::Causal => (1, 0),
        Mask::Blocks => (2, ends[0].at),
    };
    let blocks = match mask {
        Mask::Blocks => command.reads[3].width,
        _ => 1,
    };
    // How long each block is, the device alone knows. Each may leave its last tile unfilled, and
    // a tile that is beyond the last block does nothing.
    let tiles = (q.rows + blocks * (form.queries - 1)) / form.queries;
    let parts = width.div_ceil(form.columns);
    Launch {
        kernel: form.kernel,
        grid: [small(tiles), small(heads), small(parts)],
        block: 128,
        shared: small(form.shared),
        arguments: arguments![
            q.at,
            q.stride,
            k.at,
            k.stride,
            v.at,
            v.stride,
            out.at,
            out.stride,
            q.rows,
            k.rows,
            heads / kv_heads,
            width,
            scale.get(),
            mode,
            ends,
            blocks,
        ],
    }
}
