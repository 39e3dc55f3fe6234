//! The meshes for sleeves: ribbons between the outer and the inner contour, laid along the arms.

use super::Mesh;
use super::anchor::{Anchors, Fitting};
use super::contour::{arc, nearest};
use super::upper::Extent;
use crate::body::thickness;
use crate::garment::Sleeve;
use crate::geometry::{Curve, Point, Side, Sides, clamp, even};
use crate::raster::blur::gaussian1d_nearest;
use crate::raster::polygon::contour;

/// Stations along the sleeve, from the shoulder to the cuff.
const STATIONS: [f64; 8] = [0.0, 0.12, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0];
/// Columns across, from the outer (0) to the inner edge (1) and somewhat beyond.
const COLUMNS: [f64; 8] = [-0.14, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.14];
/// How far the mesh reaches past the cuff, in steps between stations.
const PAST_CUFF: f64 = 0.25;

/// One mesh per sleeve, if the garment has sleeves.
pub(super) fn sleeve_meshes(fitting: &Fitting<'_>, anchors: &Anchors) -> Option<Sides<Mesh>> {
    let sleeves = fitting.garment.sleeves.as_ref()?;
    let outline: Vec<Point> = contour(fitting.mask).into_iter().map(Point::from).collect();
    Some(Sides::from_fn(|side| {
        let source = source_edges(fitting, &sleeves[side], &outline, side);
        let arm = ArmSide {
            fitting,
            anchors,
            side,
        };
        let target = arm.edges(&sleeves[side], source.outer.length());
        ribbon(&source, &target)
    }))
}

/// The outer and the inner edge of a sleeve, both from the body to the cuff.
struct Edges {
    outer: Curve,
    inner: Curve,
}

fn source_edges(fitting: &Fitting<'_>, sleeve: &Sleeve, outline: &[Point], side: Side) -> Edges {
    let garment = fitting.garment;
    let (shoulder, armpit) = (garment.shoulder[side], garment.armpit[side]);
    let [at_shoulder, at_armpit, at_outer, at_inner] =
        [shoulder, armpit, sleeve.outer, sleeve.inner].map(|p| nearest(outline, p));
    let (mut outer, mut inner) = match garment.notch.map(|notch| notch[side]) {
        Some(notch) => {
            let at_notch = nearest(outline, notch);
            let lower = arc(outline, at_notch, at_inner, at_shoulder);
            let inner = if 2 * lower.len() < outline.len() {
                let seam = even(0.0, 1.0, 12)
                    .into_iter()
                    .map(|t| armpit.toward(notch, t));
                seam.chain(lower).collect()
            } else {
                vec![armpit, notch, sleeve.inner]
            };
            (arc(outline, at_shoulder, at_outer, at_notch), inner)
        }
        None => (
            arc(outline, at_shoulder, at_outer, at_armpit),
            arc(outline, at_armpit, at_inner, at_shoulder),
        ),
    };
    if Curve::new(outer.clone()).length() < 4.0 || Curve::new(inner.clone()).length() < 1.0 {
        outer = vec![shoulder, sleeve.outer];
        inner = vec![armpit, sleeve.inner];
    }
    pin(&mut outer, shoulder);
    pin(&mut inner, armpit);
    Edges {
        outer: Curve::new(outer),
        inner: Curve::new(inner),
    }
}

/// Makes the edge begin exactly at its landmark.
fn pin(points: &mut [Point], landmark: Point) {
    if let Some(first) = points.first_mut() {
        *first = landmark;
    }
}

/// The arm a sleeve goes onto.
struct ArmSide<'a> {
    fitting: &'a Fitting<'a>,
    anchors: &'a Anchors,
    side: Side,
}

