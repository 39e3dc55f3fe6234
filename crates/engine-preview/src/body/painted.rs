//! A body whose clothing region is painted over: what is hidden is inferred from what is not.

use super::Body;
use super::face::{Face, PaintedBox, find_face};
use super::shoulder::{Shoulders, find_shoulders};
use super::silhouette::{Separation, separate, smooth_lab};
use super::template::{Pose, trunk_edge};
use crate::geometry::{Point, Sides, clamp};
use crate::raster::color::rgb_to_lab;
use crate::raster::label::keep_largest;
use crate::raster::membrane;
use crate::raster::morphology::{close, dilate, dilate_square};
use crate::raster::order::percentile;
use crate::raster::plane::{Color, Mask};
use crate::raster::run::{Run, central_run, extent};
use crate::raster::sample::{resize_area, resize_mask_area};

/// A painted region that fills its box like this is a box, not the shape of a garment.
const BOX_FILL: f64 = 0.86;
/// A body's shoulders are about this many faces wide.
const SHOULDERS_PER_FACE: f64 = 2.75;

/// Half a neck is this much of a face wide.
const NECK_PER_FACE: f64 = 0.37;

/// A body and what is known of it beside a painted region.
#[derive(Debug, Clone)]
pub(crate) struct PaintedBody {
    pub(crate) body: Body,
    /// The painted region.
    pub(crate) painted: Mask,
    pub(crate) face: Option<Face>,
    /// The mannequin, where the region says nothing about the body's shape.
    pub(crate) mannequin: Option<Mask>,
    /// The backdrop is plain enough for the visible figure to be trusted.
    pub(crate) plain: bool,
}

/// The analysis copy with the paint removed, and the paint.
struct Clean {
    picture: Color,
    painted: Mask,
    /// Share of its box that the region fills.
    fill: f64,
}

/// Analyses a `person` painted over in `mask`, both at full size, on copies of `size` pixels.
pub(crate) fn analyse_painted(
    person: &Color,
    mask: &Mask,
    size: (usize, usize),
) -> Option<PaintedBody> {
    let clean = Clean::new(person, mask, size)?;
    let separation = separate(&smooth_lab(&clean.picture));
    let coverage = separation.figure.coverage();
    let plain = separation.backdrop.inliers > 0.72
        && separation.backdrop.residual < 6.0
        && (0.04..0.7).contains(&coverage);
    let figure = plain.then_some(&separation.figure);
    let face = find_face(&clean.picture, &clean.painted, figure);
    let seen = Seen {
        clean: &clean,
        figure,
        face: face.as_ref(),
    };
    let shape = if clean.fill > BOX_FILL || seen.is_loose() {
        seen.fit_mannequin()?
    } else {
        seen.follow_region()?
    };
    Some(PaintedBody {
        body: body(&clean.picture, &shape, &separation),
        painted: clean.painted,
        face,
        mannequin: shape.mannequin,
        plain,
    })
}

/// The silhouette and the shoulders, found one way or the other.
struct Shape {
    figure: Mask,
    shoulders: Shoulders,
    mannequin: Option<Mask>,
}

fn body(picture: &Color, shape: &Shape, separation: &Separation) -> Body {
    Body {
        lab: rgb_to_lab(picture),
        picture: picture.clone(),
        figure: shape.figure.clone(),
        shoulders: shape.shoulders.clone(),
        backdrop: separation.backdrop,
    }
}

impl Clean {
    /// Averages the unpainted pixels alone and fills what has none, so that no paint leaks into
    /// any measure.
    fn new(person: &Color, mask: &Mask, (width, height): (usize, usize)) -> Option<Self> {
        let known = dilate_square(mask, 2).not().to_gray();
        let visible = person.zip_with(&known, |&color, &k| color.map(|c| c * k));
        let weight = resize_area(&known, width, height);
        let hole = weight.map(|&w| w < 0.25);
        let sum = resize_area(&visible, width, height);
        let averaged = sum.zip_with(&weight, |&color, &w| color.map(|c| c / w.max(1e-3)));
        let filled = membrane::fill(&averaged, &hole);
        let bounds = mask.bounds()?;
        let painted = resize_mask_area(mask, width, height);
        painted.any().then(|| Self {
            picture: filled.map(|color| color.map(|c| c.round().clamp(0.0, 255.0))),
            painted,
            fill: mask.count() as f64 / (bounds.width() * bounds.height()) as f64,
        })
    }
}

/// What can be seen beside the painted region.
struct Seen<'a> {
    clean: &'a Clean,
    figure: Option<&'a Mask>,
    face: Option<&'a Face>,
}

