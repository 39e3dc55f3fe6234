//! How far a photo can be trusted to have been understood.
//!
//! It is a check of the backdrop and of rough proportions, not of the picture that is made: seated
//! and turned people on plain backdrops pass it.

use crate::body::{Body, Clothing, Target, face_width};
use crate::outfit::Wearer;
use crate::raster::gradient::sobel_magnitude;
use crate::raster::morphology::dilate;
use crate::raster::order::median;
use crate::raster::plane::Mask;

/// Below this a photo is refused.
pub(crate) const LEAST: f64 = 0.5;

/// A confidence from 0 to 1 with what lowered it.
#[derive(Debug, Clone)]
pub(crate) struct Confidence {
    pub(crate) value: f64,
    pub(crate) reasons: Vec<String>,
}

impl Confidence {
    pub(crate) const fn full() -> Self {
        Self {
            value: 1.0,
            reasons: Vec::new(),
        }
    }

    /// Lowers the value by `factor` if `doubtful`.
    pub(crate) fn doubt(&mut self, doubtful: bool, factor: f64, reason: impl FnOnce() -> String) {
        if doubtful {
            self.value *= factor;
            self.reasons.push(reason());
        }
    }

    /// Judges a person on a backdrop.
    pub(crate) fn judge(wearer: &Wearer) -> Self {
        let mut confidence = Self::full();
        confidence.judge_backdrop(&wearer.body);
        confidence.judge_head(&wearer.body, &wearer.target);
        confidence.judge_shoulders(&wearer.body, &wearer.target);
        confidence.judge_clothing(&wearer.clothing, wearer.target.width);
        confidence.doubt(wearer.palette.ambiguous, 0.6, || {
            "the clothing looks like skin".into()
        });
        confidence
    }

    fn judge_backdrop(&mut self, body: &Body) {
        let (figure, backdrop) = (&body.figure, body.backdrop);
        self.doubt(backdrop.inliers < 0.72, 0.4, || {
            format!(
                "the backdrop is not plain ({:.0} % of it)",
                100.0 * backdrop.inliers
            )
        });
        self.doubt(backdrop.residual > 5.0, 0.3, || {
            "the backdrop is busy".into()
        });
        let coverage = figure.coverage();
        self.doubt(!(0.06..0.62).contains(&coverage), 0.4, || {
            format!("the figure covers {:.0} % of the photo", 100.0 * coverage)
        });
        let touching = border_share(figure);
        self.doubt(touching > 0.30, 0.5, || {
            "the figure touches the frame".into()
        });
        let edges = backdrop_edges(body);
        self.doubt(edges > 0.02, 0.4, || {
            format!(
                "there are edges in the backdrop ({:.0} % of it)",
                100.0 * edges
            )
        });
    }

    fn judge_head(&mut self, body: &Body, target: &Target) {
        let width = target.width;
        let head = (target.shoulder_y - body.shoulders.top) / width;
        if head > 0.55 {
            let face = face_width(&body.picture, &body.figure, target.below(-0.30));
            let ratio = width / face.unwrap_or(1.0).max(1.0);
            self.doubt(!(1.1..3.8).contains(&ratio), 0.5, || {
                "there is no face that fits the shoulders".into()
            });
        } else {
            self.doubt(head < 0.22, 0.5, || "no head is visible".into());
        }
        let neck = neck_width(&body.figure, target) / width;
        self.doubt(neck > 0.90, 0.6, || "the silhouette has no neck".into());
    }

    fn judge_shoulders(&mut self, body: &Body, target: &Target) {
        let (width, corner) = (target.width, target.corner);
        let left = target.neck_axis - corner.left.x;
        let right = corner.right.x - target.neck_axis;
        let asymmetry = left.max(right) / left.min(right).max(1.0);
        self.doubt(asymmetry > 1.8, 0.6, || {
            "the shoulders are not symmetric".into()
        });
        let tilt = (corner.left.y - corner.right.y).abs();
        self.doubt(tilt > 0.22 * width, 0.6, || {
            "the shoulders are tilted".into()
        });
        let share = width / body.figure.width as f64;
        self.doubt(!(0.16..0.75).contains(&share), 0.4, || {
            format!("the shoulders span {:.0} % of the photo", 100.0 * share)
        });
    }

    fn judge_clothing(&mut self, clothing: &Clothing, width: f64) {
        let area = clothing.mask.count() as f64 / (width * width);
        self.doubt(!(0.25..3.2).contains(&area), 0.5, || {
            "the clothing could not be told from the rest".into()
        });
    }
}

/// The mean share of the top, left and right border that the figure covers.
fn border_share(figure: &Mask) -> f64 {
    let share = |count: usize, length: usize| count as f64 / length as f64;
    let top = figure.row(0).iter().filter(|&&set| set).count();
    let column = |x: usize| (0..figure.height).filter(|&y| figure[(x, y)]).count();
    let sides = column(0) + column(figure.width - 1);
    (share(top, figure.width) + share(sides, figure.height)) / 3.0
}

/// The share of the backdrop with strong edges; all of it if there is next to no backdrop.
fn backdrop_edges(body: &Body) -> f64 {
    let gradient = sobel_magnitude(&body.lab.channel(0));
    let outside = gradient.select(&dilate(&body.figure, 7).not());
    if outside.len() <= 200 {
        return 1.0;
    }
    outside.iter().filter(|&&g| g / 4.0 > 3.0).count() as f64 / outside.len() as f64
}

fn neck_width(figure: &Mask, target: &Target) -> f64 {
    let from = target.below(-0.35).max(0.0) as usize;
    let to = (target.below(-0.27).max(1.0) as usize).min(figure.height);
    let widths: Vec<f64> = (from..to)
        .map(|y| figure.row(y).iter().filter(|&&set| set).count() as f64)
        .collect();
    median(&widths)
}
