//! Erosion, dilation and what is made of them.
//!
//! The iterated operations use the cross of four neighbours and see nothing outside of the plane,
//! so masks erode at the border. The square and disk operations ignore what is outside.

use super::label::{Border, connected_to_border};
use super::plane::{Gray, Mask};
use super::run::{Run, runs};

/// `iterations` erosions by the four neighbours.
pub(crate) fn erode(mask: &Mask, iterations: usize) -> Mask {
    repeat(mask, iterations, |a, b| a & b)
}

/// `iterations` dilations by the four neighbours.
pub(crate) fn dilate(mask: &Mask, iterations: usize) -> Mask {
    repeat(mask, iterations, |a, b| a | b)
}

/// `iterations` erosions, then as many dilations: drops what is thin.
pub(crate) fn open(mask: &Mask, iterations: usize) -> Mask {
    dilate(&erode(mask, iterations), iterations)
}

/// `iterations` dilations, then as many erosions: closes gaps.
pub(crate) fn close(mask: &Mask, iterations: usize) -> Mask {
    erode(&dilate(mask, iterations), iterations)
}

/// [`close`] that does not eat the mask where it meets the border of the plane.
pub(crate) fn close_padded(mask: &Mask, iterations: usize) -> Mask {
    let margin = 2 * iterations + 2;
    close(&mask.pad(margin, false), iterations).unpad(margin)
}

fn repeat(mask: &Mask, iterations: usize, join: fn(bool, bool) -> bool) -> Mask {
    let mut mask = mask.clone();
    for _ in 0..iterations {
        mask = if join(true, false) {
            cross(&mask, |a, b| a | b)
        } else {
            cross(&mask, |a, b| a & b)
        };
    }
    mask
}

/// Joins each pixel with its four neighbours; those outside of the plane are unset.
fn cross(mask: &Mask, join: impl Fn(bool, bool) -> bool + Copy) -> Mask {
    let (width, height) = mask.size();
    let mut out = mask.clone();
    if mask.data.is_empty() {
        return out;
    }
    let nothing = vec![false; width];
    for y in 0..height {
        let row = mask.row(y);
        let above = if y > 0 { mask.row(y - 1) } else { &nothing };
        let below = if y + 1 < height {
            mask.row(y + 1)
        } else {
            &nothing
        };
        let target = out.row_mut(y);
        for ((value, &a), &b) in target.iter_mut().zip(above).zip(below) {
            *value = join(*value, join(a, b));
        }
        let last = width - 1;
        for (value, &right) in target.iter_mut().zip(row[1..].iter().chain(&[false])) {
            *value = join(*value, right);
        }
        target[0] = join(target[0], false);
        for (value, &left) in target[1..].iter_mut().zip(&row[..last]) {
            *value = join(*value, left);
        }
    }
    out
}

/// Dilation by a square of `2 * radius + 1` pixels.
pub(crate) fn dilate_square(mask: &Mask, radius: usize) -> Mask {
    spread(mask, radius, |_| radius)
}

/// Erosion by a square of `2 * radius + 1` pixels; the border of the plane does not erode.
pub(crate) fn erode_square(mask: &Mask, radius: usize) -> Mask {
    dilate_square(&mask.not(), radius).not()
}

/// Dilation by a disk.
pub(crate) fn dilate_disk(mask: &Mask, radius: usize) -> Mask {
    spread(mask, radius, |dy| disk_reach(radius, dy))
}

/// Half the width of a disk `dy` rows from its centre.
fn disk_reach(radius: usize, dy: usize) -> usize {
    ((radius * radius - dy * dy) as f64)
        .sqrt()
        .round_ties_even() as usize
}

