//! Convolutions: the neighbourhoods of a tile of pixels are laid out as rows, and multiplied with
//! the weights.

use candle_core::Tensor;
use pulp::Arch;
use rayon::prelude::*;

use super::{
    ConvShape, Result,
    matmul::{Mat, Spread, Target, multiply},
    tensor::{blank, tensor, values},
};

/// Numbers of a tile's neighbourhoods: 2 MiB a thread, whatever the picture's size.
const TILE: usize = 1 << 19;

/// The weights of a convolution.
#[derive(Debug)]
pub struct CpuConv {
    /// `[out, kernel, kernel, in / groups]`; for a depthwise one `[kernel, kernel, out]`.
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    inputs: usize,
    outputs: usize,
    kernel: usize,
    shape: ConvShape,
}

/// Width, height and channels of a picture.
#[derive(Clone, Copy)]
struct Size {
    width: usize,
    height: usize,
    channels: usize,
}

impl Size {
    fn of(picture: &Tensor) -> Self {
        let [height, width, channels] = *picture.dims() else {
            panic!("BUG: a picture has three dimensions");
        };
        Self {
            width,
            height,
            channels,
        }
    }
}

impl CpuConv {
    pub(super) fn new(
        weight: &[f32],
        [outputs, inputs, kernel, other]: [usize; 4],
        bias: Option<Vec<f32>>,
        shape: ConvShape,
    ) -> Self {
        assert_eq!(kernel, other, "BUG: the kernel is square");
        let depthwise = shape.groups > 1;
        assert!(
            !depthwise || (inputs == 1 && shape.groups == outputs),
            "BUG: groups are of one channel"
        );
        let area = kernel * kernel;
        let mut own = blank(weight.len());
        for (at, value) in weight.iter().enumerate() {
            let (output, input, place) = (at / area / inputs, at / area % inputs, at % area);
            let to = if depthwise {
                place * outputs + output
            } else {
                (output * area + place) * inputs + input
            };
            own[to] = *value;
        }
        Self {
            weight: own,
            bias,
            inputs: inputs * shape.groups,
            outputs,
            kernel,
            shape,
        }
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let size = Size::of(x);
        assert_eq!(
            size.channels, self.inputs,
            "BUG: another number of channels"
        );
        let [left, right, top, bottom] = self.shape.padding;
        let steps = |side: usize, padding| (side + padding - self.kernel) / self.shape.stride + 1;
        let out = Size {
            width: steps(size.width, left + right),
            height: steps(size.height, top + bottom),
            channels: self.outputs,
        };
        let input = values(x);
        let mut y = blank(out.width * out.height * out.channels);
        if self.shape.groups > 1 {
            self.depthwise(&input, size, &mut y, out);
        } else {
            self.tiled(&input, size, &mut y, out);
        }
        tensor(y, &[out.height, out.width, out.channels])
    }

    /// Tiles of the picture's pixels in their order, a product each.
    fn tiled(&self, x: &[f32], size: Size, y: &mut [f32], out: Size) {
        let depth = self.kernel * self.kernel * self.inputs;
        let pixels = (TILE / depth).clamp(16, 1024);
        let weight = Mat::new(&self.weight, self.outputs, depth, depth).transposed();
        y.par_chunks_mut(pixels * self.outputs)
            .enumerate()
            .for_each_init(
                || blank(pixels * depth),
                |rows, (tile, y)| {
                    let count = y.len() / self.outputs;
                    let neighbourhoods = rows.chunks_exact_mut(depth).take(count);
                    for (pixel, row) in (tile * pixels..).zip(neighbourhoods) {
                        let place = (pixel % out.width, pixel / out.width);
                        self.gather(x, size, place, row);
                    }
                    if let Some(bias) = &self.bias {
                        y.chunks_exact_mut(self.outputs)
                            .for_each(|y| y.copy_from_slice(bias));
                    }
                    let into = Target {
                        values: y,
                        stride: self.outputs,
                        add: self.bias.is_some(),
                    };
                    let rows = Mat::new(rows, count, depth, depth);
                    multiply(into, rows, weight, Spread::Nothing);
                },
            );
    }

    /// The neighbourhood of a pixel of the result, `[kernel, kernel, in]`, zero outside of the
    /// picture.
    fn gather(&self, x: &[f32], size: Size, place: (usize, usize), row: &mut [f32]) {
        let channels = size.channels;
        for (dy, line) in row.chunks_exact_mut(self.kernel * channels).enumerate() {
            let Some(y) = self.inside(place.1, dy, self.shape.padding[2], size.height) else {
                line.fill(0.0);
                continue;
            };
            for (dx, pixel) in line.chunks_exact_mut(channels).enumerate() {
                match self.inside(place.0, dx, self.shape.padding[0], size.width) {
                    None => pixel.fill(0.0),
                    Some(x_at) => {
                        let at = (y * size.width + x_at) * channels;
                        pixel.copy_from_slice(&x[at..at + channels]);
                    }
                }
            }
        }
    }

