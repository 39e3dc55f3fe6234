//! Commands on rows, and on each number for itself.

use super::{Checks, Form, Matrix};
use crate::{
    backend::{
        Activation, Backend as _, Cpu, Modulation,
        cuda::{
            command::{Element, Kind, Real},
            device::Device,
        },
    },
    error::ComputeError,
    fp8,
};

const EPS: f32 = 1e-6;

fn eps() -> Real {
    EPS.into()
}

pub(super) fn check<D: Device>(checks: &mut Checks<'_, D>) -> Result<(), ComputeError> {
    checks.everywhere(norms)?;
    groups(checks)?;
    zeros(checks)?;
    checks.everywhere(modulations)?;
    checks.everywhere(gated_norms)?;
    checks.everywhere(quantisation)?;
    checks.everywhere(quantised_norms)?;
    checks.everywhere(numbers)?;
    checks.everywhere(copies)
}

fn norms<D: Device>(
    checks: &mut Checks<'_, D>,
    element: Element,
    size: [usize; 2],
) -> Result<(), ComputeError> {
    let x = checks.random(Form::dense(size, element), 1)?;
    let parameter = Form::dense([1, size[1]], Element::F32);
    let (weight, bias) = (checks.random(parameter, 2)?, checks.random(parameter, 3)?);
    let out = checks.blank(Form::dense(size, element))?;
    let (values, weights) = (x.tensor()?, weight.vector()?);
    checks.run(Kind::RmsNorm { eps: eps() }, &[&x, &weight], &[&out])?;
    let expected = Cpu.rms_norm(&values, &weights, EPS)?;
    checks.expect("rms norm", &out, &expected, 4.0)?;

    checks.run(
        Kind::LayerNorm { eps: eps() },
        &[&x, &weight, &bias],
        &[&out],
    )?;
    let expected = Cpu.layer_norm(&values, &weights, &bias.vector()?, EPS)?;
    checks.expect("layer norm", &out, &expected, 8.0)?;

    for activation in [Activation::None, Activation::Silu] {
        checks.run(Kind::ChannelNorm(activation), &[&x, &weight], &[&out])?;
        let expected = Cpu.channel_norm(&values, &weights, activation)?;
        checks.expect("channel norm", &out, &expected, 4.0)?;
    }
    Ok(())
}

/// A row is normed in groups of the weight's width.
fn groups<D: Device>(checks: &mut Checks<'_, D>) -> Result<(), ComputeError> {
    let form = Form::dense([3, 4 * 24], Element::Bf16);
    let (x, out) = (checks.random(form, 1)?, checks.blank(form)?);
    let weight = checks.random(Form::dense([1, 24], Element::F32), 2)?;
    checks.run(Kind::RmsNorm { eps: eps() }, &[&x, &weight], &[&out])?;
    let expected = Cpu.rms_norm(&x.tensor()?, &weight.vector()?, EPS)?;
    checks.expect("rms norm in groups", &out, &expected, 4.0)
}

/// A row of zeros stays one.
fn zeros<D: Device>(checks: &mut Checks<'_, D>) -> Result<(), ComputeError> {
    let form = Form::dense([1, 16], Element::F32);
    let x = Matrix::of(checks.device, &[0.0; 16], form)?;
    let (gamma, out) = (checks.random(form, 2)?, checks.blank(form)?);
    checks.run(Kind::ChannelNorm(Activation::None), &[&x, &gamma], &[&out])?;
    let at = (Element::F32, form.size);
    checks.expect_equal("channel norm of zeros", at, &out.read()?, &[0.0; 16]);
    let codes = checks.blank(Form::dense([1, 16], Element::F8))?;
    let scale = checks.blank(Form::dense([1, 1], Element::F32))?;
    checks.run(Kind::Quantise, &[&x], &[&codes, &scale])?;
    checks.expect_equal("codes of zeros", at, &codes.bytes()?, &[0; 16]);
    checks.expect_equal("scale of zeros", at, &scale.read()?, &[1.0]);
    Ok(())
}

