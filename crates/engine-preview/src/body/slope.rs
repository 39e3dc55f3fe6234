//! The line of the shoulders from the neck to the corners.

use crate::geometry::{Point, Side, Sides, clamp, even, interpolate};
use crate::raster::blur::gaussian1d;
use crate::raster::order::median;
use crate::raster::plane::Mask;
use crate::raster::run::top_profile;

/// Places along the shoulder: 0 at the axis of the neck, 1 at the corner.
const PLACES: [f64; 8] = [0.0, 0.36, 0.5, 0.62, 0.75, 0.88, 1.0, 1.2];
/// Height over the corner at these places, in shoulder widths.
const HEIGHTS: [f64; 8] = [0.185, 0.155, 0.128, 0.105, 0.078, 0.045, 0.0, -0.10];

/// From this place outwards the top of the figure may be a bare shoulder...
const BARE_FROM: f64 = 0.42;
/// ...if it is this near the curve, in shoulder widths; else it is hair or something carried.
const BARE_NEAR: f64 = 0.06;

/// A fixed curve whose height is fitted to the silhouette on each side.
#[derive(Debug, Clone)]
pub(crate) struct Slope {
    neck_axis: f64,
    corner: Sides<Point>,
    width: f64,
    amplitude: Sides<f64>,
    /// The first row of the figure in each column.
    top: Vec<Option<f64>>,
    /// The top of the figure where that is a shoulder, bare or clothed, which new clothing must
    /// reach.
    cover: Vec<Option<f64>>,
}

impl Slope {
    pub(crate) fn fit(figure: &Mask, neck_axis: f64, corner: Sides<Point>) -> Self {
        let width = corner.right.x - corner.left.x;
        let top = top_profile(figure);
        let fitted = Sides::from_fn(|side| fit_amplitude(&top, neck_axis, corner[side], width));
        // Hair over one shoulder inflates it: stay close to the lower side.
        let most = fitted.left.min(fitted.right) + 0.35;
        let amplitude = fitted.map(|&a| a.min(most));
        let mut slope = Self {
            neck_axis,
            corner,
            width,
            amplitude,
            top,
            cover: Vec::new(),
        };
        slope.follow_where(|_, _| None);
        slope
    }

    /// Lets the line also follow the `old` clothing where that forms the top of the figure.
    pub(crate) fn follow(&mut self, old: &Mask) {
        let near = 0.04 * self.width + 2.0;
        let top_of_old = top_profile(old);
        let top = self.top.clone();
        self.follow_where(|x, _| {
            let (old, top) = (top_of_old[x]?, top[x]?);
            ((old - top).abs() < near).then_some(top)
        });
    }

    /// Lets the line also follow the upper edge of a painted `region`, beside the neck, which may
    /// be painted, too.
    pub(crate) fn follow_region(&mut self, region: &Mask) {
        let edge = top_profile(region);
        let near = 0.10 * self.width;
        self.follow_where(|x, line| edge[x].filter(|edge| (edge - line).abs() < near));
    }

    /// Follows the rows that `clothing` gives for a column and the curve's row in it, and the top
    /// of the figure where it is near the curve.
    fn follow_where(&mut self, clothing: impl Fn(usize, f64) -> Option<f64>) {
        let columns = self.corner.left.x.max(0.0).floor()..=self.corner.right.x;
        let found: Vec<Option<f64>> = (0..self.top.len())
            .map(|x| {
                let column = x as f64;
                let (line, place) = self.curve(column);
                let bare = self.top[x]
                    .filter(|top| place > BARE_FROM && (line - top).abs() < BARE_NEAR * self.width);
                let row = clothing(x, line).or(bare);
                row.filter(|_| columns.contains(&column))
            })
            .collect();
        if found.iter().flatten().count() > 5 {
            self.cover = smooth_gaps(&found, 0.03 * self.width, 0.008 * self.width);
        }
    }

    /// The row of the shoulder line in column `x`.
    pub(crate) fn y(&self, x: f64) -> f64 {
        let (line, place) = self.curve(x);
        let column = x.round_ties_even().max(0.0) as usize;
        let cover = self
            .cover
            .get(column.min(self.top.len() - 1))
            .copied()
            .flatten();
        match cover {
            Some(y) => {
                let y = clamp(y, line - 0.13 * self.width, line + 0.02 * self.width);
                line + (y - line) * interpolate(place, &[0.3, 0.42], &[0.0, 1.0])
            }
            None => line,
        }
    }

    /// The row of the fitted curve in column `x`, and the place along the shoulder.
    fn curve(&self, x: f64) -> (f64, f64) {
        let side = if x < self.neck_axis {
            Side::Left
        } else {
            Side::Right
        };
        let reach = (self.corner[side].x - self.neck_axis).abs().max(1.0);
        let place = ((x - self.neck_axis).abs() / reach).min(1.2);
        // The two sides meet at the neck.
        let other = interpolate(place, &[0.0, 0.36], &[0.5, 0.0]);
        let line =
            self.side_y(side, place) * (1.0 - other) + self.side_y(side.other(), place) * other;
        (line, place)
    }

    fn side_y(&self, side: Side, place: f64) -> f64 {
        let height = interpolate(place, &PLACES, &HEIGHTS) * self.width;
        self.corner[side].y - height * self.amplitude[side]
    }
}

/// How much higher the silhouette is than the curve, as the median ratio.
fn fit_amplitude(top: &[Option<f64>], neck_axis: f64, corner: Point, width: f64) -> f64 {
    let ratios: Vec<f64> = even(0.5, 0.90, 11)
        .into_iter()
        .filter_map(|place| {
            let x = neck_axis + (corner.x - neck_axis) * place;
            let column = clamp(x.round_ties_even(), 0.0, top.len() as f64 - 1.0) as usize;
            let height = interpolate(place, &PLACES, &HEIGHTS) * width;
            Some((corner.y - top[column]?) / height)
        })
        .collect();
    if ratios.is_empty() {
        1.0
    } else {
        clamp(median(&ratios), 0.7, 1.45)
    }
}

/// Smooths the known values among themselves and lifts them by `lift`.
fn smooth_gaps(values: &[Option<f64>], sigma: f64, lift: f64) -> Vec<Option<f64>> {
    let known: Vec<f64> = values
        .iter()
        .map(|v| f64::from(u8::from(v.is_some())))
        .collect();
    let filled: Vec<f64> = values.iter().map(|v| v.unwrap_or(0.0)).collect();
    let (weight, sum) = (gaussian1d(&known, sigma), gaussian1d(&filled, sigma));
    values
        .iter()
        .enumerate()
        .map(|(x, value)| value.map(|_| sum[x] / weight[x].max(1e-3) - lift))
        .collect()
}
