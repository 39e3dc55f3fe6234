//! The plan for bottoms: a ribbon for each half, from the waistband to the ankle.

use super::Mesh;
use crate::body::Target;
use crate::garment::{LowerGarment, LowerLandmarks};
use crate::geometry::{Point, Side, Sides, clamp, even, interpolate};
use crate::raster::plane::Mask;
use crate::raster::run::{Run, central_run, extent, runs};

/// Columns across a half, from the outer (0) to the inner edge (1).
const COLUMNS: [f64; 6] = [-0.12, 0.0, 0.25, 0.5, 0.75, 1.0];
/// Depth under the waistband and the usual half width of legs and hips there, in shoulder widths.
const DEPTHS: [f64; 5] = [0.0, 0.35, 0.6, 1.3, 2.3];
const HALF_WIDTH: [f64; 5] = [0.33, 0.40, 0.41, 0.33, 0.24];

/// How bottoms are laid onto the body, in analysis pixels of the person.
#[derive(Debug, Clone)]
pub(crate) struct LowerPlan {
    pub(crate) halves: Sides<Mesh>,
    /// The row of the waistband.
    pub(crate) waist_y: f64,
    pub(crate) hem_y: f64,
    /// The row of the ankles.
    pub(crate) ankle_y: f64,
}

/// Plans `garment` on the body; `waist` is the row of the old waistband where one is seen.
pub(crate) fn plan_lower(
    garment: &LowerGarment,
    target: &Target,
    figure: &Mask,
    waist: Option<f64>,
) -> LowerPlan {
    let waist_y = waist_row(target, waist);
    let legs = Legs::find(target, figure, waist_y);
    let mut fitting = LowerFitting {
        landmarks: &garment.landmarks,
        mask: &garment.cutout.small_mask,
        target,
        figure,
        waist_y,
        legs,
        hem_y: 0.0,
    };
    fitting.hem_y = fitting.hem();
    LowerPlan {
        halves: Sides::from_fn(|side| fitting.half_mesh(side)),
        waist_y,
        hem_y: fitting.hem_y,
        ankle_y: legs.ankle_y,
    }
}

/// The rows of the waistband and of the ankles; `waist` as for [`plan_lower`].
pub(crate) fn lower_rows(target: &Target, figure: &Mask, waist: Option<f64>) -> (f64, f64) {
    let waist_y = waist_row(target, waist);
    (waist_y, Legs::find(target, figure, waist_y).ankle_y)
}

fn waist_row(target: &Target, seen: Option<f64>) -> f64 {
    seen.unwrap_or_else(|| target.below(0.98))
}

/// The legs of a figure.
#[derive(Debug, Clone, Copy)]
struct Legs {
    ankle_y: f64,
    crotch_y: f64,
    /// The column between the legs.
    middle: f64,
}

impl Legs {
    fn find(target: &Target, figure: &Mask, waist_y: f64) -> Self {
        let width = target.width;
        let bottom = (0..figure.height)
            .rfind(|&y| figure.row(y).contains(&true))
            .unwrap_or(figure.height - 1) as f64;
        let feet_seen =
            bottom < figure.height as f64 - 3.0 && bottom - target.shoulder_y > 2.3 * width;
        let ankle_y = if feet_seen {
            bottom - 0.10 * width
        } else {
            target.below(3.35)
        };
        let usual = if feet_seen {
            waist_y + 0.31 * (ankle_y - waist_y)
        } else {
            target.below(1.52)
        };
        match find_gap(target, figure, waist_y) {
            Some((row, middle)) if row <= usual + 0.5 * width => Self {
                ankle_y,
                crotch_y: row.min(usual + 0.12 * width),
                middle,
            },
            _ => Self {
                ankle_y,
                crotch_y: usual,
                middle: target.axis,
            },
        }
    }
}

