//! Scalar fields over a picture: coverage, height, shade.

use std::ops::Range;

use tiny_skia::{FillRule, Mask, Path, Transform};

use super::{HEIGHT, WIDTH};

/// One number per pixel of a [`WIDTH`]x[`HEIGHT`] picture.
#[derive(Clone)]
pub(super) struct Field(Vec<f32>);

impl Field {
    pub(super) fn filled(value: f32) -> Self {
        Self(vec![value; WIDTH * HEIGHT])
    }

    /// Evaluates `f` at every pixel's column and row.
    pub(super) fn from_fn(f: impl Fn(f32, f32) -> f32) -> Self {
        Self(pixels().map(|(x, y)| f(x, y)).collect())
    }

    /// Evaluates `f` at every pixel's indices.
    pub(super) fn from_index(f: impl Fn(usize, usize) -> f32) -> Self {
        let f = &f;
        let values = (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| f(x, y)));
        Self(values.collect())
    }

    /// How much of each pixel a path covers, 0 to 1.
    pub(super) fn fill(path: &Path) -> Self {
        let [width, height] = [WIDTH, HEIGHT]
            .map(|side| u32::try_from(side).expect("BUG: a picture's side is small"));
        let mut mask = Mask::new(width, height).expect("BUG: a picture has pixels");
        mask.fill_path(path, FillRule::Winding, true, Transform::identity());
        Self(
            mask.data()
                .iter()
                .map(|&value| f32::from(value) / 255.0)
                .collect(),
        )
    }

    /// The coverage of several paths together.
    pub(super) fn fill_all<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        paths
            .into_iter()
            .fold(Self::filled(0.0), |all, path| all.max(&Self::fill(path)))
    }

    pub(super) fn values(&self) -> &[f32] {
        &self.0
    }

    pub(super) fn at(&self, x: usize, y: usize) -> f32 {
        self.0[y * WIDTH + x]
    }

    pub(super) fn map(mut self, f: impl Fn(f32) -> f32) -> Self {
        self.0.iter_mut().for_each(|value| *value = f(*value));
        self
    }

    pub(super) fn zip(mut self, other: &Self, f: impl Fn(f32, f32) -> f32) -> Self {
        for (value, other) in self.0.iter_mut().zip(&other.0) {
            *value = f(*value, *other);
        }
        self
    }

    pub(super) fn times(self, other: &Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    pub(super) fn plus(self, other: &Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    pub(super) fn max(self, other: &Self) -> Self {
        self.zip(other, f32::max)
    }

    /// What is covered here and not there.
    pub(super) fn without(self, other: &Self) -> Self {
        self.zip(other, |a, b| a * (1.0 - b))
    }

    pub(super) fn scaled(self, factor: f32) -> Self {
        self.map(|value| value * factor)
    }

    /// Moves the field by whole pixels; the border values continue.
    pub(super) fn shifted(&self, dx: isize, dy: isize) -> Self {
        let source = |at: usize, by: isize, end: usize| at.saturating_add_signed(-by).min(end - 1);
        let mut moved = Vec::with_capacity(self.0.len());
        for y in 0..HEIGHT {
            let y = source(y, dy, HEIGHT);
            moved.extend((0..WIDTH).map(|x| self.at(source(x, dx, WIDTH), y)));
        }
        Self(moved)
    }

    /// A Gaussian blur with the given standard deviation in pixels.
    pub(super) fn blurred(mut self, sigma: f32) -> Self {
        let kernel = gaussian(sigma);
        let mut line = Vec::new();
        // Three box blurs are as good, and their cost does not grow with their size.
        let is_large = sigma > 2.5;
        let passes = if is_large { 3 } else { 1 };
        let mut smooth = |data: &mut [f32], walk: Walk| {
            if is_large {
                average(data, walk, box_radius(sigma), &mut line);
            } else {
                convolve(data, walk, &kernel, &mut line);
            }
        };
        // Most shapes are small: what is farther from them than the blur reaches stays 0.
        let (columns, rows) = self.reach(6 + 4 * box_radius(sigma));
        if columns.is_empty() || rows.is_empty() {
            return self;
        }
        for _ in 0..passes {
            for y in rows.clone() {
                let start = y * WIDTH + columns.start;
                smooth(
                    &mut self.0,
                    Walk {
                        start,
                        stride: 1,
                        length: columns.len(),
                    },
                );
            }
            for x in columns.clone() {
                let start = rows.start * WIDTH + x;
                smooth(
                    &mut self.0,
                    Walk {
                        start,
                        stride: WIDTH,
                        length: rows.len(),
                    },
                );
            }
        }
        self
    }

    /// Columns and rows that hold the field's values other than 0, and a margin.
    fn reach(&self, margin: usize) -> (Range<usize>, Range<usize>) {
        let mut used = [false; WIDTH];
        let (mut top, mut bottom) = (HEIGHT, 0);
        for (y, row) in self.0.chunks_exact(WIDTH).enumerate() {
            for (used, &value) in used.iter_mut().zip(row) {
                *used |= value != 0.0;
            }
            if row.iter().any(|&value| value != 0.0) {
                top = top.min(y);
                bottom = y + 1;
            }
        }
        let left = used.iter().position(|&used| used).unwrap_or(0);
        let right = used.iter().rposition(|&used| used).map_or(1, |x| x + 1);
        let widen = |from: usize, to: usize, end: usize| {
            from.min(end - 1).saturating_sub(margin)..(to + margin).clamp(1, end)
        };
        (widen(left, right, WIDTH), widen(top, bottom, HEIGHT))
    }
}

/// A row or a column of the values.
#[derive(Clone, Copy)]
struct Walk {
    start: usize,
    stride: usize,
    length: usize,
}

impl Walk {
    fn indices(self) -> impl Iterator<Item = usize> {
        (0..self.length).map(move |i| self.start + i * self.stride)
    }
}

/// Columns and rows of all pixels, in order.
#[expect(clippy::cast_precision_loss, reason = "a picture's sides are small")]
pub(super) fn pixels() -> impl Iterator<Item = (f32, f32)> {
    (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x as f32, y as f32)))
}