fn modulations<D: Device>(
    checks: &mut Checks<'_, D>,
    element: Element,
    size: [usize; 2],
) -> Result<(), ComputeError> {
    let form = Form::dense(size, element);
    let (x, y) = (checks.random(form, 1)?, checks.random(form, 2)?);
    let two = Form::dense([2, size[1]], element);
    let (shift, scale) = (checks.random(two, 3)?, checks.random(two, 4)?);
    let gate = checks.random(Form::dense([1, size[1]], element), 5)?;
    let out = checks.blank(form)?;
    let kind = Kind::ModulatedNorm {
        eps: eps(),
        splits: [1, size[0]],
        quantise: false,
    };
    checks.run(kind, &[&x, &shift, &scale], &[&out])?;
    let (shifts, scales, gates) = (shift.tensor()?, scale.tensor()?, gate.tensor()?);
    let by = |rows, split| Modulation { rows, split };
    let shifts = by(&shifts, 1);
    let expected = Cpu.modulated_norm(&x.tensor()?, shifts, by(&scales, size[0]), EPS)?;
    checks.expect("modulated norm", &out, &expected, 8.0)?;

    checks.run(Kind::AddGated { split: 0 }, &[&x, &y, &gate], &[&out])?;
    let expected = Cpu.add_gated(&x.tensor()?, &y.tensor()?, by(&gates, 0))?;
    checks.expect("gated sum", &out, &expected, 4.0)
}

/// The sum is what it would be alone, and the norm is that of the sum as it is stored.
fn gated_norms<D: Device>(
    checks: &mut Checks<'_, D>,
    element: Element,
    size: [usize; 2],
) -> Result<(), ComputeError> {
    let form = Form::dense(size, element);
    let (x, y) = (checks.random(form, 1)?, checks.random(form, 2)?);
    let two = Form::dense([2, size[1]], element);
    let gate = checks.random(two, 3)?;
    let (shift, scale) = (checks.random(two, 4)?, checks.random(two, 5)?);
    let alone = checks.blank(form)?;
    checks.run(Kind::AddGated { split: 1 }, &[&x, &y, &gate], &[&alone])?;
    let (sum, out) = (checks.blank(form)?, checks.blank(form)?);
    let kind = Kind::AddGatedNorm {
        eps: eps(),
        splits: [1, 0, size[0]],
        quantise: false,
    };
    checks.run(kind, &[&x, &y, &gate, &shift, &scale], &[&sum, &out])?;
    let stored = sum.read()?;
    checks.expect_equal(
        "sum of a gated norm",
        (element, size),
        &stored,
        &alone.read()?,
    );
    let (shifts, scales) = (shift.tensor()?, scale.tensor()?);
    let by = |rows, split| Modulation { rows, split };
    let stored = Cpu.upload(stored, &size)?;
    let expected = Cpu.modulated_norm(&stored, by(&shifts, 0), by(&scales, size[0]), EPS)?;
    checks.expect("gated norm", &out, &expected, 8.0)
}

fn quantisation<D: Device>(
    checks: &mut Checks<'_, D>,
    element: Element,
    size: [usize; 2],
) -> Result<(), ComputeError> {
    let x = checks.random(Form::dense(size, element), 1)?;
    let codes = checks.blank(Form::dense(size, Element::F8))?;
    let scales = checks.blank(Form::dense([size[0], 1], Element::F32))?;
    checks.run(Kind::Quantise, &[&x], &[&codes, &scales])?;
    let rows = x.values.chunks_exact(size[1]);
    let expected: Vec<f32> = rows.clone().map(fp8::activation_scale).collect();
    checks.expect_equal("fp8 scales", (element, size), &scales.read()?, &expected);
    let rows = rows.zip(&expected);
    let expected: Vec<u8> = rows
        .flat_map(|(row, scale)| row.iter().map(move |x| fp8::quantise(x / scale).to_bits()))
        .collect();
    checks.expect_equal("fp8 codes", (element, size), &codes.bytes()?, &expected);
    Ok(())
}

