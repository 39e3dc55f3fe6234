//! Commands on heads.

use super::{Checks, Form, Matrix, Tensor};
use crate::{
    backend::{
        Backend as _, Cpu, Pairing, Rotary,
        cuda::{
            command::{Element, Kind},
            device::Device,
        },
    },
    error::ComputeError,
};

const EPS: f32 = 1e-6;
const ROWS: usize = 5;

pub(super) fn check<D: Device>(checks: &mut Checks<'_, D>) -> Result<(), ComputeError> {
    for element in [Element::F32, Element::Bf16] {
        // Heads, their width, and what is between rows.
        for form in [[3, 128, 0], [2, 80, 8], [5, 16, 3], [2, 6, 0], [1, 256, 8]] {
            let [cos, sin] = angles(checks, form[1])?;
            turns(checks, element, form, [&cos, &sin])?;
            norms(checks, element, form, [&cos, &sin])?;
        }
    }
    Ok(())
}

/// Cosines and sines.
fn angles<'a, D: Device>(
    checks: &Checks<'a, D>,
    width: usize,
) -> Result<[Matrix<'a, D>; 2], ComputeError> {
    let form = Form::dense([ROWS, width / 2], Element::F32);
    let angles = checks.random(form, 9)?;
    let of = |f: fn(f32) -> f32| {
        let values: Vec<f32> = angles.values.iter().map(|angle| f(*angle)).collect();
        Matrix::of(checks.device, &values, form)
    };
    Ok([of(f32::cos)?, of(f32::sin)?])
}

fn rotary<D: Device>(
    [cos, sin]: [&Matrix<'_, D>; 2],
    pairing: Pairing,
) -> Result<Rotary<Tensor>, ComputeError> {
    Ok(Rotary {
        cos: cos.tensor()?,
        sin: sin.tensor()?,
        pairing,
    })
}

fn turns<D: Device>(
    checks: &mut Checks<'_, D>,
    element: Element,
    [heads, width, gap]: [usize; 3],
    [cos, sin]: [&Matrix<'_, D>; 2],
) -> Result<(), ComputeError> {
    let form = Form::dense([ROWS, heads * width], element);
    let (x, out) = (checks.random(form.with_gap(gap), 1)?, checks.blank(form)?);
    for pairing in [Pairing::Interleaved, Pairing::Halves] {
        checks.run(Kind::Turn(pairing), &[&x, cos, sin], &[&out])?;
        let expected = Cpu.rotate(&x.tensor()?, heads, &rotary([cos, sin], pairing)?)?;
        checks.expect(&format!("turn of {pairing:?}"), &out, &expected, 4.0)?;
    }
    Ok(())
}

fn norms<D: Device>(
    checks: &mut Checks<'_, D>,
    element: Element,
    [heads, width, gap]: [usize; 3],
    [cos, sin]: [&Matrix<'_, D>; 2],
) -> Result<(), ComputeError> {
    let eps = EPS.into();
    let form = Form::dense([ROWS, heads * width], element);
    let (x, out) = (checks.random(form.with_gap(gap), 1)?, checks.blank(form)?);
    let weight = checks.random(Form::dense([1, width], Element::F32), 2)?;
    let other = checks.random(Form::dense([1, width], Element::F32), 4)?;
    let rotary = rotary([cos, sin], Pairing::Interleaved)?;
    let turned = |x: &Tensor, weight: &Matrix<'_, D>| {
        let normed = Cpu.rms_norm(x, &weight.vector()?, EPS)?;
        Cpu.rotate(&normed, heads, &rotary)
    };
    let kind = Kind::HeadNormTurn { eps };
    checks.run(kind, &[&x, &weight, cos, sin], &[&out])?;
    let expected = turned(&x.tensor()?, &weight)?;
    checks.expect("norm and turn", &out, &expected, 4.0)?;

    let wide = Form::dense([ROWS, 3 * heads * width], element);
    let qkv = checks.random(wide.with_gap(gap), 3)?;
    let (q, k, v) = (
        checks.blank(form)?,
        checks.blank(form)?,
        checks.blank(form)?,
    );
    let kind = Kind::QkvNormTurn { eps };
    checks.run(kind, &[&qkv, &weight, &other, cos, sin], &[&q, &k, &v])?;
    let all = qkv.tensor()?;
    let part = |i: usize| Cpu.columns(&all, i * heads * width..(i + 1) * heads * width);
    checks.expect("queries", &q, &turned(&part(0)?, &weight)?, 4.0)?;
    checks.expect("keys", &k, &turned(&part(1)?, &other)?, 4.0)?;
    checks.expect("values", &v, &part(2)?, 1.0)
}
