//! The person's silhouette on a plain backdrop: a colour surface is fitted to the frame of the
//! photo, what differs from it is the person, and soft shadows are given back to the backdrop.

use super::part::Parts;
use super::zone::Zone;
use crate::raster::blur::{gaussian, gaussian_color};
use crate::raster::color::rgb_to_lab;
use crate::raster::gradient::sobel_magnitude;
use crate::raster::label::{self, Connectivity};
use crate::raster::morphology::{close, dilate, open};
use crate::raster::order::{median, percentile};
use crate::raster::plane::{Color, Gray, Mask};
use crate::raster::run::extent;
use crate::raster::surface::{fit_surface, frame_mask};

/// Contrast thresholds, from the most inclusive silhouette to the strictest.
const THRESHOLDS: [f32; 7] = [2.2, 3.0, 4.0, 5.5, 7.5, 10.0, 14.0];

/// The person told from the backdrop.
#[derive(Debug, Clone)]
pub(crate) struct Separation {
    pub(crate) figure: Mask,
    pub(crate) backdrop: Backdrop,
}

/// How well the backdrop model explains the frame of the photo.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backdrop {
    /// Share of the frame that lies on the fitted surface.
    pub(crate) inliers: f64,
    /// Contrast to the surface that 70 % of the frame stays under.
    pub(crate) residual: f64,
}

/// The difference of every pixel to the backdrop.
struct Contrast {
    /// Weighted difference: brighter and coloured pixels count more, edges are added.
    weighted: Gray,
    /// Plain colour difference.
    plain: Gray,
    gradient: Gray,
    /// Flat, backdrop-coloured, a little darker: a shadow or a vignette.
    shadow: Mask,
    residual: f64,
}

/// Lab colours of an analysis copy, blurred a little against noise and compression.
pub(crate) fn smooth_lab(picture: &Color) -> Color {
    rgb_to_lab(&gaussian_color(picture, 0.7))
}

/// Separates the person in `lab` (from [`smooth_lab`]) from the backdrop.
pub(crate) fn separate(lab: &Color) -> Separation {
    let frame = frame_mask(lab.width, lab.height, 0.03, false);
    let surface = fit_surface(lab, &frame, 2, 10);
    let contrast = Contrast::new(lab, &surface.plane, &frame);
    let floor = (1.6 * contrast.residual).min(10.0) as f32;
    let candidates: Vec<Candidate> = THRESHOLDS
        .into_iter()
        .filter(|&threshold| threshold >= floor)
        .map(|threshold| Candidate::new(threshold, &contrast))
        .collect();
    Separation {
        figure: choose(&candidates),
        backdrop: Backdrop {
            inliers: f64::from(surface.inliers),
            residual: contrast.residual,
        },
    }
}

impl Contrast {
    fn new(lab: &Color, surface: &Color, frame: &Mask) -> Self {
        let lightness = lab.map(|c| c[0]);
        let gradient = sobel_magnitude(&lightness).map(|g| g / 4.0);
        let difference = lab.zip_with(surface, |&a, &b| [a[0] - b[0], a[1] - b[1], a[2] - b[2]]);
        let weighted = difference.zip_with(&gradient, |&[l, a, b], &g| {
            let brightness = if l > 0.0 { 1.5 * l } else { l };
            brightness.hypot(1.5 * a.hypot(b)) + 0.6 * (g - 1.0).max(0.0)
        });
        let shadow = shadow(&difference, &gaussian(&gradient, 1.0));
        let residual = percentile(&weighted.select(frame), 70.0);
        let plain = difference.map(|[l, a, b]| (l * l + a * a + b * b).sqrt());
        Self {
            weighted,
            plain,
            gradient,
            shadow,
            residual,
        }
    }
}

/// Pixels the backdrop may grow over, through openings of at least 5 px.
fn shadow(difference: &Color, gradient: &Gray) -> Mask {
    let flat = difference.zip_with(gradient, |&[l, a, b], &g| {
        let chroma = a.hypot(b);
        let darker = l > -32.0;
        darker && ((g < 1.1 && chroma < 6.0 && l < 1.5) || (g < 0.7 && chroma < 4.0 && l < 9.0))
    });
    open(&flat, 2)
}

/// The silhouette at one contrast threshold.
struct Candidate {
    threshold: f32,
    figure: Mask,
}

impl Candidate {
    fn new(threshold: f32, contrast: &Contrast) -> Self {
        let foreground = contrast.weighted.map(|&d| d >= threshold);
        let closed = close(&foreground.pad(8, false), 2).unpad(8);
        let loose = solid(&reachable(&closed.not()).not());
        let tight = solid(&reachable(&loose.not().or(&contrast.shadow)).not());
        let open_gaps = tight.and(&enclosed(threshold, contrast, &tight).not());
        Self {
            threshold,
            figure: restore_torso(&loose, open_gaps),
        }
    }
}

