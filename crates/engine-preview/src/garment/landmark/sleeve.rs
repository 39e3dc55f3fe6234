//! Sleeves: what a cut from the shoulder to the armpit separates from the body.

use super::shape::{Shape, pixel};
use crate::geometry::{Point, Side, Sides};
use crate::raster::label::{Connectivity, component_mask, label};
use crate::raster::order::percentile;
use crate::raster::plane::Mask;
use crate::raster::polygon::{contour, draw_line};

/// Width of the cuts that separate sleeves, in analysis pixels.
const CUT: usize = 3;

/// A sleeve, in analysis pixels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sleeve {
    /// The corner of the cuff that continues the shoulder.
    pub(crate) outer: Point,
    /// The corner of the cuff on the side of the armpit.
    pub(crate) inner: Point,
    /// The sleeve in the mask of the garment.
    pub(crate) mask: Mask,
    /// Pixels of the sleeve.
    pub(crate) area: usize,
}

/// Both sleeves, or none if the cut separates nothing on one side.
pub(super) fn find_sleeves(
    shape: &Shape<'_>,
    armpit: &Sides<Point>,
    shoulder: &Sides<Point>,
    notch: Option<&Sides<Point>>,
) -> Option<Sides<Sleeve>> {
    let find = |side: Side| {
        let seam = Seam {
            side,
            armpit: armpit[side],
            shoulder: shoulder[side],
        };
        seam.find_sleeve(shape, notch.map(|notch| notch[side]))
    };
    Some(Sides::new(find(Side::Left)?, find(Side::Right)?))
}

/// Where a sleeve joins the body.
struct Seam {
    side: Side,
    armpit: Point,
    shoulder: Point,
}

impl Seam {
    fn middle(&self) -> Point {
        (self.armpit + self.shoulder) * 0.5
    }

    fn find_sleeve(&self, shape: &Shape<'_>, notch: Option<Point>) -> Option<Sleeve> {
        let cut = self.cut(shape, notch);
        let (labels, parts) = label(&cut, Connectivity::Four);
        let row = pixel(shape.down(0.6), cut.height - 1);
        let body = labels[(pixel(shape.axis.column, cut.width - 1), row)] as usize;
        let least = 0.004 * shape.mask.count() as f64;
        let beside = |x: f64| self.side.sign() * (x - self.middle().x) >= -0.02 * shape.width();
        let (index, part) = parts
            .iter()
            .enumerate()
            .filter(|(index, part)| {
                part.area as f64 >= least && index + 1 != body && beside(part.centroid.0)
            })
            .reduce(|best, next| {
                if next.1.area > best.1.area {
                    next
                } else {
                    best
                }
            })?;
        let mask = component_mask(&labels, index);
        let (outer, inner) = self.cuff(&mask)?;
        Some(Sleeve {
            outer,
            inner,
            mask,
            area: part.area,
        })
    }

    /// The mask cut along the seam, and from the armpit to the notch where the sleeve lies against
    /// the body.
    fn cut(&self, shape: &Shape<'_>, notch: Option<Point>) -> Mask {
        let mut cut = shape.mask.clone();
        let up = self.shoulder - self.armpit;
        let (from, to) = (self.shoulder + up * 0.3, self.armpit - up * 0.08);
        draw_line(&mut cut, on_pixel(from), on_pixel(to), CUT, false);
        if let Some(notch) = notch {
            let past = (notch - self.armpit).unit() * (0.04 * shape.height());
            draw_line(
                &mut cut,
                on_pixel(self.armpit),
                on_pixel(notch + past),
                CUT,
                false,
            );
        }
        cut
    }

    /// The corners of the cuff: the points furthest along the sleeve, and across it to either side.
    fn cuff(&self, sleeve: &Mask) -> Option<(Point, Point)> {
        let along = self.direction(sleeve)?;
        let across = self.across(along);
        let outline: Vec<Point> = contour(sleeve)
            .into_iter()
            .map(|p| Point::from(p) - self.middle())
            .collect();
        let furthest = |weight: f64| {
            let score = |p: &Point| p.dot(along) + weight * p.dot(across);
            let farther = |a: Point, b: Point| if score(&b) > score(&a) { b } else { a };
            outline
                .iter()
                .copied()
                .reduce(farther)
                .map(|p| p + self.middle())
        };
        Some((furthest(0.9)?, furthest(-0.9)?))
    }

    /// From the seam towards the far end of the sleeve.
    fn direction(&self, sleeve: &Mask) -> Option<Point> {
        let pixels = (0..sleeve.data.len()).filter(|&i| sleeve.data[i]);
        let offsets: Vec<Point> = pixels
            .map(|i| Point::new((i % sleeve.width) as f64, (i / sleeve.width) as f64))
            .map(|p| p - self.middle())
            .collect();
        let lengths: Vec<f64> = offsets.iter().map(|p| p.length()).collect();
        let far = percentile(&lengths, 88.0);
        let sum = offsets
            .iter()
            .zip(&lengths)
            .filter(|(_, length)| **length >= far)
            .fold(Point::default(), |sum, (p, _)| sum + *p);
        (sum.length() > 0.0).then(|| sum.unit())
    }

    /// Across the sleeve, to the side that continues the shoulder.
    fn across(&self, along: Point) -> Point {
        let normal = along.normal();
        let up = self.shoulder - self.armpit;
        if normal.dot(up) < 0.0 {
            -normal
        } else {
            normal
        }
    }
}

fn on_pixel(p: Point) -> Point {
    Point::new(p.x.round_ties_even(), p.y.round_ties_even())
}
