//! The front edge of the neck opening.
//!
//! Rays fan out downwards from the middle between the ends of the neck; on each of them the colour
//! change along the ray is a vote for the edge of the front. The edge is the path over all rays
//! with the strongest votes that does not jump.

use super::landmark::Landmarks;
use crate::geometry::{Point, even};
use crate::raster::blur::{gaussian_color, gaussian1d, gaussian1d_nearest, median1d_nearest};
use crate::raster::color::{distance, rgb_to_lab};
use crate::raster::morphology::{dilate, erode, erode_square};
use crate::raster::order::{median, median_color};
use crate::raster::plane::{Color, Gray, Mask, Plane};
use crate::raster::polygon::fill_polygon;
use crate::raster::sample::{Border, bilinear};

/// Rays, from the left over the bottom to the right.
const RAYS: usize = 61;
/// Places along each ray.
const RADII: usize = 56;
/// Where rays begin and end, in half neck widths.
const REACH: (f64, f64) = (0.15, 2.6);
/// Edges stronger than this are all alike.
const STRONGEST: f64 = 20.0;
/// Places that the edge may move by from ray to ray, and what each costs.
const STEP: usize = 3;
const STEP_COST: f64 = 1.2;

/// A neck opening and what speaks for it.
pub(super) struct Neckline {
    /// What lies above the edge, within the garment.
    pub(super) inside: Mask,
    /// Median colour change along the edge.
    pub(super) strength: f64,
    /// Colour difference of the inside and the cloth around it.
    pub(super) contrast: f64,
    /// Lightness of the inside less that of the cloth around it.
    pub(super) lightness: f64,
    /// How far the edge hangs down, in half neck widths.
    pub(super) depth: f64,
    /// Mean difference of its two halves, in half neck widths.
    pub(super) asymmetry: f64,
}

/// Traces the neck opening of a garment at analysis scale.
pub(super) fn trace(picture: &Color, mask: &Mask, landmarks: &Landmarks) -> Neckline {
    let fan = Fan::new(landmarks);
    let lab = gaussian_color(&rgb_to_lab(picture), 1.0);
    let edges = fan.edges(&lab, mask);
    let path = cheapest_path(&fan.cost(&edges));
    let radii: Vec<f64> = path.iter().map(|&place| fan.radii[place]).collect();
    let radii = gaussian1d_nearest(&median1d_nearest(&radii, 7), 2.5);
    let inside = fan.inside(&radii, mask);
    let (contrast, lightness) = inner_contrast(&lab, mask, &inside, fan.half_width);
    let votes: Vec<f64> = (8..RAYS - 8)
        .map(|ray| f64::from(edges[(path[ray], ray)]))
        .collect();
    let mirrored = radii.iter().zip(radii.iter().rev());
    let difference: f64 = mirrored.map(|(a, b)| (a - b).abs()).sum();
    Neckline {
        inside,
        strength: median(&votes),
        contrast,
        lightness,
        depth: radii[RAYS / 2] / fan.half_width,
        asymmetry: difference / RAYS as f64 / fan.half_width,
    }
}

/// The rays.
struct Fan {
    center: Point,
    half_width: f64,
    /// Directions, one per ray.
    rays: Vec<Point>,
    radii: Vec<f64>,
}

impl Fan {
    fn new(landmarks: &Landmarks) -> Self {
        let neck = &landmarks.neck;
        let half_width = ((neck.right.x - neck.left.x).abs() / 2.0).max(4.0);
        let angles = even(std::f64::consts::PI, 0.0, RAYS);
        Self {
            center: (neck.left + neck.right) * 0.5,
            half_width,
            rays: angles
                .iter()
                .map(|angle| Point::new(angle.cos(), angle.sin()))
                .collect(),
            radii: even(REACH.0 * half_width, REACH.1 * half_width, RADII),
        }
    }

    fn at(&self, place: usize, ray: usize) -> Point {
        self.center + self.rays[ray] * self.radii[place]
    }

    /// The colour change along each ray, 0 near the outline of the garment. Rows are rays.
    fn edges(&self, lab: &Color, mask: &Mask) -> Gray {
        let colors = Plane::from_fn(RADII, RAYS, |place, ray| {
            let p = self.at(place, ray);
            bilinear(lab, p.x, p.y, Border::Constant([0.0; 3]))
        });
        let change = Gray::from_fn(RADII, RAYS, |place, ray| {
            if place < 2 || place + 2 >= RADII {
                return 0.0;
            }
            distance(colors[(place + 2, ray)], colors[(place - 2, ray)])
        });
        let solid = erode_square(mask, 3).to_gray();
        let smooth = smooth(&change);
        Gray::from_fn(RADII, RAYS, |place, ray| {
            let p = self.at(place, ray);
            let inside = bilinear(&solid, p.x, p.y, Border::Constant(0.0)) >= 0.5;
            if inside {
                smooth[(place, ray)].min(STRONGEST as f32)
            } else {
                0.0
            }
        })
    }

