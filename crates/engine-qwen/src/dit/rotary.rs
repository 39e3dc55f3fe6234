//! Where tokens are: three axes, centred on each image.

use std::f64::consts::TAU;

use crate::{
    backend::{Backend, Pairing, Rotary},
    error::ComputeError,
};

/// An image in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Tokens from top to bottom.
    pub height: usize,
    /// Tokens from left to right.
    pub width: usize,
}

impl Grid {
    /// How many tokens it has.
    pub const fn tokens(self) -> usize {
        self.height * self.width
    }
}

/// Angles of the rotary embedding, one row of `head_width / 2` a token.
#[derive(Debug)]
pub(super) struct Angles {
    text: Vec<f32>,
    image: Vec<f32>,
}

/// The base of the frequencies.
const THETA: f64 = 10_000.0;

impl Angles {
    /// For the noise and the references in `grids`, in this order, and `text` tokens.
    ///
    /// diffusers 0.42.1, `models/transformers/transformer_qwenimage.py`, `QwenEmbedRope`.
    pub(super) fn new(axes: [usize; 3], grids: &[Grid], text: usize) -> Self {
        let frequencies = axes.map(frequencies);
        let row = |position: [i64; 3]| {
            let axes = frequencies.iter().zip(position);
            axes.flat_map(|(axis, position)| axis.iter().map(move |f| position as f32 * f))
                .collect::<Vec<f32>>()
        };
        let image = grids
            .iter()
            .enumerate()
            .flat_map(|(image, grid)| positions(image, *grid));
        let sides = grids
            .iter()
            .map(|grid| (grid.height / 2).max(grid.width / 2));
        let first = sides.max().unwrap_or(0) as i64;
        let text = (first..).take(text).map(|position| [position; 3]);
        Self {
            text: text.flat_map(row).collect(),
            image: image.flat_map(row).collect(),
        }
    }

    /// Of the text's tokens followed by the images'.
    pub(super) fn joint<B: Backend>(
        &self,
        backend: &B,
        half: usize,
    ) -> Result<Rotary<B::Tensor>, ComputeError> {
        let angles = || self.text.iter().chain(&self.image);
        let shape = [(self.text.len() + self.image.len()) / half, half];
        let table = |of: fn(f64) -> f64| {
            let values = angles().map(|angle| of(f64::from(*angle)) as f32).collect();
            backend.upload(values, &shape)
        };
        Ok(Rotary {
            cos: table(f64::cos)?,
            sin: table(f64::sin)?,
            pairing: Pairing::Interleaved,
        })
    }

    /// Cosine and sine of each of the images' angles, as the reference's complex table has them.
    pub(super) fn image_table(&self) -> Vec<f64> {
        complex(&self.image)
    }

    /// The same of the text's.
    pub(super) fn text_table(&self) -> Vec<f64> {
        complex(&self.text)
    }
}

/// Image index, row and column of each token of an image. Rows and columns are counted from the
/// middle: from `-⌈n / 2⌉` to `⌊n / 2⌋ - 1`.
fn positions(image: usize, grid: Grid) -> impl Iterator<Item = [i64; 3]> {
    let centred = |length: usize| {
        let first = -(length.div_ceil(2) as i64);
        first..first + length as i64
    };
    centred(grid.height)
        .flat_map(move |row| centred(grid.width).map(move |column| [image as i64, row, column]))
}

/// `θ^(-2i / width)`, rounded as the reference rounds it: the power, then its inverse.
fn frequencies(width: usize) -> Vec<f32> {
    let power = |i: usize| THETA.powf(f64::from((2 * i) as f32 / width as f32)) as f32;
    (0..width / 2).map(|i| 1.0 / power(i)).collect()
}

fn complex(angles: &[f32]) -> Vec<f64> {
    let turned = angles.iter().map(|angle| f64::from(*angle) % TAU);
    turned
        .flat_map(|angle| [angle.cos(), angle.sin()])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Angles, Grid, positions};

    const ODD: Grid = Grid {
        height: 3,
        width: 5,
    };
    const EVEN: Grid = Grid {
        height: 4,
        width: 2,
    };

    #[test]
    fn rows_and_columns_are_counted_from_the_middle() {
        let odd: Vec<_> = positions(0, ODD).collect();
        assert_eq!(odd[0], [0, -2, -3]);
        assert_eq!(odd[14], [0, 0, 1]);
        let even: Vec<_> = positions(2, EVEN).collect();
        assert_eq!(even[0], [2, -2, -1]);
        assert_eq!(even[7], [2, 1, 0]);
    }

    #[test]
    fn text_begins_after_the_largest_half_side() {
        let angles = Angles::new([2, 2, 2], &[ODD, EVEN], 2);
        assert_eq!(angles.text, [2.0, 2.0, 2.0, 3.0, 3.0, 3.0]);
        assert_eq!(angles.image.len(), 3 * (ODD.tokens() + EVEN.tokens()));
    }
}