/// The first row with a gap between two legs, and the middle of the gap.
fn find_gap(target: &Target, figure: &Mask, waist_y: f64) -> Option<(f64, f64)> {
    let (axis, width) = (target.axis, target.width);
    let clip = |x: f64| (x.max(0.0) as usize).min(figure.width);
    let columns = |from: f64, to: f64| clip(axis + from * width)..clip(axis + to * width);
    let first = (waist_y + 0.30 * width).max(0.0) as usize;
    let last = (target.below(2.6).max(0.0) as usize).min(figure.height - 1);
    (first..last).find_map(|y| {
        let row = figure.row(y);
        let legs =
            row[columns(-0.45, -0.05)].contains(&true) && row[columns(0.05, 0.45)].contains(&true);
        let gap: Vec<usize> = columns(-0.14, 0.14).filter(|&x| !row[x]).collect();
        let middle = gap.iter().sum::<usize>() as f64 / gap.len() as f64;
        (legs && gap.len() >= 2).then_some((y as f64, middle))
    })
}

struct LowerFitting<'a> {
    landmarks: &'a LowerLandmarks,
    mask: &'a Mask,
    target: &'a Target,
    figure: &'a Mask,
    waist_y: f64,
    hem_y: f64,
    legs: Legs,
}

impl LowerFitting<'_> {
    /// The row of the hem on the body.
    fn hem(&self) -> f64 {
        let garment = self.landmarks;
        let waist = (garment.waist.right.x - garment.waist.left.x).max(1.0);
        let slenderness = garment.height() / waist;
        let Some(crotch) = garment.crotch else {
            let length = slenderness * self.body_waist();
            let width = self.target.width;
            return self.waist_y + clamp(length, 0.55 * width, 2.3 * width);
        };
        let leg = garment.bottom - crotch.y;
        let proportion = leg / (crotch.y - garment.top).max(1.0);
        if proportion > 1.35 || slenderness > 2.3 {
            self.legs.ankle_y
        } else {
            let share = clamp(proportion / 2.4, 0.12, 1.0);
            self.legs.crotch_y + (self.legs.ankle_y - self.legs.crotch_y) * share
        }
    }

    /// The width of the body just below the waistband.
    fn body_waist(&self) -> f64 {
        let row = self.waist_y + 0.03 * self.target.width;
        self.outer(row, Side::Right) - self.outer(row, Side::Left)
    }

    /// The outer edge of hip and leg at row `y`.
    fn outer(&self, y: f64, side: Side) -> f64 {
        let (target, width) = (self.target, self.target.width);
        let natural = interpolate((y - self.waist_y) / width, &DEPTHS, &HALF_WIDTH) * width;
        let last = target.torso.rows().end as f64 - 3.0;
        let x = if y <= last {
            target.torso.side(side, y)
        } else {
            self.leg_run(y, side, 0.15)
                .map_or(target.axis + side.sign() * natural, |run| run.edge(side))
        };
        let half = clamp(
            side.sign() * (x - target.axis),
            0.80 * natural,
            1.18 * natural,
        );
        target.axis + side.sign() * half
    }

    /// The run of the figure at row `y` that holds one leg; none below the picture.
    fn leg_run(&self, y: f64, side: Side, reach: f64) -> Option<Run> {
        if y >= self.figure.height as f64 - 1.0 {
            return None;
        }
        let x = self.target.axis + side.sign() * reach * self.target.width;
        central_run(self.figure, y.max(0.0) as usize, x)
    }

    fn half_mesh(&self, side: Side) -> Mesh {
        let mut mesh = Mesh::new(COLUMNS.len());
        let mut rows = vec![-0.04];
        rows.extend(even(0.0, 1.0, 16));
        rows.push(1.03);
        for f in rows {
            let source_y = self.landmarks.top + f * self.landmarks.height();
            let depth = self.body_depth(f);
            let target_y =
                self.waist_y - 0.01 * self.target.width + depth * (self.hem_y - self.waist_y);
            let (source_outer, source_inner) = self.source_edges(source_y, side);
            let target_outer = self.target_outer(target_y, side, source_outer);
            let target_inner = self.target_inner(target_y, side);
            mesh.push_row(COLUMNS.map(|v| {
                let source = source_outer + (source_inner - source_outer) * v;
                let target = target_outer + (target_inner - target_outer) * v;
                (Point::new(source, source_y), Point::new(target, target_y))
            }));
        }
        mesh
    }

    /// The fraction of the body's length at which fraction `f` of the garment goes: crotch goes to
    /// crotch.
    fn body_depth(&self, f: f64) -> f64 {
        let Some(crotch) = self.landmarks.crotch else {
            return f;
        };
        let on_garment = (crotch.y - self.landmarks.top) / self.landmarks.height();
        let on_body = (self.legs.crotch_y - self.waist_y) / (self.hem_y - self.waist_y);
        let knots = [-0.04, 0.0, on_garment, 1.0, 1.03];
        interpolate(f, &knots, &[-0.04, 0.0, on_body, 1.0, 1.03])
    }

    /// The outer and the inner edge of one half of the garment.
    fn source_edges(&self, y: f64, side: Side) -> (f64, f64) {
        let garment = self.landmarks;
        let row = clamp(y, garment.top + 1.0, garment.bottom - 2.0) as usize;
        let row = row.min(self.mask.height - 1);
        let own: Vec<Run> = runs(self.mask, row)
            .into_iter()
            .filter_map(|run| run.beside(garment.axis, side))
            .collect();
        let fallback = garment.axis + side.sign() * 2.0;
        let outer = extent(self.mask, row)
            .map(|run| run.edge(side))
            .filter(|&x| side.sign() * (x - garment.axis) >= 0.0)
            .unwrap_or(fallback);
        let split = garment.crotch.is_some_and(|crotch| y > crotch.y);
        let innermost = match side {
            Side::Left => own.last().map(|run| run.end as f64),
            Side::Right => own.first().map(|run| run.start as f64),
        };
        let inner = if split {
            innermost.unwrap_or(fallback)
        } else {
            garment.axis
        };
        (outer, inner)
    }

    fn target_outer(&self, y: f64, side: Side, source_outer: f64) -> f64 {
        let (target, width) = (self.target, self.target.width);
        let fitted = self.outer(y, side) + side.sign() * 0.012 * width;
        if self.landmarks.crotch.is_some() {
            return fitted;
        }
        // A skirt keeps its own flare.
        let waist = (self.landmarks.waist.right.x - self.landmarks.waist.left.x).max(1.0);
        let own = (source_outer - self.landmarks.axis).abs() * self.body_waist() / waist;
        let hip = (fitted - target.axis).abs();
        let least = if y < self.waist_y + 0.6 * width {
            hip
        } else {
            0.0
        };
        target.axis + side.sign() * own.min(1.9 * hip).max(least)
    }

    /// The inner edge: the gap between the legs where one is seen, else the middle.
    fn target_inner(&self, y: f64, side: Side) -> f64 {
        let (axis, width) = (self.target.axis, self.target.width);
        let Legs {
            crotch_y, middle, ..
        } = self.legs;
        if self.landmarks.crotch.is_some() && y > crotch_y {
            return self.inner_leg(y, side);
        }
        if y > crotch_y - 0.25 * width {
            return middle;
        }
        let share = (y - self.waist_y) / (crotch_y - self.waist_y).max(1.0);
        axis + (middle - axis) * clamp(share, 0.0, 1.0)
    }

    fn inner_leg(&self, y: f64, side: Side) -> f64 {
        let (middle, width) = (self.legs.middle, self.target.width);
        if y >= self.figure.height as f64 - 1.0 {
            return middle + side.sign() * 0.03 * width;
        }
        let seen = self
            .leg_run(y, side, 0.18)
            .map_or(middle + side.sign() * 0.02 * width, |run| {
                run.edge(side.other())
            });
        let reach = clamp(side.sign() * (seen - middle), 0.0, 0.22 * width);
        middle + side.sign() * (reach - 0.010 * width)
    }
}
