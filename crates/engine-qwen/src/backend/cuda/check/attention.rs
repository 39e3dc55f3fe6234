//! Attention.

use super::{Checks, Form, Matrix};
use crate::{
    backend::{
        Attention, Backend as _, Cpu, Visible,
        cuda::{
            command::{Element, Kind, Mask},
            device::Device,
        },
    },
    error::ComputeError,
};

/// Heads, and how many numbers and tokens there are.
#[derive(Clone, Copy)]
struct Case {
    heads: usize,
    kv_heads: usize,
    width: usize,
    queries: usize,
    keys: usize,
    element: Element,
}

pub(super) fn check<D: Device>(checks: &mut Checks<'_, D>) -> Result<(), ComputeError> {
    for element in [Element::F32, Element::Bf16] {
        // The widths that matrix units take, over more than a tile of keys.
        for form in [[2, 2, 64], [2, 1, 80], [4, 2, 128], [1, 1, 384]] {
            masks(checks, case(form, 150, element))?;
        }
        // A whole tile, less than one, and other widths.
        masks(checks, case([1, 1, 128], 64, element))?;
        masks(checks, case([2, 1, 128], 7, element))?;
        masks(checks, case([4, 2, 16], 21, element))?;
        masks(checks, case([1, 1, 20], 21, element))?;
        let more_keys = Case {
            queries: 70,
            ..case([1, 1, 128], 200, element)
        };
        one(checks, more_keys, Mask::All, &[])?;
    }
    Ok(())
}

fn case([heads, kv_heads, width]: [usize; 3], tokens: usize, element: Element) -> Case {
    Case {
        heads,
        kv_heads,
        width,
        queries: tokens,
        keys: tokens,
        element,
    }
}

fn masks<D: Device>(checks: &mut Checks<'_, D>, case: Case) -> Result<(), ComputeError> {
    let tokens = case.keys;
    one(checks, case, Mask::All, &[])?;
    one(checks, case, Mask::Causal, &[])?;
    one(
        checks,
        case,
        Mask::Blocks,
        &[tokens / 5, tokens / 5 * 4, tokens],
    )
}

fn one<D: Device>(
    checks: &mut Checks<'_, D>,
    case: Case,
    mask: Mask,
    ends: &[usize],
) -> Result<(), ComputeError> {
    let Case {
        heads,
        kv_heads,
        width,
        ..
    } = case;
    let queries = Form::dense([case.queries, heads * width], case.element);
    let keys = Form::dense([case.keys, kv_heads * width], case.element);
    let q = checks.random(queries.with_gap(8), 1)?;
    let (k, v) = (checks.random(keys, 2)?, checks.random(keys, 3)?);
    let out = checks.blank(queries)?;
    let indices = Matrix::indices(checks.device, if ends.is_empty() { &[0] } else { ends })?;
    let scale = (width as f32).sqrt().recip();
    let kind = Kind::Attend {
        heads,
        kv_heads,
        scale: scale.into(),
        mask,
    };
    let visible = match mask {
        Mask::All => Visible::All,
        Mask::Causal => Visible::Causal,
        Mask::Blocks => Visible::Blocks(ends),
    };
    match mask {
        Mask::Blocks => checks.run(kind, &[&q, &k, &v, &indices], &[&out])?,
        Mask::All | Mask::Causal => checks.run(kind, &[&q, &k, &v], &[&out])?,
    }
    let form = Attention {
        heads,
        kv_heads,
        scale,
        visible,
    };
    let expected = Cpu.attend(&q.tensor()?, &k.tensor()?, &v.tensor()?, form)?;
    let what = format!("attention of {heads} heads of {width}, {mask:?}");
    // Sums over all keys, in another order.
    let roundings = if case.element == Element::F32 {
        16.0
    } else {
        4.0
    };
    checks.expect(&what, &out, &expected, roundings)
}