/// A norm that is quantised before anybody has stored it.
fn quantised_norms<D: Device>(
    checks: &mut Checks<'_, D>,
    element: Element,
    size: [usize; 2],
) -> Result<(), ComputeError> {
    let form = Form::dense(size, element);
    let (x, y) = (checks.random(form, 1)?, checks.random(form, 2)?);
    let two = Form::dense([2, size[1]], element);
    let gate = checks.random(two, 3)?;
    let (shift, scale) = (checks.random(two, 4)?, checks.random(two, 5)?);
    let sum = checks.blank(form)?;
    let codes = checks.blank(Form::dense(size, Element::F8))?;
    let scales = checks.blank(Form::dense([size[0], 1], Element::F32))?;
    let (shifts, factors) = (shift.tensor()?, scale.tensor()?);
    let by = |rows| Modulation { rows, split: 1 };

    let kind = Kind::ModulatedNorm {
        eps: eps(),
        splits: [1, 1],
        quantise: true,
    };
    checks.run(kind, &[&x, &shift, &scale], &[&codes, &scales])?;
    let expected = Cpu.modulated_norm(&x.tensor()?, by(&shifts), by(&factors), EPS)?;
    checks.expect_codes(
        "modulated norm in fp8",
        element,
        [&codes, &scales],
        &expected,
    )?;

    let kind = Kind::AddGatedNorm {
        eps: eps(),
        splits: [1, 1, 1],
        quantise: true,
    };
    let reads = [&x, &y, &gate, &shift, &scale];
    checks.run(kind, &reads, &[&sum, &codes, &scales])?;
    let stored = Cpu.upload(sum.read()?, &size)?;
    let expected = Cpu.modulated_norm(&stored, by(&shifts), by(&factors), EPS)?;
    checks.expect_codes("gated norm in fp8", element, [&codes, &scales], &expected)
}

fn numbers<D: Device>(
    checks: &mut Checks<'_, D>,
    element: Element,
    size: [usize; 2],
) -> Result<(), ComputeError> {
    let form = Form::dense(size, element);
    let (x, y) = (checks.random(form, 1)?, checks.random(form, 2)?);
    let out = checks.blank(form)?;
    checks.run(Kind::Add, &[&x, &y], &[&out])?;
    let expected = Cpu.add(&x.tensor()?, &y.tensor()?)?;
    checks.expect("add", &out, &expected, 2.0)?;
    for activation in [
        Activation::None,
        Activation::Silu,
        Activation::GeluErf,
        Activation::GeluTanh,
        Activation::Relu,
    ] {
        checks.run(Kind::Activate(activation), &[&x], &[&out])?;
        let expected = Cpu.activate(&x.tensor()?, activation)?;
        checks.expect(&format!("{activation:?}"), &out, &expected, 2.0)?;
    }
    for gap in [0, 3, 8] {
        let form = form.with_gap(gap);
        let (gate, up) = (checks.random(form, 3)?, checks.random(form, 4)?);
        checks.run(Kind::Swiglu, &[&gate, &up], &[&out])?;
        let expected = Cpu.swiglu(&gate.tensor()?, &up.tensor()?)?;
        checks.expect("swiglu", &out, &expected, 2.0)?;
    }
    Ok(())
}

fn copies<D: Device>(
    checks: &mut Checks<'_, D>,
    element: Element,
    size: [usize; 2],
) -> Result<(), ComputeError> {
    let x = checks.random(Form::dense(size, element).with_gap(8), 1)?;
    for to in [Element::F32, Element::Bf16] {
        let out = checks.blank(Form::dense(size, to).with_gap(3))?;
        checks.run(Kind::Copy, &[&x], &[&out])?;
        checks.expect("copy", &out, &x.tensor()?, 1.0)?;
    }
    let x = checks.random(Form::dense(size, element), 1)?;
    let order: Vec<usize> = (0..size[0]).rev().chain([0]).collect();
    let indices = Matrix::indices(checks.device, &order)?;
    let out = checks.blank(Form::dense([order.len(), size[1]], element))?;
    checks.run(Kind::Gather, &[&x, &indices], &[&out])?;
    checks.expect("gather", &out, &Cpu.gather(&x.tensor()?, &order)?, 1.0)
}
