//! Resampling: resizing and arbitrary coordinate maps. Pixel centres are at integer coordinates
//! and a plane reaches half a pixel further on every side.

use image::RgbImage;

use super::plane::{Color, Mask, Plane, Rect};

/// Values that can be averaged.
pub(crate) trait Sample: Copy {
    /// Nothing.
    const ZERO: Self;
    /// `self + weight * other`.
    #[must_use]
    fn add_scaled(self, weight: f32, other: Self) -> Self;
}

impl Sample for f32 {
    const ZERO: Self = 0.0;
    fn add_scaled(self, weight: f32, other: Self) -> Self {
        self + weight * other
    }
}

impl Sample for [f32; 3] {
    const ZERO: Self = [0.0; 3];
    fn add_scaled(self, weight: f32, other: Self) -> Self {
        [
            self[0] + weight * other[0],
            self[1] + weight * other[1],
            self[2] + weight * other[2],
        ]
    }
}

/// What lies beyond the border.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Border<T> {
    /// The nearest pixel.
    Replicate,
    /// This value.
    Constant(T),
}

/// The source pixels of one target pixel along one axis, with their weights.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

/// Averages the source pixels under each target pixel, parts of pixels by their share. Axes that
/// do not shrink are interpolated.
pub(crate) fn resize_area<T: Sample>(plane: &Plane<T>, width: usize, height: usize) -> Plane<T> {
    shrink(plane.size(), (width, height), |y, x| plane[(x, y)])
}

/// [`resize_area`] straight from an 8-bit image, without a full-size float copy.
pub(crate) fn shrink_image(image: &RgbImage, width: usize, height: usize) -> Color {
    let stride = image.width() as usize * 3;
    let bytes = image.as_raw();
    let size = (image.width() as usize, image.height() as usize);
    shrink(size, (width, height), |y, x| {
        let at = y * stride + x * 3;
        [bytes[at], bytes[at + 1], bytes[at + 2]].map(f32::from)
    })
}

fn shrink<T: Sample>(
    (from_width, from_height): (usize, usize),
    (width, height): (usize, usize),
    pixel: impl Fn(usize, usize) -> T,
) -> Plane<T> {
    let columns = axis_taps(from_width, width);
    let rows = axis_taps(from_height, height);
    let mut cache: Vec<(usize, Vec<T>)> = Vec::new();
    let mut out = Plane::new(width, height, T::ZERO);
    for (y, taps) in rows.iter().enumerate() {
        cache.retain(|(row, _)| *row >= taps.first);
        for (offset, &weight) in taps.weights.iter().enumerate() {
            let row = taps.first + offset;
            if !cache.iter().any(|(cached, _)| *cached == row) {
                cache.push((row, shrink_row(&columns, |x| pixel(row, x))));
            }
            let line = cache.iter().find(|(cached, _)| *cached == row);
            let line = &line.expect("BUG: row was just made").1;
            for (value, &sample) in out.row_mut(y).iter_mut().zip(line) {
                *value = value.add_scaled(weight, sample);
            }
        }
    }
    out
}

fn shrink_row<T: Sample>(columns: &[Taps], pixel: impl Fn(usize) -> T) -> Vec<T> {
    let average = |taps: &Taps| {
        let weighted = taps.weights.iter().enumerate();
        weighted.fold(T::ZERO, |sum, (i, &w)| {
            sum.add_scaled(w, pixel(taps.first + i))
        })
    };
    columns.iter().map(average).collect()
}

fn axis_taps(from: usize, to: usize) -> Vec<Taps> {
    if to >= from {
        return (0..to)
            .map(|i| linear_taps(source_position(i, from, to), from))
            .collect();
    }
    let scale = from as f64 / to as f64;
    (0..to)
        .map(|i| {
            let (start, end) = (i as f64 * scale, ((i + 1) as f64 * scale).min(from as f64));
            let (first, last) = (start as usize, (end.ceil() as usize).min(from));
            let overlap = |pixel: usize| {
                let pixel = pixel as f64;
                (((pixel + 1.0).min(end) - pixel.max(start)) / (end - start)) as f32
            };
            Taps {
                first,
                weights: (first..last).map(overlap).collect(),
            }
        })
        .collect()
}

