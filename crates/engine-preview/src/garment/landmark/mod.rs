//! Landmarks of tops and one-pieces, read off the mask alone.

mod armpit;
mod axis;
mod hem;
mod neck;
mod shape;
mod sleeve;

pub(super) use axis::find_axis;
pub(super) use shape::pixel;
pub(crate) use sleeve::Sleeve;

use self::shape::Shape;
use super::GarmentError;
use crate::geometry::{Point, Sides};
use crate::raster::plane::Mask;

/// Notches below this share of the height are not armpits: the sleeve lies against the body.
const LOW: f64 = 0.52;
/// Sleeves that lie against the body count only if each covers this share of the garment.
const LEAST_LOW_SLEEVE: f64 = 0.05;

/// What is measured on a top or a one-piece, in analysis pixels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Landmarks {
    /// The column of the mirror axis.
    pub(crate) axis: f64,
    /// How symmetric the mask is: its overlap with its mirror image.
    pub(crate) symmetry: f64,
    /// Under the arms.
    pub(crate) armpit: Sides<Point>,
    /// On the outline above the armpits, where sleeves begin.
    pub(crate) shoulder: Sides<Point>,
    /// The ends of the neck opening.
    pub(crate) neck: Sides<Point>,
    /// The lower corners.
    pub(crate) hem: Sides<Point>,
    /// The lower edge on the axis.
    pub(crate) hem_center: Point,
    /// Where sleeves that lie against the body come free of it; their armpits are estimated.
    pub(crate) notch: Option<Sides<Point>>,
    /// The sleeves; `None` for sleeveless garments.
    pub(crate) sleeves: Option<Sides<Sleeve>>,
}

impl Landmarks {
    /// Measures `mask`, the garment at analysis scale.
    pub(super) fn find(mask: &Mask) -> Result<Self, GarmentError> {
        let shape = Shape::measure(mask).ok_or(GarmentError::Blank)?;
        let found = Self::find_with(&shape, armpit::find_notches(&shape, 1.0))?;
        if found.notch.is_none() || found.has_whole_sleeves(mask) {
            return Ok(found);
        }
        Self::find_with(&shape, armpit::find_notches(&shape, LOW))
    }

    /// Whether low notches cut off what can be sleeves.
    fn has_whole_sleeves(&self, mask: &Mask) -> bool {
        let least = LEAST_LOW_SLEEVE * mask.count() as f64;
        self.sleeves.as_ref().is_some_and(|sleeves| {
            let smaller = sleeves.left.area.min(sleeves.right.area);
            smaller as f64 >= least
        })
    }

