//! Commands on pictures.

use super::{Checks, Form, Matrix};
use crate::{
    backend::{
        Backend as _, ConvShape, Cpu,
        cuda::{
            command::{Element, Kind, Window},
            device::Device,
        },
    },
    error::ComputeError,
};

/// A picture, and a convolution's outputs and side.
#[derive(Clone, Copy)]
struct Case {
    height: usize,
    width: usize,
    channels: usize,
    outputs: usize,
    kernel: usize,
    shape: ConvShape,
}

fn case(
    [height, width, channels]: [usize; 3],
    [outputs, kernel]: [usize; 2],
    shape: ConvShape,
) -> Case {
    Case {
        height,
        width,
        channels,
        outputs,
        kernel,
        shape,
    }
}

pub(super) fn check<D: Device>(checks: &mut Checks<'_, D>) -> Result<(), ComputeError> {
    let halve = ConvShape {
        stride: 2,
        padding: [0, 1, 0, 1],
        groups: 1,
    };
    let depthwise = ConvShape {
        groups: 10,
        ..ConvShape::same(1)
    };
    for element in [Element::F32, Element::Bf16] {
        for case in [
            // More than a tile of pixels and of outputs.
            case([13, 12, 16], [70, 3], ConvShape::same(1)),
            // Channels that fill no vector.
            case([9, 10, 3], [5, 3], ConvShape::same(1)),
            case([8, 6, 24], [12, 3], halve),
            case([5, 7, 40], [3, 1], ConvShape::same(0)),
            case([6, 5, 10], [10, 3], depthwise),
        ] {
            conv(checks, case, element)?;
        }
        sizes(checks, element)?;
        bytes(checks, element)?;
    }
    Ok(())
}

impl Case {
    /// Channels that an output looks at.
    fn inputs(&self) -> usize {
        self.channels / self.shape.groups
    }

    fn window(&self) -> Window {
        let [left, right, top, bottom] = self.shape.padding;
        let steps = |side, padding| (side + padding - self.kernel) / self.shape.stride + 1;
        Window {
            from: [self.height, self.width],
            to: [
                steps(self.height, top + bottom),
                steps(self.width, left + right),
            ],
            kernel: self.kernel,
            stride: self.shape.stride,
            before: [left, top],
            depthwise: self.shape.groups > 1,
        }
    }

    /// `[outputs, inputs, kernel, kernel]` as the device has them.
    fn rearranged(&self, weight: &[f32]) -> Vec<f32> {
        let (area, inputs) = (self.kernel * self.kernel, self.inputs());
        let at = |i: usize| {
            if self.shape.groups > 1 {
                return weight[i % self.outputs * area + i / self.outputs];
            }
            let (output, place, input) = (i / (inputs * area), i / inputs % area, i % inputs);
            weight[(output * inputs + input) * area + place]
        };
        (0..weight.len()).map(at).collect()
    }
}

fn conv<D: Device>(
    checks: &mut Checks<'_, D>,
    case: Case,
    element: Element,
) -> Result<(), ComputeError> {
    let window = case.window();
    let (area, inputs) = (case.kernel * case.kernel, case.inputs());
    let pixels = Form::dense([case.height * case.width, case.channels], element);
    let x = checks.random(pixels, 1)?;
    let given = checks.random(Form::dense([case.outputs, inputs * area], element), 2)?;
    let bias = checks.random(Form::dense([1, case.outputs], Element::F32), 3)?;
    let size = if window.depthwise {
        [area, case.outputs]
    } else {
        [case.outputs, inputs * area]
    };
    let form = Form::dense(size, element);
    let weight = Matrix::of(checks.device, &case.rearranged(&given.values), form)?;
    let result = [window.to[0] * window.to[1], case.outputs];
    let out = checks.blank(Form::dense(result, element))?;
    let kind = Kind::Conv { window, bias: true };
    checks.run(kind, &[&x, &weight, &bias], &[&out])?;
    let conv = Cpu.prepare_conv(
        given.values.clone(),
        [case.outputs, inputs, case.kernel, case.kernel],
        Some(bias.values.clone()),
        case.shape,
    )?;
    let picture = x.shaped(&[case.height, case.width, case.channels])?;
    let what = format!("convolution by {}, step {}", case.kernel, window.stride);
    // Sums over all channels and places, in another order.
    let roundings = if element == Element::F32 { 32.0 } else { 8.0 };
    checks.expect(&what, &out, &Cpu.conv(&picture, &conv)?, roundings)
}

fn sizes<D: Device>(checks: &mut Checks<'_, D>, element: Element) -> Result<(), ComputeError> {
    let from = [4, 5];
    let x = checks.random(Form::dense([4 * 5, 3], element), 1)?;
    let picture = x.shaped(&[4, 5, 3])?;
    let out = checks.blank(Form::dense([8 * 10, 3], element))?;
    checks.run(Kind::Upsample { from }, &[&x], &[&out])?;
    checks.expect("upsample", &out, &Cpu.upsample(&picture)?, 1.0)?;
    for to in [[7, 11], [3, 2]] {
        let out = checks.blank(Form::dense([to[0] * to[1], 3], element))?;
        checks.run(Kind::Resize { from, to }, &[&x], &[&out])?;
        checks.expect("resize", &out, &Cpu.resize(&picture, to[1], to[0])?, 2.0)?;
    }
    Ok(())
}

/// Every byte's own number, those halfway between two, and what is outside or is none.
fn bytes<D: Device>(checks: &mut Checks<'_, D>, element: Element) -> Result<(), ComputeError> {
    let mut values: Vec<f32> = (0..=510).map(|i| i as f32 / 255.0 - 1.0).collect();
    values.extend([-7.0, 7.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN]);
    // More than whole vectors.
    let size = [values.len() / 3, 3];
    let x = Matrix::of(checks.device, &values, Form::dense(size, element))?;
    let out = checks.blank(Form::dense(size, Element::U8))?;
    checks.run(Kind::Bytes, &[&x], &[&out])?;
    let expected = Cpu.to_bytes(&x.tensor()?)?;
    checks.expect_equal("bytes", (element, size), &out.bytes()?, &expected);
    Ok(())
}
