//! Two-dimensional arrays: masks, grey values and colours.

use std::ops::{Index, IndexMut};

use image::RgbImage;

/// A dense `width` by `height` array in row order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plane<T> {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` values, row after row.
    pub data: Vec<T>,
}

/// Which pixels belong to something.
pub(crate) type Mask = Plane<bool>;
/// One number per pixel.
pub(crate) type Gray = Plane<f32>;
/// Three numbers per pixel: RGB in `0..=255`, or L, a, b.
pub(crate) type Color = Plane<[f32; 3]>;

/// A half-open box of pixels: `x0..x1` by `y0..y1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rect {
    /// First column.
    pub x0: usize,
    /// First row.
    pub y0: usize,
    /// One past the last column.
    pub x1: usize,
    /// One past the last row.
    pub y1: usize,
}

impl Rect {
    /// Columns.
    pub(crate) const fn width(self) -> usize {
        self.x1 - self.x0
    }

    /// Rows.
    pub(crate) const fn height(self) -> usize {
        self.y1 - self.y0
    }

    /// The box of the same shape as `[x0, x1) x [y0, y1)` in real numbers, cut to a plane of
    /// `width` by `height`; empty boxes have no width or height but are still valid.
    pub(crate) fn clamped(bounds: [f64; 4], width: usize, height: usize) -> Self {
        let cut = |v: f64, limit: usize| (v.max(0.0) as usize).min(limit);
        let [x0, y0, x1, y1] = bounds;
        let (x0, y0) = (cut(x0, width), cut(y0, height));
        Self {
            x0,
            y0,
            x1: cut(x1, width).max(x0),
            y1: cut(y1, height).max(y0),
        }
    }

    /// The box grown by `margin` on every side, cut to a plane of `width` by `height`.
    #[must_use]
    pub(crate) fn grown(self, margin: usize, width: usize, height: usize) -> Self {
        Self {
            x0: self.x0.saturating_sub(margin),
            y0: self.y0.saturating_sub(margin),
            x1: (self.x1 + margin).min(width),
            y1: (self.y1 + margin).min(height),
        }
    }
}

impl<T> Plane<T> {
    /// Wraps `data`, which must hold `width * height` values in row order.
    pub(crate) fn from_vec(width: usize, height: usize, data: Vec<T>) -> Self {
        assert_eq!(data.len(), width * height, "BUG: plane size");
        Self {
            width,
            height,
            data,
        }
    }

    /// Evaluates `value(x, y)` at every pixel, in row order.
    pub(crate) fn from_fn(
        width: usize,
        height: usize,
        mut value: impl FnMut(usize, usize) -> T,
    ) -> Self {
        let mut data = Vec::with_capacity(width * height);
        for y in 0..height {
            data.extend((0..width).map(|x| value(x, y)));
        }
        Self::from_vec(width, height, data)
    }

    /// `(width, height)`.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// One row.
    pub(crate) fn row(&self, y: usize) -> &[T] {
        &self.data[y * self.width..][..self.width]
    }

    /// One row, to write to.
    pub(crate) fn row_mut(&mut self, y: usize) -> &mut [T] {
        &mut self.data[y * self.width..][..self.width]
    }

    /// The rows from the top.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[T]> {
        self.data.chunks_exact(self.width.max(1))
    }
}

impl<T: Copy> Plane<T> {
    /// A plane of one value.
    pub(crate) fn new(width: usize, height: usize, fill: T) -> Self {
        Self::from_vec(width, height, vec![fill; width * height])
    }

    /// The value at a pixel, if the pixel is inside.
    pub(crate) fn get(&self, x: i64, y: i64) -> Option<&T> {
        let (x, y) = (usize::try_from(x).ok()?, usize::try_from(y).ok()?);
        (x < self.width && y < self.height).then(|| &self[(x, y)])
    }