/// `free` pixels connected to the top, left or right border; the person stands on the bottom one.
fn reachable(free: &Mask) -> Mask {
    label::connected_to_border(free, label::Border { bottom: false })
}

fn solid(mask: &Mask) -> Mask {
    label::keep_largest(&open(mask, 2), 0.15)
}

/// Backdrop seen through the figure: between arm and torso, between the legs.
fn enclosed(threshold: f32, contrast: &Contrast, figure: &Mask) -> Mask {
    let similar = contrast
        .weighted
        .zip_with(&contrast.plain, |&d, &p| d < 0.8 * threshold || p < 3.5);
    let flat = contrast.gradient.map(|&g| g < 2.0);
    let candidates = open(&figure.and(&similar).and(&flat), 2);
    let limit = (1.6 * contrast.residual).max(2.0);
    let least = 0.0008 * figure.data.len() as f64;
    let parts = Parts::new(&candidates, Connectivity::Four);
    let means = parts.means(&contrast.plain);
    let gaps = parts.select(|index, part| part.area as f64 > least && means[index] < limit);
    dilate(&gaps, 2)
}

/// Undoes the shadow growth where it ate into the torso.
fn restore_torso(loose: &Mask, tight: Mask) -> Mask {
    let removed = loose.and(&tight.not());
    let Some(trunk) = Trunk::find(&tight) else {
        return loose.clone();
    };
    let core = trunk.zone(&tight, (0.22, 0.5), 0.18);
    let limit = 0.15 * core.count() as f64;
    let parts = Parts::new(&removed, Connectivity::Four);
    let overlap = parts.overlap(&core);
    let eaten = parts.select(|index, _| overlap[index] as f64 > limit);
    if !eaten.any() {
        return tight;
    }
    let zone = trunk.zone(&tight, (0.12, 0.6), 0.42);
    label::keep_largest(&open(&tight.or(&eaten.and(&zone)), 2), 0.15)
}

/// A rough frame of the upper body in a silhouette.
struct Trunk {
    top: f64,
    height: f64,
    axis: f64,
    width: f64,
}

impl Trunk {
    fn find(figure: &Mask) -> Option<Self> {
        let bounds = figure.bounds()?;
        let height = bounds.height() - 1;
        let upper = bounds.y0..(bounds.y0 + (height / 2).max(4)).min(figure.height);
        let runs: Vec<_> = upper.filter_map(|y| extent(figure, y)).collect();
        let centers: Vec<f64> = runs.iter().map(|run| run.center()).collect();
        let widths: Vec<f64> = runs.iter().map(|run| run.len() as f64 - 1.0).collect();
        Some(Self {
            top: bounds.y0 as f64,
            height: height as f64,
            axis: median(&centers),
            width: percentile(&widths, 80.0),
        })
    }

    /// The box between two fractions of the height, `reach` widths to both sides of the axis.
    fn zone(&self, shape: &Mask, (from, to): (f64, f64), reach: f64) -> Mask {
        let all = Mask::new(shape.width, shape.height, true);
        let columns = (
            self.axis - reach * self.width,
            self.axis + reach * self.width,
        );
        let rows = (self.top + from * self.height, self.top + to * self.height);
        Zone::new(shape, columns, rows).of(&all)
    }
}

/// The strictest silhouette that has not yet begun to eat the person.
fn choose(candidates: &[Candidate]) -> Mask {
    let coverage = |candidate: &Candidate| candidate.figure.coverage();
    let plausible = |candidate: &&Candidate| (0.04..0.85).contains(&coverage(candidate));
    let usable: Vec<&Candidate> = candidates.iter().filter(plausible).collect();
    let Some(loosest) = usable.first().copied().or(candidates.first()) else {
        unreachable!("BUG: the strictest threshold is always tried");
    };
    let loose: Vec<f64> = usable
        .iter()
        .filter(|c| c.threshold <= 5.5)
        .map(|c| coverage(c))
        .collect();
    let usual = if loose.is_empty() {
        coverage(loosest)
    } else {
        median(&loose)
    };
    let holds = |c: &&&Candidate| {
        c.threshold <= 7.5 && (0.97 * usual..=1.08 * usual).contains(&coverage(c))
    };
    usable
        .iter()
        .rev()
        .find(holds)
        .map_or(loosest, |c| *c)
        .figure
        .clone()
}