impl ArmSide<'_> {
    /// The edges on the body: along the arm outside, straight from the armpit inside.
    fn edges(&self, sleeve: &Sleeve, source_length: f64) -> Edges {
        let width = self.fitting.target.width;
        let along_arm = self.outer_path();
        let length = self.length(source_length).min(along_arm.length());
        let outer = along_arm.cut(length);
        let cuff = outer[outer.len() - 1];
        let before = outer[outer.len().saturating_sub(1 + (0.10 * width) as usize)];
        let mut inward = (cuff - before).unit().normal();
        if self.side.sign() * inward.x >= 0.0 {
            inward = -inward;
        }
        let arm = thickness(
            self.fitting.figure,
            cuff + inward * (0.02 * width),
            inward,
            width,
        );
        let natural = sleeve.outer.distance(sleeve.inner) * self.fitting.along;
        let opening = clamp(
            natural,
            1.16 * arm + 0.02 * width,
            1.45 * arm + 0.02 * width,
        );
        let mut inner_cuff = cuff + inward * opening;
        // The cuff of a hanging sleeve is cut aslant: its inner corner stays below the armpit.
        let armpit = self.anchors.armpit[self.side];
        inner_cuff.y = inner_cuff.y.max(armpit.y + 0.04 * width);
        Edges {
            outer: Curve::new(outer),
            inner: Curve::new(vec![armpit, inner_cuff]),
        }
    }

    /// How long the sleeve is on the arm; long sleeves end at the wrist.
    fn length(&self, source_length: f64) -> f64 {
        let (fitting, width) = (self.fitting, self.fitting.target.width);
        let body_length = fitting.garment.hem_center.y - fitting.neck_row();
        let natural = source_length * fitting.along * 1.22;
        let long = fitting.extent == Extent::Torso && source_length > 0.78 * body_length;
        if long || natural > 1.2 * width {
            1.45 * width
        } else {
            natural
        }
    }

    /// From the shoulder anchor to the corner of the shoulder and on along the arm.
    fn outer_path(&self) -> Curve {
        let shoulder = self.anchors.shoulder[self.side];
        let arm = self.ease(&self.arm_outline());
        let over_shoulder = [0.2, 0.4, 0.6, 0.8].map(|t| {
            let point = shoulder.toward(arm[0], t);
            Point::new(point.x, point.y.min(self.fitting.target.slope.y(point.x)))
        });
        let mut path = vec![shoulder];
        path.extend(over_shoulder);
        path.extend(arm);
        Curve::new(path)
    }

    /// The outline of the figure from the corner of the shoulder down the arm.
    fn arm_outline(&self) -> Vec<Point> {
        let target = self.fitting.target;
        let outline = &target.outline;
        let (count, start) = (outline.len(), nearest(outline, target.corner[self.side]));
        let forward = self.walks_forward(start);
        let steps = (2.2 * target.width) as usize;
        let index = |t: usize| {
            let t = t % count;
            (start + if forward { t } else { count - t }) % count
        };
        let walk: Vec<Point> = (0..steps).map(|t| outline[index(t)]).collect();
        let walk = smooth(&walk, 2.0);
        let end = (5..walk.len())
            .find(|&t| self.leaves_arm(&walk, t))
            .unwrap_or(walk.len());
        walk[..end.max(3)].to_vec()
    }

    /// Whether the outline runs outwards past the corner of the shoulder in its own order.
    fn walks_forward(&self, corner_index: usize) -> bool {
        let target = self.fitting.target;
        let (outline, corner) = (&target.outline, target.corner[self.side]);
        let count = outline.len();
        let over = Point::new(0.0, -0.01 * target.width);
        let shoulder_index = nearest(outline, self.anchors.shoulder[self.side] + over);
        let ahead = (corner_index + count - shoulder_index) % count;
        if ahead.min(count - ahead) >= 3 {
            return ahead <= count - ahead;
        }
        let probe = outline[(corner_index + (0.15 * target.width) as usize) % count];
        let outside = self.side.sign() * (probe.x - target.axis) > 0.2 * target.width;
        probe.y > corner.y && outside
    }

    /// At the border of the picture, or where the outline turns up again: past the hand.
    fn leaves_arm(&self, walk: &[Point], t: usize) -> bool {
        let (figure, width) = (self.fitting.figure, self.fitting.target.width);
        let point = walk[t];
        let at_border = point.x <= 1.0
            || point.x >= figure.width as f64 - 2.0
            || point.y >= figure.height as f64 - 2.0;
        let before = walk[t.saturating_sub((0.2 * width) as usize)];
        at_border || (t as f64 > 0.6 * width && point.y < before.y - 0.05 * width)
    }

    /// Moves the outline outwards a little: cloth lies on the arm, looser further down.
    fn ease(&self, arm: &[Point]) -> Vec<Point> {
        let width = self.fitting.target.width;
        let tangents: Vec<Point> = (0..arm.len())
            .map(|t| (arm[(t + 1).min(arm.len() - 1)] - arm[t.saturating_sub(1)]).unit())
            .collect();
        let normals: Vec<Point> = smooth(&tangents, 0.03 * width)
            .iter()
            .map(|t| t.normal())
            .collect();
        let outward: f64 = normals.iter().map(|n| self.side.sign() * n.x).sum();
        let sign = if outward < 0.0 { -1.0 } else { 1.0 };
        let ease = |t: usize| 0.020 * width * sign * clamp(t as f64 / (0.10 * width), 0.4, 1.0);
        arm.iter()
            .zip(&normals)
            .enumerate()
            .map(|(t, (&point, &normal))| point + normal * ease(t))
            .collect()
    }
}

fn smooth(points: &[Point], sigma: f64) -> Vec<Point> {
    let (xs, ys): (Vec<f64>, Vec<f64>) = points.iter().map(|p| (p.x, p.y)).unzip();
    let xs = gaussian1d_nearest(&xs, sigma);
    let ys = gaussian1d_nearest(&ys, sigma);
    xs.into_iter()
        .zip(ys)
        .map(|(x, y)| Point::new(x, y))
        .collect()
}

/// The mesh between two pairs of edges.
fn ribbon(source: &Edges, target: &Edges) -> Mesh {
    let mut mesh = Mesh::new(COLUMNS.len());
    let [source_outer, source_inner, target_outer, target_inner] =
        [&source.outer, &source.inner, &target.outer, &target.inner]
            .map(|edge| edge.at_fractions(&STATIONS));
    for i in 0..STATIONS.len() {
        mesh.push_row(COLUMNS.map(|v| {
            let on_garment = source_outer[i].toward(source_inner[i], v);
            (on_garment, target_outer[i].toward(target_inner[i], v))
        }));
    }
    extend_past_cuff(&mut mesh);
    mesh
}

fn extend_past_cuff(mesh: &mut Mesh) {
    let last = mesh.source.len() - mesh.columns;
    let before = last - mesh.columns;
    let extend =
        |points: &[Point], i: usize| points[before + i].toward(points[last + i], 1.0 + PAST_CUFF);
    let row: Vec<_> = (0..mesh.columns)
        .map(|i| (extend(&mesh.source, i), extend(&mesh.target, i)))
        .collect();
    mesh.push_row(row);
}