impl Seen<'_> {
    /// A region much wider than the face allows is a loose blob around the body.
    fn is_loose(&self) -> bool {
        let Some(face) = self.face else { return false };
        let widths: Vec<f64> = self
            .clean
            .painted
            .rows()
            .map(|row| row.iter().filter(|&&set| set).count() as f64)
            .collect();
        let Some(bounds) = self.clean.painted.bounds() else {
            return false;
        };
        let usual = percentile(&widths[bounds.y0..bounds.y1], 80.0);
        usual > 1.45 * SHOULDERS_PER_FACE * face.width
    }

    /// The region has the shape of a garment: it is part of the silhouette.
    fn follow_region(&self) -> Option<Shape> {
        let seen = match (self.figure, self.face) {
            (Some(figure), _) => self.clean.painted.or(figure),
            (None, Some(face)) => self.clean.painted.or(&face.mask),
            (None, None) => self.clean.painted.clone(),
        };
        let figure = keep_largest(&close(&seen.pad(6, false), 2).unpad(6), 0.2);
        let shoulders = find_shoulders(&self.clean.picture, &figure)?;
        Some(Shape {
            figure,
            shoulders,
            mannequin: None,
        })
    }

    /// The region is a box: a mannequin stands in it, fitted to the face and what hangs out below.
    fn fit_mannequin(&self) -> Option<Shape> {
        let painted = &self.clean.painted;
        let frame = PaintedBox::find(painted)?;
        let mut pose = self.stand(frame);
        if let Some((row, run)) = self.figure_below(&pose, frame) {
            if let Some(hips) = self.hips(&pose, row, run) {
                let both = (pose.width * hips).sqrt();
                pose.width = clamp(both, 0.85 * pose.width, 1.15 * pose.width);
            }
            fit_width(&mut pose, run);
            pose.bend = pose.find_bend(row, run.start as f64, run.end as f64);
        }
        let by_face = self
            .face
            .map(|face| (NECK_PER_FACE * face.width).min(0.125 * pose.width));
        pose.half_neck = self.half_neck(&pose, frame).or(by_face);
        if pose.width < 12.0 {
            return None;
        }
        let mannequin = pose.draw(painted);
        let mut figure = mannequin.and(&dilate(painted, 3));
        if let Some(seen) = self.figure {
            figure = figure.or(&seen.and(&painted.not()));
        }
        if let Some(face) = self.face {
            figure = figure.or(&face.mask);
        }
        let shoulders = self.shoulders(&pose, frame);
        Some(Shape {
            figure,
            shoulders,
            mannequin: Some(mannequin),
        })
    }

    /// Where the mannequin stands: under the face, or in the middle of the box.
    fn stand(&self, frame: PaintedBox) -> Pose {
        let unit = frame.width();
        let Some(face) = self.face else {
            let width = 0.74 * unit;
            let shoulder_y = frame.top + 0.20 * width;
            return Pose {
                axis: frame.axis(),
                shoulder_y,
                width,
                bend: None,
                half_neck: None,
            };
        };
        let width = clamp(SHOULDERS_PER_FACE * face.width, 0.50 * unit, 0.93 * unit);
        let axis = clamp(face.x, frame.left + 0.3 * unit, frame.right - 0.3 * unit);
        let under_chin = face.chin + 0.29 * width;
        let shoulder_y = clamp(
            under_chin,
            frame.top + 0.05 * width,
            frame.top + 0.33 * width,
        );
        Pose {
            axis,
            shoulder_y,
            width,
            bend: None,
            half_neck: None,
        }
    }

    /// Half the width of the neck just above the box, if a neck is what is seen there.
    fn half_neck(&self, pose: &Pose, frame: PaintedBox) -> Option<f64> {
        let row = frame.top - 3.0;
        if row < 0.0 || row > pose.shoulder_y - 0.12 * pose.width {
            return None;
        }
        let run = central_run(self.figure?, row as usize, pose.axis)?;
        let half = run.len() as f64 / 2.0;
        (0.08..0.18).contains(&(half / pose.width)).then_some(half)
    }

    /// The figure just below the box, where that is between the chest and the hands.
    fn figure_below(&self, pose: &Pose, frame: PaintedBox) -> Option<(f64, Run)> {
        let figure = self.figure?;
        let row = (frame.bottom + 4.0).min(figure.height as f64 - 2.0);
        let depth = (row - pose.shoulder_y) / pose.width;
        if depth <= 0.5 || depth >= 1.65 {
            return None;
        }
        Some((row, extent(figure, row as usize)?))
    }

    /// The width of shoulders over the trunk seen in `row`, where gaps part that from the arms.
    fn hips(&self, pose: &Pose, row: f64, figure: Run) -> Option<f64> {
        let trunk = central_run(self.figure?, row as usize, pose.axis)?;
        let parted = trunk.start > figure.start && trunk.end < figure.end;
        let depth = (row - pose.shoulder_y) / pose.width;
        parted.then(|| trunk.len() as f64 / (2.0 * trunk_edge(depth)))
    }

    fn shoulders(&self, pose: &Pose, frame: PaintedBox) -> Shoulders {
        let top = self
            .face
            .map_or(frame.top - 0.9 * pose.width, |f| f.top - 0.2 * pose.width);
        let corner = |side: f64| Point::new(pose.axis + side * 0.49 * pose.width, pose.shoulder_y);
        Shoulders {
            neck_axis: pose.axis,
            corner: Sides::new(corner(-1.0), corner(1.0)),
            top,
        }
    }
}

/// Brings the width nearer to that of the figure seen below the box.
fn fit_width(pose: &mut Pose, run: Run) {
    let seen = (run.end - run.start) as f64;
    if seen > 0.6 * pose.width && seen < 1.6 * pose.width {
        let fitted = clamp(pose.width, 0.80 * seen / 1.08, seen / 1.08);
        pose.width = clamp(fitted, 0.8 * pose.width, 1.15 * pose.width);
    }
}