    /// Where a number of the kernel lies on the picture.
    fn inside(&self, place: usize, step: usize, padding: usize, side: usize) -> Option<usize> {
        let at = (place * self.shape.stride + step).checked_sub(padding)?;
        (at < side).then_some(at)
    }

    fn depthwise(&self, x: &[f32], size: Size, y: &mut [f32], out: Size) {
        let channels = self.outputs;
        y.par_chunks_mut(out.width * channels)
            .enumerate()
            .for_each(|(row, line)| {
                for (column, y) in line.chunks_exact_mut(channels).enumerate() {
                    if let Some(bias) = &self.bias {
                        y.copy_from_slice(bias);
                    }
                    for (place, weight) in self.weight.chunks_exact(channels).enumerate() {
                        let (dx, dy) = (place % self.kernel, place / self.kernel);
                        let inside_x = self.inside(column, dx, self.shape.padding[0], size.width);
                        let inside_y = self.inside(row, dy, self.shape.padding[2], size.height);
                        let Some((at_x, at_y)) = inside_x.zip(inside_y) else {
                            continue;
                        };
                        let pixel = &x[(at_y * size.width + at_x) * channels..][..channels];
                        Arch::new().dispatch(|| {
                            for (y, (x, weight)) in y.iter_mut().zip(pixel.iter().zip(weight)) {
                                *y += x * weight;
                            }
                        });
                    }
                }
            });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the definition, with all indices written out.
    fn exact(
        x: &[f32],
        size: Size,
        weight: &[f32],
        shape: [usize; 4],
        conv: ConvShape,
    ) -> Vec<f32> {
        let [outputs, inputs, kernel, _] = shape;
        let [left, right, top, bottom] = conv.padding;
        let width = (size.width + left + right - kernel) / conv.stride + 1;
        let height = (size.height + top + bottom - kernel) / conv.stride + 1;
        let mut y = Vec::new();
        for at in 0..height * width * outputs {
            let (row, column, output) = (at / outputs / width, at / outputs % width, at % outputs);
            let mut sum = 0.5;
            for (w, weight) in weight[output * inputs * kernel * kernel..]
                [..inputs * kernel * kernel]
                .iter()
                .enumerate()
            {
                let (input, dy, dx) = (w / kernel / kernel, w / kernel % kernel, w % kernel);
                let channel = if conv.groups > 1 { output } else { input };
                let y = (row * conv.stride + dy) as isize - top as isize;
                let x_at = (column * conv.stride + dx) as isize - left as isize;
                if (0..size.height as isize).contains(&y)
                    && (0..size.width as isize).contains(&x_at)
                {
                    let at = (y as usize * size.width + x_at as usize) * size.channels + channel;
                    sum += x[at] * weight;
                }
            }
            y.push(sum);
        }
        y
    }

    fn wave(count: usize) -> Vec<f32> {
        (0..count)
            .map(|i| ((i * 7919) % 101) as f32 / 50.0 - 1.0)
            .collect()
    }

    #[test]
    fn convolutions_are_those_of_the_definition() {
        let halve = ConvShape {
            stride: 2,
            padding: [0, 1, 0, 1],
            groups: 1,
        };
        let depthwise = ConvShape {
            groups: 5,
            ..ConvShape::same(1)
        };
        let patch = ConvShape {
            stride: 4,
            ..ConvShape::same(3)
        };
        let cases = [
            ([7, 5, 3, 3], ConvShape::same(1)),
            ([3, 5, 1, 1], ConvShape::same(0)),
            ([4, 5, 3, 3], halve),
            ([5, 1, 3, 3], depthwise),
            ([6, 5, 7, 7], patch),
        ];
        let size = Size {
            width: 13,
            height: 10,
            channels: 5,
        };
        let x = wave(13 * 10 * 5);
        for (shape, conv) in cases {
            let weight = wave(shape.iter().product());
            let own = CpuConv::new(&weight, shape, Some(vec![0.5; shape[0]]), conv);
            let found = own
                .forward(&tensor(x.clone(), &[10, 13, 5]).unwrap())
                .unwrap();
            let exact = exact(&x, size, &weight, shape, conv);
            assert_eq!(found.elem_count(), exact.len(), "{shape:?}");
            for (found, exact) in values(&found).iter().zip(&exact) {
                assert!(
                    (found - exact).abs() < 1e-4,
                    "{shape:?}: {found}, not {exact}"
                );
            }
        }
    }
}