    /// Applies `f` to each value.
    pub(crate) fn map<U>(&self, f: impl FnMut(&T) -> U) -> Plane<U> {
        let data = self.data.iter().map(f).collect();
        Plane::from_vec(self.width, self.height, data)
    }

    /// Joins two planes of one size pixel by pixel.
    pub(crate) fn zip_with<U: Copy, V>(
        &self,
        other: &Plane<U>,
        mut f: impl FnMut(&T, &U) -> V,
    ) -> Plane<V> {
        assert_eq!(self.size(), other.size(), "BUG: planes of one size");
        let pairs = self.data.iter().zip(&other.data);
        let data = pairs.map(|(a, b)| f(a, b)).collect();
        Plane::from_vec(self.width, self.height, data)
    }

    /// The pixels of `rect`, which must lie inside.
    #[must_use]
    pub(crate) fn crop(&self, rect: Rect) -> Self {
        let mut data = Vec::with_capacity(rect.width() * rect.height());
        for y in rect.y0..rect.y1 {
            data.extend_from_slice(&self.row(y)[rect.x0..rect.x1]);
        }
        Self::from_vec(rect.width(), rect.height(), data)
    }

    /// Writes `patch` with its top left corner at `(x0, y0)`; it must fit.
    pub(crate) fn paste(&mut self, patch: &Self, x0: usize, y0: usize) {
        for (y, row) in patch.rows().enumerate() {
            self.row_mut(y0 + y)[x0..x0 + patch.width].copy_from_slice(row);
        }
    }

    /// The plane with a frame of `margin` pixels of `fill` around it.
    #[must_use]
    pub(crate) fn pad(&self, margin: usize, fill: T) -> Self {
        let mut padded = Self::new(self.width + 2 * margin, self.height + 2 * margin, fill);
        padded.paste(self, margin, margin);
        padded
    }

    /// The plane without its outer `margin` pixels; undoes [`pad`](Self::pad).
    #[must_use]
    pub(crate) fn unpad(&self, margin: usize) -> Self {
        self.crop(Rect {
            x0: margin,
            y0: margin,
            x1: self.width - margin,
            y1: self.height - margin,
        })
    }

    /// Sets each pixel of `rect`, which must lie inside.
    pub(crate) fn fill_rect(&mut self, rect: Rect, value: T) {
        for y in rect.y0..rect.y1 {
            self.row_mut(y)[rect.x0..rect.x1].fill(value);
        }
    }

    /// The values where `mask` is set, in row order.
    pub(crate) fn select(&self, mask: &Mask) -> Vec<T> {
        let pairs = self.data.iter().zip(&mask.data);
        pairs
            .filter(|(_, inside)| **inside)
            .map(|(v, _)| *v)
            .collect()
    }
}

impl<T> Index<(usize, usize)> for Plane<T> {
    type Output = T;
    fn index(&self, (x, y): (usize, usize)) -> &T {
        debug_assert!(x < self.width, "BUG: column {x} of {}", self.width);
        &self.data[y * self.width + x]
    }
}

impl<T> IndexMut<(usize, usize)> for Plane<T> {
    fn index_mut(&mut self, (x, y): (usize, usize)) -> &mut T {
        debug_assert!(x < self.width, "BUG: column {x} of {}", self.width);
        &mut self.data[y * self.width + x]
    }
}

impl Mask {
    /// Pixels in both.
    #[must_use]
    pub(crate) fn and(&self, other: &Self) -> Self {
        self.zip_with(other, |a, b| a & b)
    }

    /// Pixels in either.
    #[must_use]
    pub(crate) fn or(&self, other: &Self) -> Self {
        self.zip_with(other, |a, b| a | b)
    }

    /// Pixels in `self` that are not in `other`.
    #[must_use]
    pub(crate) fn minus(&self, other: &Self) -> Self {
        self.zip_with(other, |&a, &b| a && !b)
    }

    /// Pixels that are not set.
    #[must_use]
    pub(crate) fn not(&self) -> Self {
        self.map(|a| !a)
    }