    fn find_with(shape: &Shape<'_>, notches: Option<Sides<Point>>) -> Result<Self, GarmentError> {
        let has_notches = notches.is_some();
        let mut armpit = match notches {
            Some(notches) => notches,
            None => armpit::sleeveless(shape)?,
        };
        let low = has_notches && armpit.map(|p| p.y).mean() > shape.down(LOW);
        let notch = low.then_some(armpit);
        if low {
            armpit = armpit::estimate_from_notches(shape, &armpit)?;
        }
        let shoulder = neck::find_shoulders(shape, &armpit, has_notches);
        let neck = neck::find_neck(shape, &shoulder, has_notches)?;
        let sleeves = if has_notches {
            sleeve::find_sleeves(shape, &armpit, &shoulder, notch.as_ref())
        } else {
            None
        };
        let hem = hem::find_hem(shape, &armpit, sleeves.is_some())?;
        Ok(Self {
            axis: shape.axis.column,
            symmetry: shape.axis.symmetry,
            armpit,
            shoulder,
            neck,
            hem: hem.corners,
            hem_center: hem.center,
            notch,
            sleeves,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::garment::UpperGarment;
    use crate::garment::fixture::{
        DRESS, Drawing, HANGING_SLEEVES, LONG_SLEEVES, Outline, TANK, TEE,
    };

    /// The landmarks in units of the outline.
    struct Found {
        landmarks: Landmarks,
        place: Box<dyn Fn(Point) -> Point>,
    }

    fn find(outline: Outline) -> Found {
        let drawing = Drawing::new(outline);
        let garment = UpperGarment::analyse(drawing.draw().with_alpha().source()).unwrap();
        let cutout = garment.cutout;
        let place = move |p: Point| drawing.place(p * (1.0 / cutout.scale), &cutout);
        Found {
            landmarks: garment.landmarks,
            place: Box::new(place),
        }
    }

    impl Found {
        fn assert_at(&self, name: &str, pair: Sides<Point>, (x, y): (f64, f64), tolerance: f64) {
            for (p, x) in [(pair.left, -x), (pair.right, x)] {
                let p = (self.place)(p);
                assert!(
                    p.distance(Point::new(x, y)) < tolerance,
                    "{name} {p:?}, not {x}, {y}"
                );
            }
        }
    }

    #[test]
    fn a_tee_has_sleeves_armpits_and_cuffs() {
        let found = find(TEE);
        let l = &found.landmarks;
        found.assert_at("armpit", l.armpit, (0.27, 0.30), 0.015);
        found.assert_at("neck", l.neck, (0.105, 0.06), 0.02);
        found.assert_at("hem", l.hem, (0.27, 0.93), 0.015);
        found.assert_at("shoulder", l.shoulder, (0.265, 0.115), 0.02);
        let sleeves = l.sleeves.as_ref().expect("a tee has sleeves");
        found.assert_at("outer cuff", sleeves.map(|s| s.outer), (0.44, 0.30), 0.015);
        found.assert_at("inner cuff", sleeves.map(|s| s.inner), (0.37, 0.38), 0.015);
        assert!(l.notch.is_none());
        assert!(l.symmetry > 0.98);
    }

    #[test]
    fn long_sleeves_end_at_their_cuffs() {
        let found = find(LONG_SLEEVES);
        let sleeves = found.landmarks.sleeves.as_ref().expect("it has sleeves");
        found.assert_at("armpit", found.landmarks.armpit, (0.27, 0.34), 0.02);
        found.assert_at("outer cuff", sleeves.map(|s| s.outer), (0.46, 0.80), 0.015);
        found.assert_at("inner cuff", sleeves.map(|s| s.inner), (0.39, 0.82), 0.015);
    }

    #[test]
    fn sleeves_against_the_body_are_cut_from_their_notches() {
        let found = find(HANGING_SLEEVES);
        let l = &found.landmarks;
        found.assert_at(
            "notch",
            l.notch.expect("the notches are low"),
            (0.26, 0.66),
            0.015,
        );
        let height = (found.place)(l.armpit.left).y;
        assert!((0.30..0.42).contains(&height), "{height}");
        let sleeves = l.sleeves.as_ref().expect("it has sleeves");
        found.assert_at("outer cuff", sleeves.map(|s| s.outer), (0.41, 0.90), 0.015);
    }

    #[test]
    fn tanks_have_no_sleeves() {
        let found = find(TANK);
        let l = &found.landmarks;
        assert!(l.sleeves.is_none());
        found.assert_at("armpit", l.armpit, (0.265, 0.30), 0.03);
        found.assert_at("shoulder", l.shoulder, (0.205, 0.10), 0.02);
        found.assert_at("hem", l.hem, (0.27, 0.93), 0.015);
    }

    #[test]
    fn dresses_reach_down_to_their_flared_hem() {
        let found = find(DRESS);
        found.assert_at("hem", found.landmarks.hem, (0.33, 0.95), 0.015);
        found.assert_at("neck", found.landmarks.neck, (0.09, 0.04), 0.03);
    }

    #[test]
    fn landmarks_of_a_turned_over_garment_change_sides() {
        let drawing = Drawing::new(TEE);
        let mut picture = drawing.draw().with_alpha();
        let first = UpperGarment::analyse(picture.source()).unwrap().landmarks;
        image::imageops::flip_horizontal_in_place(&mut picture.image);
        picture
            .alpha
            .iter_mut()
            .for_each(image::imageops::flip_horizontal_in_place);
        let second = UpperGarment::analyse(picture.source()).unwrap().landmarks;
        let width = first.armpit.left.x + second.armpit.right.x;
        assert!((first.armpit.right.x + second.armpit.left.x - width).abs() < 3.0);
        assert!((first.axis + second.axis - width).abs() < 3.0);
    }
}