/// Dilation by the shape that reaches `reach(dy)` pixels left and right in the rows `dy` above and
/// below. The runs of each row are written as differences, so the cost does not grow with the area
/// of the shape.
fn spread(mask: &Mask, radius: usize, reach: impl Fn(usize) -> usize) -> Mask {
    let (width, height) = mask.size();
    let stride = width + 1;
    let mut edges = vec![0i32; stride * height];
    for y in 0..mask.height {
        let spans = runs(mask, y);
        for target in y.saturating_sub(radius)..(y + radius + 1).min(height) {
            let reach = reach(target.abs_diff(y));
            for &Run { start, end } in &spans {
                edges[target * stride + start.saturating_sub(reach)] += 1;
                edges[target * stride + (end + reach + 1).min(width)] -= 1;
            }
        }
    }
    let mut out = Mask::new(width, height, false);
    for (row, edges) in edges.chunks_exact(stride).enumerate() {
        let mut depth = 0;
        for (value, edge) in out.row_mut(row).iter_mut().zip(edges) {
            depth += edge;
            *value = depth > 0;
        }
    }
    out
}

/// The mask with everything it encloses.
pub(crate) fn fill_holes(mask: &Mask) -> Mask {
    connected_to_border(&mask.not(), Border::ALL).not()
}

/// Opening of grey values by a disk: bright parts into which the disk does not fit are lowered to
/// the brightest level at which it does.
pub(crate) fn open_disk_gray(plane: &Gray, radius: usize) -> Gray {
    let eroded = extreme_disk(plane, radius, f32::min);
    extreme_disk(&eroded, radius, f32::max)
}

/// Dilation of grey values by a square of `2 * radius + 1` pixels.
pub(crate) fn dilate_square_gray(plane: &Gray, radius: usize) -> Gray {
    extreme_square(plane, radius, f32::max)
}

/// The extreme over a disk around each pixel. Only pixels whose surrounding square is not constant
/// are searched, which for a feathered mask is a thin band, and only until the extreme of that
/// square is met.
fn extreme_disk(plane: &Gray, radius: usize, pick: impl Fn(f32, f32) -> f32 + Copy) -> Gray {
    let low = extreme_square(plane, radius, f32::min);
    let high = extreme_square(plane, radius, f32::max);
    let (width, height) = plane.size();
    let reach: Vec<usize> = (0..=radius).map(|dy| disk_reach(radius, dy)).collect();
    Gray::from_fn(width, height, |x, y| {
        let (low, high) = (low[(x, y)], high[(x, y)]);
        let limit = pick(low, high);
        let mut best = plane[(x, y)];
        if low >= high {
            return best;
        }
        for row in y.saturating_sub(radius)..(y + radius + 1).min(height) {
            if (best - limit).abs() <= 0.0 {
                break;
            }
            let reach = reach[row.abs_diff(y)];
            let span = x.saturating_sub(reach)..(x + reach + 1).min(width);
            best = plane.row(row)[span].iter().copied().fold(best, pick);
        }
        best
    })
}

/// The extreme over a square around each pixel: along rows, then along columns. Windows grow by
/// doubling, so the cost grows with the logarithm of the radius.
fn extreme_square(plane: &Gray, radius: usize, pick: impl Fn(f32, f32) -> f32 + Copy) -> Gray {
    let mut rows = plane.clone();
    let mut padded = Vec::new();
    for y in 0..plane.height {
        let row = plane.row(y);
        let (first, last) = (row[0], row[plane.width - 1]);
        padded.clear();
        padded.resize(radius, first);
        padded.extend_from_slice(row);
        padded.resize(plane.width + 2 * radius, last);
        double_windows(&mut padded, 1, radius, pick);
        rows.row_mut(y).copy_from_slice(&padded[..plane.width]);
    }
    padded.clear();
    for y in 0..plane.height + 2 * radius {
        let row = y.saturating_sub(radius).min(plane.height - 1);
        padded.extend_from_slice(rows.row(row));
    }
    double_windows(&mut padded, plane.width, radius, pick);
    padded.truncate(plane.data.len());
    Gray::from_vec(plane.width, plane.height, padded)
}

