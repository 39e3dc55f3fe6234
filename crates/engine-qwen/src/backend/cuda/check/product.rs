//! Matrix products, with everything that may belong to them.

use super::{Checks, Form, Matrix};
use crate::{
    backend::{
        Activation, Backend as _, Cpu,
        cuda::{
            command::{Element, Kind, Scales},
            device::{Device, DeviceError},
        },
    },
    error::ComputeError,
    fp8,
};

pub(super) fn check<D: Device>(checks: &mut Checks<'_, D>) -> Result<(), ComputeError> {
    // Rows, inputs, outputs: multiples of 16 as the libraries want them of FP8, rows of any number.
    let sizes = [[7, 32, 48], [130, 256, 64], [1, 64, 16]];
    // And none, of which a kernel's products are.
    let odd = [[3, 24, 40], [2, 100, 9]];
    for activation in [Activation::None, Activation::GeluTanh] {
        for size in sizes {
            for element in [Element::F32, Element::Bf16] {
                plain(checks, size, activation, element, Scales::None)?;
                plain(checks, size, activation, element, Scales::Outputs)?;
            }
        }
        if checks.device.has_fp8() {
            for size in sizes.into_iter().chain(odd) {
                quantised(checks, size, activation)?;
            }
        }
    }
    Ok(())
}

/// Numbers so small that a sum is about 1.
fn lowered<'a, D: Device>(
    checks: &Checks<'a, D>,
    form: Form,
    seed: u64,
) -> Result<Matrix<'a, D>, DeviceError> {
    let full = checks.random(
        Form {
            element: Element::F32,
            ..form
        },
        seed,
    )?;
    let factor = (form.size[1] as f32).sqrt().recip();
    let values: Vec<f32> = full.values.iter().map(|value| value * factor).collect();
    Matrix::of(checks.device, &values, form)
}

fn plain<D: Device>(
    checks: &mut Checks<'_, D>,
    [rows, inputs, outputs]: [usize; 3],
    activation: Activation,
    element: Element,
    scales: Scales,
) -> Result<(), ComputeError> {
    let x = checks.random(Form::dense([rows, inputs], element).with_gap(8), 1)?;
    let weight = lowered(checks, Form::dense([outputs, inputs], element), 2)?;
    let bias = checks.random(Form::dense([1, outputs], element), 3)?;
    let scale = checks.random(Form::dense([1, outputs], Element::F32), 4)?;
    let out = checks.blank(Form::dense([rows, outputs], element))?;
    let kind = Kind::Matmul {
        activation,
        bias: true,
        scales,
    };
    let scaled = scales == Scales::Outputs;
    let mut reads = vec![&x, &weight, &bias];
    reads.extend(scaled.then_some(&scale));
    checks.run(kind, &reads, &[&out])?;
    let factors = scaled.then_some(&scale.values[..]);
    let y = multiplied(&x.values, &weight.values, [inputs, outputs], |_, output| {
        factors.map_or(1.0, |factors| factors[output])
    });
    let y = y
        .iter()
        .enumerate()
        .map(|(i, y)| y + bias.values[i % outputs]);
    let expected = Cpu.activate(&Cpu.upload(y.collect(), &[rows, outputs])?, activation)?;
    let what = format!("product, scales of {scales:?}, {activation:?}");
    // Sums of 32 bits in another order.
    let roundings = if element == Element::F32 { 32.0 } else { 8.0 };
    checks.expect(&what, &out, &expected, roundings)
}

fn quantised<D: Device>(
    checks: &mut Checks<'_, D>,
    [rows, inputs, outputs]: [usize; 3],
    activation: Activation,
) -> Result<(), ComputeError> {
    let size = [rows, inputs];
    let x = checks.random(Form::dense(size, Element::F32), 1)?;
    let weight = lowered(checks, Form::dense([outputs, inputs], Element::F32), 2)?;
    let (codes, scale) = fp8::quantise_rows(&weight.values, inputs);
    let codes: Vec<u8> = codes.iter().map(float8::F8E4M3::to_bits).collect();
    let weight = Matrix::codes(checks.device, &codes, [outputs, inputs])?;
    let scale = Matrix::of(
        checks.device,
        &scale,
        Form::dense([1, outputs], Element::F32),
    )?;
    let row_scales: Vec<f32> = x
        .values
        .chunks_exact(inputs)
        .map(fp8::activation_scale)
        .collect();
    let codes: Vec<u8> = x
        .values
        .chunks_exact(inputs)
        .zip(&row_scales)
        .flat_map(|(row, scale)| row.iter().map(move |x| fp8::quantise(x / scale).to_bits()))
        .collect();
    let x = Matrix::codes(checks.device, &codes, size)?;
    let rows_scale = Form::dense([rows, 1], Element::F32);
    let rows_scale = Matrix::of(checks.device, &row_scales, rows_scale)?;
    let bias = checks.random(Form::dense([1, outputs], Element::Bf16), 3)?;
    let out = checks.blank(Form::dense([rows, outputs], Element::Bf16))?;
    let kind = Kind::Matmul {
        activation,
        bias: true,
        scales: Scales::Both,
    };
    checks.run(kind, &[&x, &weight, &bias, &scale, &rows_scale], &[&out])?;
    let y = multiplied(
        &x.values,
        &weight.values,
        [inputs, outputs],
        |row, output| row_scales[row] * scale.values[output],
    );
    let y = y
        .iter()
        .enumerate()
        .map(|(i, y)| y + bias.values[i % outputs]);
    let expected = Cpu.activate(&Cpu.upload(y.collect(), &[rows, outputs])?, activation)?;
    // The device's sums may have as few as 14 bits.
    checks.expect(
        &format!("fp8 product, {activation:?}"),
        &out,
        &expected,
        8.0,
    )
}

/// `(x · Wᵀ) · factor(row, output)`, in 64 bits.
fn multiplied(
    x: &[f32],
    weight: &[f32],
    [inputs, outputs]: [usize; 2],
    factor: impl Fn(usize, usize) -> f32,
) -> Vec<f32> {
    let mut y = Vec::with_capacity(x.len() / inputs * outputs);
    for (row, x) in x.chunks_exact(inputs).enumerate() {
        for (output, weight) in weight.chunks_exact(inputs).enumerate() {
            let terms = x
                .iter()
                .zip(weight)
                .map(|(x, w)| f64::from(*x) * f64::from(*w));
            y.push((terms.sum::<f64>() * f64::from(factor(row, output))) as f32);
        }
    }
    y
}