/// Where the centre of target pixel `index` lies among the source pixels.
fn source_position(index: usize, from: usize, to: usize) -> f64 {
    (index as f64 + 0.5) * from as f64 / to as f64 - 0.5
}

fn linear_taps(position: f64, from: usize) -> Taps {
    let position = position.clamp(0.0, (from - 1) as f64);
    let first = position as usize;
    let share = (position - first as f64) as f32;
    if first + 1 < from {
        Taps {
            first,
            weights: vec![1.0 - share, share],
        }
    } else {
        Taps {
            first,
            weights: vec![1.0],
        }
    }
}

/// Interpolates linearly to a new size; the border pixel is repeated.
pub(crate) fn resize_bilinear<T: Sample>(
    plane: &Plane<T>,
    width: usize,
    height: usize,
) -> Plane<T> {
    resize_region(
        plane,
        (width, height),
        Rect {
            x0: 0,
            y0: 0,
            x1: width,
            y1: height,
        },
    )
}

/// The pixels of `region` of what [`resize_bilinear`] to `(width, height)` would give.
pub(crate) fn resize_region<T: Sample>(
    plane: &Plane<T>,
    (width, height): (usize, usize),
    region: Rect,
) -> Plane<T> {
    let taps = |range: std::ops::Range<usize>, from: usize, to: usize| -> Vec<Taps> {
        range
            .map(|i| linear_taps(source_position(i, from, to), from))
            .collect()
    };
    let columns = taps(region.x0..region.x1, plane.width, width);
    let rows = taps(region.y0..region.y1, plane.height, height);
    let mut lines: Vec<Option<Vec<T>>> = (0..plane.height).map(|_| None).collect();
    let mut out = Plane::new(region.width(), region.height(), T::ZERO);
    for (y, taps) in rows.iter().enumerate() {
        for (offset, &weight) in taps.weights.iter().enumerate() {
            let row = taps.first + offset;
            let line = lines[row].get_or_insert_with(|| shrink_row(&columns, |x| plane[(x, row)]));
            for (value, &sample) in out.row_mut(y).iter_mut().zip(line.iter()) {
                *value = value.add_scaled(weight, sample);
            }
        }
    }
    out
}

/// The pixels at least half covered after [`resize_area`].
pub(crate) fn resize_mask_area(mask: &Mask, width: usize, height: usize) -> Mask {
    resize_area(&mask.to_gray(), width, height).map(|&v| v > 0.5)
}

/// Takes the pixel under the top left corner of each target pixel.
pub(crate) fn resize_mask_nearest(mask: &Mask, width: usize, height: usize) -> Mask {
    let at = |i: usize, from: usize, to: usize| (i * from / to).min(from - 1);
    Mask::from_fn(width, height, |x, y| {
        mask[(at(x, mask.width, width), at(y, mask.height, height))]
    })
}

/// The value of `plane` at a position, from the 2 by 2 pixels around.
pub(crate) fn bilinear<T: Sample>(plane: &Plane<T>, x: f64, y: f64, border: Border<T>) -> T {
    let (left, top) = (x.floor(), y.floor());
    let (fx, fy) = ((x - left) as f32, (y - top) as f32);
    convolve(
        plane,
        (left as i64, top as i64),
        [1.0 - fx, fx],
        [1.0 - fy, fy],
        border,
    )
}

/// The value of `plane` at a position, from the 4 by 4 pixels around.
pub(crate) fn bicubic<T: Sample>(plane: &Plane<T>, x: f64, y: f64, border: Border<T>) -> T {
    let (left, top) = (x.floor(), y.floor());
    let (fx, fy) = (cubic((x - left) as f32), cubic((y - top) as f32));
    convolve(plane, (left as i64 - 1, top as i64 - 1), fx, fy, border)
}

/// Weights of the four samples around a position `t` past the second.
fn cubic(t: f32) -> [f32; 4] {
    const SLOPE: f32 = -0.75;
    let outer = |d: f32| ((SLOPE * d - 5.0 * SLOPE) * d + 8.0 * SLOPE) * d - 4.0 * SLOPE;
    let inner = |d: f32| ((SLOPE + 2.0) * d - (SLOPE + 3.0)) * d * d + 1.0;
    let (first, second, third) = (outer(t + 1.0), inner(t), inner(1.0 - t));
    [first, second, third, 1.0 - first - second - third]
}