/// Half a Gaussian kernel, from its middle outwards.
fn gaussian(sigma: f32) -> Vec<f32> {
    let weight = |i: u8| (-0.5 * (f32::from(i) / sigma.max(0.1)).powi(2)).exp();
    let half: Vec<f32> = (0..8).map(weight).take_while(|&w| w > 1e-3).collect();
    let sum = 2.0 * half.iter().sum::<f32>() - half[0];
    half.iter().map(|w| w / sum).collect()
}

fn convolve(data: &mut [f32], walk: Walk, half: &[f32], line: &mut Vec<f32>) {
    line.clear();
    line.extend(walk.indices().map(|at| data[at]));
    let last = walk.length - 1;
    for (i, at) in walk.indices().enumerate() {
        let pair = |k: usize| line[i.saturating_sub(k)] + line[(i + k).min(last)];
        let sides: f32 = (1..half.len()).map(|k| half[k] * pair(k)).sum();
        data[at] = half[0] * line[i] + sides;
    }
}

/// The radius of the boxes that, applied three times, blur like a Gaussian.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a radius is a small positive number"
)]
fn box_radius(sigma: f32) -> usize {
    ((sigma * sigma * 4.0 + 1.0).sqrt() / 2.0 - 0.5)
        .round()
        .max(1.0) as usize
}

/// Replaces each value by its neighbourhood's mean.
#[expect(clippy::cast_precision_loss, reason = "a window is a few pixels")]
fn average(data: &mut [f32], walk: Walk, radius: usize, line: &mut Vec<f32>) {
    line.clear();
    line.extend(walk.indices().map(|at| data[at]));
    // Indices are shifted by `radius`, so that they stay positive.
    let clamped = |i: usize| line[i.saturating_sub(radius).min(walk.length - 1)];
    let window = (2 * radius + 1) as f32;
    let mut sum: f32 = (0..=2 * radius).map(clamped).sum();
    for (i, at) in walk.indices().enumerate() {
        data[at] = sum / window;
        sum += clamped(i + 2 * radius + 1) - clamped(i);
    }
}
