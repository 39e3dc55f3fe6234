//! Pictures of another size, and their bytes.

use candle_core::Tensor;
use rayon::prelude::*;

use super::{
    Result,
    tensor::{blank, tensor, values},
};

fn size(picture: &Tensor) -> [usize; 3] {
    let [height, width, channels] = *picture.dims() else {
        panic!("BUG: a picture has three dimensions");
    };
    [height, width, channels]
}

pub(super) fn upsample(x: &Tensor) -> Result<Tensor> {
    let [height, width, channels] = size(x);
    let input = values(x);
    let mut out = blank(4 * input.len());
    out.par_chunks_mut(4 * width * channels)
        .zip(input.par_chunks(width * channels))
        .for_each(|(two, line)| {
            let (first, second) = two.split_at_mut(2 * width * channels);
            let pairs = first.chunks_exact_mut(2 * channels);
            for (pair, pixel) in pairs.zip(line.chunks_exact(channels)) {
                pair[..channels].copy_from_slice(pixel);
                pair[channels..].copy_from_slice(pixel);
            }
            second.copy_from_slice(first);
        });
    tensor(out, &[2 * height, 2 * width, channels])
}

/// A place between two samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Between {
    /// The sample before.
    pub(crate) low: usize,
    /// The sample after.
    pub(crate) high: usize,
    /// Share of the latter.
    pub(crate) share: f32,
}

impl Between {
    /// Where the centre of pixel `i` of `to` lies among `from` samples: `PyTorch`'s
    /// `interpolate(mode="bilinear", align_corners=False)`.
    pub(crate) fn new(i: usize, to: usize, from: usize) -> Self {
        let at = ((i as f32 + 0.5) * (from as f32 / to as f32) - 0.5).max(0.0);
        let low = (at as usize).min(from - 1);
        Self {
            low,
            high: (low + 1).min(from - 1),
            share: at - low as f32,
        }
    }

    /// The value between these two.
    pub(crate) fn mix(self, low: f32, high: f32) -> f32 {
        low * (1.0 - self.share) + high * self.share
    }
}

pub(super) fn resize(x: &Tensor, width: usize, height: usize) -> Result<Tensor> {
    let [old_height, old_width, channels] = size(x);
    if [old_height, old_width] == [height, width] {
        return Ok(x.clone());
    }
    let input = values(x);
    let columns: Vec<Between> = (0..width)
        .map(|x| Between::new(x, width, old_width))
        .collect();
    let mut out = blank(width * height * channels);
    out.par_chunks_mut(width * channels)
        .enumerate()
        .for_each(|(y, line)| {
            let rows = Between::new(y, height, old_height);
            let pixel = |y: usize, x: usize| &input[(y * old_width + x) * channels..][..channels];
            for (out, column) in line.chunks_exact_mut(channels).zip(&columns) {
                let (above, below) = (pixel(rows.low, column.low), pixel(rows.high, column.low));
                let (above_right, below_right) =
                    (pixel(rows.low, column.high), pixel(rows.high, column.high));
                for (c, out) in out.iter_mut().enumerate() {
                    let upper = column.mix(above[c], above_right[c]);
                    let lower = column.mix(below[c], below_right[c]);
                    *out = rows.mix(upper, lower);
                }
            }
        });
    tensor(out, &[height, width, channels])
}

/// A number of -1..1 as a byte: what is outside is cut off, halves go to even.
pub(crate) fn to_byte(value: f32) -> u8 {
    let unit = (value.clamp(-1.0, 1.0) / 2.0 + 0.5).clamp(0.0, 1.0);
    (unit * 255.0).round_ties_even() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pixel_becomes_four() {
        let x = tensor(vec![1.0, 2.0, 3.0, 4.0], &[1, 2, 2]).unwrap();
        let doubled = upsample(&x).unwrap();
        assert_eq!(doubled.dims(), [2, 4, 2]);
        let line = [1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0];
        assert_eq!(*values(&doubled), [line, line].concat());
    }

    #[test]
    fn values_between_samples_are_those_of_pytorch() {
        let x = tensor(vec![0.0, 10.0, 20.0], &[1, 3, 1]).unwrap();
        let wide = resize(&x, 6, 1).unwrap();
        // torch.nn.functional.interpolate(x, size=(1, 6), mode="bilinear")
        let exact = [0.0, 2.5, 7.5, 12.5, 17.5, 20.0];
        for (found, exact) in values(&wide).iter().zip(exact) {
            assert!((found - exact).abs() < 1e-5, "{found}, not {exact}");
        }
    }
}