/// The sum of the N by N pixels from `(left, top)` weighted by columns and rows.
fn convolve<T: Sample, const N: usize>(
    plane: &Plane<T>,
    (left, top): (i64, i64),
    columns: [f32; N],
    rows: [f32; N],
    border: Border<T>,
) -> T {
    let size = N as i64;
    let (width, height) = (plane.width as i64, plane.height as i64);
    let mut sum = T::ZERO;
    if left >= 0 && top >= 0 && left + size <= width && top + size <= height {
        for (i, &weight) in rows.iter().enumerate() {
            let row = &plane.row(top as usize + i)[left as usize..][..N];
            let line = columns
                .iter()
                .zip(row)
                .fold(T::ZERO, |s, (&w, &v)| s.add_scaled(w, v));
            sum = sum.add_scaled(weight, line);
        }
        return sum;
    }
    for (i, &row) in rows.iter().enumerate() {
        for (j, &column) in columns.iter().enumerate() {
            let (x, y) = (left.saturating_add(j as i64), top.saturating_add(i as i64));
            let value = match border {
                Border::Constant(value) => plane.get(x, y).copied().unwrap_or(value),
                Border::Replicate => {
                    plane[(
                        x.clamp(0, width - 1) as usize,
                        y.clamp(0, height - 1) as usize,
                    )]
                }
            };
            sum = sum.add_scaled(row * column, value);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raster::plane::Gray;

    #[test]
    fn areas_average_whole_and_partial_pixels() {
        let plane = Gray::from_fn(6, 4, |x, y| (x + 10 * y) as f32);
        let half = resize_area(&plane, 3, 2);
        assert!((half[(0, 0)] - 5.5).abs() < 1e-5 && (half[(2, 1)] - 29.5).abs() < 1e-5);
        let line = Gray::from_vec(3, 1, vec![0.0, 3.0, 9.0]);
        let shrunk = resize_area(&line, 2, 1);
        assert!((shrunk.data[0] - 1.0).abs() < 1e-5 && (shrunk.data[1] - 7.0).abs() < 1e-5);
    }

    #[test]
    fn images_shrink_like_planes() {
        let image = RgbImage::from_fn(37, 23, |x, y| {
            image::Rgb([x as u8, y as u8, (x * y % 251) as u8])
        });
        let plane = resize_area(&Color::from_image(&image), 16, 11);
        assert_eq!(shrink_image(&image, 16, 11), plane);
    }

    #[test]
    fn resizing_keeps_ramps_and_ends() {
        let ramp = Gray::from_fn(10, 1, |x, _| x as f32);
        let linear = resize_bilinear(&ramp, 20, 1);
        assert!((linear[(10, 0)] - 4.75).abs() < 1e-5);
        assert!(linear[(0, 0)].abs() < 1e-5 && (linear[(19, 0)] - 9.0).abs() < 1e-5);
    }

    #[test]
    fn regions_are_cut_from_the_whole() {
        let plane = Gray::from_fn(7, 5, |x, y| ((x * 5 + y * 3) % 7) as f32);
        let region = Rect {
            x0: 3,
            y0: 8,
            x1: 19,
            y1: 15,
        };
        let whole = resize_bilinear(&plane, 22, 17);
        assert_eq!(resize_region(&plane, (22, 17), region), whole.crop(region));
    }

    #[test]
    fn maps_read_between_pixels_and_past_the_border() {
        let plane = Gray::from_fn(4, 4, |x, y| (x * 10 + y) as f32);
        let near = |x, y| bilinear(&plane, x, y, Border::Replicate);
        assert!((near(1.5, 0.25) - 15.25).abs() < 1e-6 && (near(-3.0, 1.0) - 1.0).abs() < 1e-6);
        let sharp = |x, y| bicubic(&plane, x, y, Border::Constant(-1.0));
        assert!((sharp(-3.0, 1.0) + 1.0).abs() < 1e-6 && (sharp(2.0, 2.0) - 22.0).abs() < 1e-5);
    }

    #[test]
    fn masks_shrink_by_majority() {
        let mask = Mask::from_fn(8, 8, |x, y| x < 4 || (x < 6 && y < 4));
        let small = resize_mask_area(&mask, 2, 2);
        assert_eq!(small.data, [true, false, true, false]);
        assert_eq!(resize_mask_nearest(&small, 8, 8).count(), 32);
    }
}
