//! Whether the inside of the back shows in the neck opening.

use super::landmark::Landmarks;
use super::neckline::{self, Neckline};
use crate::raster::blur::gaussian;
use crate::raster::color::rgb_to_lab;
use crate::raster::gradient::sobel_magnitude;
use crate::raster::morphology::erode;
use crate::raster::order::median;
use crate::raster::plane::{Color, Mask};

/// The inside of the back, at analysis scale, if it can be told from the front. A wrong cut is worse
/// than a visible label, so everything must speak for it.
pub(super) fn find_opening(picture: &Color, mask: &Mask, landmarks: &Landmarks) -> Option<Mask> {
    let neckline = neckline::trace(picture, mask, landmarks);
    let area = neckline.inside.count() as f64 / mask.count() as f64;
    let accepted = area > 0.003
        && area < 0.12
        && neckline.strength > 6.0
        && neckline.depth < 2.2
        && neckline.asymmetry < 0.22
        && (neckline.lightness < -4.0 || neckline.contrast > 9.0)
        && texture(picture, &neckline) < 3.0;
    accepted.then_some(neckline.inside)
}

/// The median lightness gradient of the inside, which prints and seams raise.
fn texture(picture: &Color, neckline: &Neckline) -> f64 {
    let inside = erode(&neckline.inside, 2);
    if inside.count() <= 10 {
        return f64::INFINITY;
    }
    let lightness = gaussian(&rgb_to_lab(picture).channel(0), 1.0);
    median(&sobel_magnitude(&lightness).select(&inside)) / 8.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::garment::UpperGarment;
    use crate::garment::fixture::{Drawing, NECK, TEE, coverage};

    fn opening_of(drawing: Drawing) -> Option<(usize, f64)> {
        let garment = UpperGarment::analyse(drawing.draw().source()).unwrap();
        let cutout = &garment.cutout;
        let opening = find_opening(&cutout.small, &cutout.small_mask, &garment.landmarks)?;
        let truth = coverage(NECK).map(|&v| v > 0.5).count() as f64;
        let scale = cutout.scale;
        Some((
            opening.count(),
            opening.count() as f64 / (scale * scale * truth),
        ))
    }

    #[test]
    fn a_dark_inside_is_told_from_the_front() {
        let drawing = Drawing {
            neck: true,
            ..Drawing::new(TEE)
        };
        let (_, share) = opening_of(drawing).expect("the inside shows");
        assert!((0.75..1.25).contains(&share), "{share}");
    }

    #[test]
    fn a_closed_front_has_no_opening() {
        assert_eq!(opening_of(Drawing::new(TEE)), None);
    }

    #[test]
    fn a_black_inside_of_a_black_tee_is_left_alone() {
        let black = Drawing {
            cloth: [22.0, 22.0, 24.0],
            neck: true,
            ..Drawing::new(TEE)
        };
        assert_eq!(opening_of(black), None);
    }
}
