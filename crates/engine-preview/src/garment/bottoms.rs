//! Trousers and skirts.

use super::landmark::{find_axis, pixel};
use super::{Cutout, GarmentError, Source};
use crate::geometry::{Point, Side, Sides};
use crate::raster::plane::{Gray, Mask};
use crate::raster::run::{Run, bottom_profile, central_run};

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

    pub(crate) fn find(mask: &Mask) -> Result<Self, GarmentError> {
        let bounds = mask.bounds().ok_or(GarmentError::Blank)?;
        let axis = find_axis(mask).ok_or(GarmentError::Blank)?.column;
        let (top, bottom) = (bounds.y0 as f64, (bounds.y1 - 1) as f64);
        let (width, height) = (bounds.width() as f64, bounds.height() as f64);
        let waist = find_waist(mask, axis, top, height).ok_or(GarmentError::NoLandmark {
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

/// The run of the waistband just under the top, or a little lower where that is ragged.
fn find_waist(mask: &Mask, axis: f64, top: f64, height: f64) -> Option<Run> {
    let run = |share: f64| {
        let row = pixel(top + share * height, mask.height - 2) + 1;
        central_run(mask, row, axis)
    };
    let (upper, lower) = (run(0.02), run(0.05));
    let ragged = |run: &Run| lower.is_some_and(|lower| run.len() < lower.len() * 3 / 4);
    upper.filter(|run| !ragged(run)).or(lower)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::garment::fixture::{Drawing, SKIRT, TROUSERS};
    use crate::raster::plane::Rect;

    #[test]
    fn trousers_have_a_waist_and_a_crotch() {
        let drawing = Drawing::new(TROUSERS);
        let garment = LowerGarment::analyse(drawing.draw().source()).unwrap();
        let found = &garment.landmarks;
        let place = |p: Point| drawing.place(p * (1.0 / garment.cutout.scale), &garment.cutout);
        let crotch = place(found.crotch.expect("trousers have legs"));
        assert!(crotch.distance(Point::new(0.0, 0.40)) < 0.02, "{crotch:?}");
        assert!(place(found.waist.left).distance(Point::new(-0.18, 0.06)) < 0.02);
        assert!(place(found.waist.right).distance(Point::new(0.18, 0.06)) < 0.02);
        assert!((found.height() / garment.cutout.small.height as f64) > 0.9);
    }

    #[test]
    fn the_halves_share_the_axis_and_nothing_else() {
        let garment = LowerGarment::analyse(Drawing::new(TROUSERS).draw().source()).unwrap();
        let both = garment
            .halves
            .left
            .zip_with(&garment.halves.right, |&l, &r| l > 0.0 && r > 0.0);
        let axis = garment.landmarks.axis / garment.cutout.scale;
        let bounds = both.bounds().expect("the halves overlap");
        assert!(bounds.width() as f64 <= 6.0 / garment.cutout.scale + 1.0);
        assert!((bounds.x0 as f64) < axis && bounds.x1 as f64 > axis);
    }

    #[test]
    fn skirts_have_no_crotch() {
        let garment = LowerGarment::analyse(Drawing::new(SKIRT).draw().source()).unwrap();
        assert_eq!(garment.landmarks.crotch, None);
    }

    #[test]
    fn a_ragged_top_is_not_the_waist() {
        let mut mask = Mask::new(200, 400, false);
        mask.fill_rect(
            Rect {
                x0: 40,
                y0: 20,
                x1: 160,
                y1: 390,
            },
            true,
        );
        mask.fill_rect(
            Rect {
                x0: 95,
                y0: 5,
                x1: 105,
                y1: 20,
            },
            true,
        );
        let found = LowerLandmarks::find(&mask).unwrap();
        assert_eq!((found.waist.left.x, found.waist.right.x), (40.0, 159.0));
    }
}