    /// What the edge costs at each place: strong votes are cheap, and at the ends of the neck the
    /// edge has to be where the neck is.
    fn cost(&self, edges: &Gray) -> Plane<f64> {
        Plane::from_fn(RADII, RAYS, |place, ray| {
            let sideways = self.rays[ray].x.abs().powi(4);
            let misfit = (self.radii[place] - self.half_width) / self.half_width;
            60.0 * sideways * misfit * misfit - f64::from(edges[(place, ray)])
        })
    }

    /// The mask above the edge given by one radius per ray.
    fn inside(&self, radii: &[f64], mask: &Mask) -> Mask {
        let edge = self
            .rays
            .iter()
            .zip(radii)
            .map(|(&ray, &r)| self.center + ray * r);
        let edge: Vec<Point> = edge.collect();
        let above = self.center.y - 1.2 * self.half_width;
        let (first, last) = (edge[0], edge[edge.len() - 1]);
        let mut corners = vec![Point::new(first.x, first.y.min(above))];
        corners.extend(edge);
        corners.push(Point::new(last.x, above));
        for corner in &mut corners {
            *corner = Point::new(corner.x.round_ties_even(), corner.y.round_ties_even());
        }
        let mut inside = Mask::new(mask.width, mask.height, false);
        fill_polygon(&mut inside, &corners);
        inside.and(mask)
    }
}

/// Smooths across rays (sigma 1) and along them (sigma 0.7).
fn smooth(plane: &Gray) -> Gray {
    let mut out = plane.clone();
    for x in 0..plane.width {
        let column: Vec<f64> = (0..plane.height)
            .map(|y| f64::from(plane[(x, y)]))
            .collect();
        for (y, value) in gaussian1d(&column, 1.0).into_iter().enumerate() {
            out[(x, y)] = value as f32;
        }
    }
    for y in 0..plane.height {
        let row: Vec<f64> = out.row(y).iter().map(|&v| f64::from(v)).collect();
        for (value, smooth) in out.row_mut(y).iter_mut().zip(gaussian1d(&row, 0.7)) {
            *value = smooth as f32;
        }
    }
    out
}

/// The cheapest way through the rows of `cost`, as one column per row.
fn cheapest_path(cost: &Plane<f64>) -> Vec<usize> {
    let mut total = cost.row(0).to_vec();
    let mut back = Plane::new(cost.width, cost.height, 0usize);
    for y in 1..cost.height {
        let reached: Vec<(usize, f64)> =
            (0..cost.width).map(|x| cheapest_step(&total, x)).collect();
        for (x, (from, before)) in reached.into_iter().enumerate() {
            back[(x, y)] = from;
            total[x] = before + cost[(x, y)];
        }
    }
    let cheaper = |a: usize, b: usize| if total[b] < total[a] { b } else { a };
    let mut column = (0..total.len())
        .reduce(cheaper)
        .expect("BUG: rays have places");
    let mut path = vec![column];
    for y in (1..cost.height).rev() {
        column = back[(column, y)];
        path.push(column);
    }
    path.reverse();
    path
}

/// The column from which `x` is reached at least cost, and that cost.
fn cheapest_step(total: &[f64], x: usize) -> (usize, f64) {
    let from = x.saturating_sub(STEP)..=(x + STEP).min(total.len() - 1);
    from.map(|column| {
        (
            column,
            total[column] + STEP_COST * column.abs_diff(x) as f64,
        )
    })
    .reduce(|best, next| if next.1 < best.1 { next } else { best })
    .expect("BUG: a column can be reached from itself")
}

/// Colour difference and signed lightness difference of the inside to the cloth around it; zero if
/// either is too small to tell.
fn inner_contrast(lab: &Color, mask: &Mask, inside: &Mask, half_width: f64) -> (f64, f64) {
    let reach = (0.35 * half_width).max(3.0) as usize;
    let ring = dilate(inside, reach).and(mask).minus(&dilate(inside, 2));
    let (inner, outer) = (lab.select(&erode(inside, 1)), lab.select(&ring));
    if inner.len() <= 20 || outer.len() <= 20 {
        return (0.0, 0.0);
    }
    let (inner, outer) = (median_color(&inner), median_color(&outer));
    (
        f64::from(distance(inner, outer)),
        f64::from(inner[0] - outer[0]),
    )
}