    /// The number of pixels set.
    pub(crate) fn count(&self) -> usize {
        self.data.iter().map(|&v| usize::from(v)).sum()
    }

    /// The share of pixels set; 0 for an empty plane.
    pub(crate) fn coverage(&self) -> f64 {
        self.count() as f64 / self.data.len().max(1) as f64
    }

    /// Whether any pixel is set.
    pub(crate) fn any(&self) -> bool {
        self.data.contains(&true)
    }

    /// The smallest box around the pixels set.
    pub(crate) fn bounds(&self) -> Option<Rect> {
        let mut found: Option<Rect> = None;
        for (y, row) in self.rows().enumerate() {
            let Some(first) = row.iter().position(|&v| v) else {
                continue;
            };
            let end = row.iter().rposition(|&v| v).map_or(first, |x| x + 1);
            let rect = found.get_or_insert(Rect {
                x0: first,
                y0: y,
                x1: end,
                y1: y + 1,
            });
            rect.x0 = rect.x0.min(first);
            rect.x1 = rect.x1.max(end);
            rect.y1 = y + 1;
        }
        found
    }

    /// 1 where set, 0 elsewhere.
    pub(crate) fn to_gray(&self) -> Gray {
        self.map(|&v| f32::from(u8::from(v)))
    }
}

impl Color {
    /// The pixels of an 8-bit image.
    pub(crate) fn from_image(image: &RgbImage) -> Self {
        let data = image.pixels().map(|p| p.0.map(f32::from)).collect();
        Self::from_vec(image.width() as usize, image.height() as usize, data)
    }

    /// One of the three channels.
    pub(crate) fn channel(&self, index: usize) -> Gray {
        self.map(|v| v[index])
    }
}

/// The nearest 8-bit value, ties to even.
pub(crate) fn to_byte(value: f32) -> u8 {
    value.round_ties_even().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_undone_by_unpadding() {
        let plane = Plane::from_fn(5, 3, |x, y| x * 10 + y);
        let padded = plane.pad(2, 99);
        assert_eq!(padded.size(), (9, 7));
        assert_eq!(
            (padded[(0, 0)], padded[(2, 2)], padded[(6, 4)]),
            (99, 0, 42)
        );
        assert_eq!(padded.unpad(2), plane);
    }

    #[test]
    fn bounds_are_the_smallest_box() {
        let mut mask = Mask::new(9, 8, false);
        assert_eq!(mask.bounds(), None);
        mask[(3, 2)] = true;
        mask[(6, 5)] = true;
        assert_eq!(
            mask.bounds(),
            Some(Rect {
                x0: 3,
                y0: 2,
                x1: 7,
                y1: 6
            })
        );
        assert_eq!(mask.count(), 2);
        assert_eq!(
            mask.crop(Rect {
                x0: 3,
                y0: 2,
                x1: 7,
                y1: 6
            })
            .count(),
            2
        );
    }

    #[test]
    fn boxes_are_cut_to_the_plane() {
        let rect = Rect::clamped([-3.0, 2.5, 7.9, 99.0], 6, 10);
        assert_eq!(
            rect,
            Rect {
                x0: 0,
                y0: 2,
                x1: 6,
                y1: 10
            }
        );
        assert_eq!(Rect::clamped([5.0, 5.0, 1.0, 1.0], 9, 9).width(), 0);
        let grown = Rect {
            x0: 1,
            y0: 4,
            x1: 3,
            y1: 6,
        }
        .grown(2, 6, 7);
        assert_eq!(
            grown,
            Rect {
                x0: 0,
                y0: 2,
                x1: 5,
                y1: 7
            }
        );
    }

    #[test]
    fn values_outside_are_none() {
        let plane = Plane::from_fn(2, 2, |x, y| x + 2 * y);
        assert_eq!(plane.get(1, 1), Some(&3));
        assert_eq!(
            (plane.get(-1, 0), plane.get(2, 0), plane.get(0, 2)),
            (None, None, None)
        );
    }
}
