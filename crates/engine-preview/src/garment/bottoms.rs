//! Trousers and skirts.

use super::landmark::{find_axis, pixel};
use super::{Cutout, GarmentError, Source};
use crate::geometry::{Point, Side, Sides};
use crate::raster::plane::{Gray, Mask};
use crate::raster::run::{bottom_profile, central_run};

/// Trousers, shorts or a skirt, ready to be fitted.
#[derive(Debug, Clone)]
pub(crate) struct LowerGarment {
    pub(crate) cutout: Cutout,
    pub(crate) landmarks: LowerLandmarks,
    /// Alphas of the halves left and right of the axis, at the resolution of the crop; they overlap
    /// by a few pixels.
    pub(crate) halves: Sides<Gray>,
}

/// What is measured on a garment for the legs, in analysis pixels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LowerLandmarks {
    /// The column of the mirror axis.
    pub(crate) axis: f64,
    /// The first row of the garment.
    pub(crate) top: f64,
    /// Its last row.
    pub(crate) bottom: f64,
    /// The ends of the waistband.
    pub(crate) waist: Sides<Point>,
    /// Where the legs part; `None` for skirts.
    pub(crate) crotch: Option<Point>,
}

impl LowerGarment {
    /// Analyses the picture of trousers or a skirt.
    pub(crate) fn analyse(source: Source<'_>) -> Result<Self, GarmentError> {
        let mut cutout = Cutout::cut(source)?;
        let landmarks = LowerLandmarks::find(&cutout.small_mask)?;
        let alpha = cutout.soften(None);
        let axis = landmarks.axis / cutout.scale;
        let overlap = 3.0 / cutout.scale;
        let halves = Sides::from_fn(|side| half(&alpha, side, axis, overlap));
        Ok(Self {
            cutout,
            landmarks,
            halves,
        })
    }
}

fn half(alpha: &Gray, side: Side, axis: f64, overlap: f64) -> Gray {
    Gray::from_fn(alpha.width, alpha.height, |x, y| {
        let inside = side.sign() * (x as f64 - axis) > -overlap;
        if inside { alpha[(x, y)] } else { 0.0 }
    })
}

impl LowerLandmarks {
    /// Rows from the top to the bottom.
    pub(crate) fn height(&self) -> f64 {
        self.bottom - self.top + 1.0
    }

    pub(super) fn find(mask: &Mask) -> Result<Self, GarmentError> {
        let bounds = mask.bounds().ok_or(GarmentError::Blank)?;
        let axis = find_axis(mask).ok_or(GarmentError::Blank)?.column;
        let (top, bottom) = (bounds.y0 as f64, (bounds.y1 - 1) as f64);
        let (width, height) = (bounds.width() as f64, bounds.height() as f64);
        let row = pixel(top + 0.02 * height, mask.height - 2) + 1;
        let waist = central_run(mask, row, axis).ok_or(GarmentError::NoLandmark {
            landmark: "waistband",
        })?;
        let at = |x: usize| Point::new(x as f64, top + 0.01 * height);
        let crotch = find_crotch(mask, axis, 0.12 * width)
            .filter(|p| p.y < top + 0.80 * height && bottom - p.y > 0.18 * height);
        Ok(Self {
            axis,
            top,
            bottom,
            waist: Sides::new(at(waist.start), at(waist.end)),
            crotch,
        })
    }
}

/// The column near the axis whose lower end is highest.
fn find_crotch(mask: &Mask, axis: f64, reach: f64) -> Option<Point> {
    let last = mask.width - 1;
    let columns = pixel(axis - reach, last)..=pixel(axis + reach, last);
    let profile = bottom_profile(mask);
    columns
        .filter_map(|x| Some(Point::new(x as f64, profile[x]?)))
        .reduce(|best, next| if next.y < best.y { next } else { best })
}