/// Replaces each value by the extreme of the `2 * radius + 1` values that begin with it and lie
/// `stride` apart; the last values are left unfinished.
fn double_windows(
    values: &mut [f32],
    stride: usize,
    radius: usize,
    pick: impl Fn(f32, f32) -> f32,
) {
    let window = 2 * radius + 1;
    let mut size = 1;
    while size < window {
        let shift = size.min(window - size);
        for i in 0..values.len() - shift * stride {
            values[i] = pick(values[i], values[i + shift * stride]);
        }
        size += shift;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raster::plane::Rect;

    fn open_disk(mask: &Mask, radius: usize) -> Mask {
        dilate_disk(&dilate_disk(&mask.not(), radius).not(), radius)
    }

    fn block(size: usize, rect: Rect) -> Mask {
        let mut mask = Mask::new(size, size, false);
        mask.fill_rect(rect, true);
        mask
    }

    #[test]
    fn dilating_a_pixel_makes_a_diamond() {
        let pixel = block(
            11,
            Rect {
                x0: 5,
                y0: 5,
                x1: 6,
                y1: 6,
            },
        );
        let grown = dilate(&pixel, 3);
        let diamond = Mask::from_fn(11, 11, |x, y| x.abs_diff(5) + y.abs_diff(5) <= 3);
        assert_eq!(grown, diamond);
        assert_eq!(erode(&grown, 3), pixel);
    }

    #[test]
    fn masks_erode_at_the_border_unless_padded() {
        let full = Mask::new(6, 6, true);
        assert_eq!(erode(&full, 1).count(), 16);
        assert_eq!(close(&full, 2).count(), 4);
        assert_eq!(close_padded(&full, 2), full);
        assert_eq!(erode_square(&full, 2), full);
    }

    #[test]
    fn squares_and_disks_have_their_shapes() {
        let pixel = block(
            15,
            Rect {
                x0: 7,
                y0: 7,
                x1: 8,
                y1: 8,
            },
        );
        assert_eq!(dilate_square(&pixel, 2).count(), 25);
        let disk = dilate_disk(&pixel, 4);
        let reach = |y: usize| disk.row(y).iter().filter(|&&v| v).count();
        assert_eq!(
            (3..12).map(reach).collect::<Vec<_>>(),
            [1, 7, 7, 9, 9, 9, 7, 7, 1]
        );
    }

    #[test]
    fn opening_drops_what_is_thin() {
        let mut mask = block(
            40,
            Rect {
                x0: 5,
                y0: 5,
                x1: 25,
                y1: 25,
            },
        );
        mask.fill_rect(
            Rect {
                x0: 25,
                y0: 14,
                x1: 39,
                y1: 16,
            },
            true,
        );
        assert!(!open(&mask, 2)[(32, 14)] && open(&mask, 2)[(15, 15)]);
        let opened = open_disk(&mask, 4);
        assert!(!opened[(32, 14)] && opened[(15, 15)] && !opened[(5, 5)]);
    }

    #[test]
    fn grey_opening_is_binary_opening_at_every_level() {
        let plane = Gray::from_fn(50, 40, |x, y| {
            let (x, y) = (x as f32 - 20.0, y as f32 - 18.0);
            ((12.0 - x.hypot(y)) / 8.0)
                .clamp(0.0, 1.0)
                .max(if y.abs() < 2.0 { 0.7 } else { 0.0 })
        });
        let opened = open_disk_gray(&plane, 5);
        for level in [0.2, 0.5, 0.8] {
            let binary = open_disk(&plane.map(|&v| v >= level), 5);
            assert_eq!(opened.map(|&v| v >= level), binary, "{level}");
        }
    }

    #[test]
    fn holes_fill_only_when_enclosed() {
        let mut mask = block(
            12,
            Rect {
                x0: 2,
                y0: 2,
                x1: 10,
                y1: 10,
            },
        );
        mask.fill_rect(
            Rect {
                x0: 4,
                y0: 4,
                x1: 6,
                y1: 6,
            },
            false,
        );
        mask.fill_rect(
            Rect {
                x0: 8,
                y0: 5,
                x1: 10,
                y1: 6,
            },
            false,
        );
        let filled = fill_holes(&mask);
        assert!(filled[(5, 5)] && !filled[(9, 5)]);
    }

    #[test]
    fn empty_planes_stay_empty() {
        let nothing = Mask::new(0, 0, false);
        assert_eq!(open(&nothing, 2), nothing);
        assert_eq!(dilate_disk(&nothing, 2), nothing);
    }
}
