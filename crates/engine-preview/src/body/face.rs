//! The face above a painted region: the best compact patch of skin.

use crate::raster::blur::gaussian1d;
use crate::raster::color::skin_rule;
use crate::raster::label::{Component, Connectivity, component_mask, label};
use crate::raster::morphology::{close, open};
use crate::raster::order::{median, percentile};
use crate::raster::plane::{Color, Mask};

use super::zone::Zone;

/// A face, in analysis pixels.
#[derive(Debug, Clone)]
pub(crate) struct Face {
    /// Its axis.
    pub(crate) x: f64,
    pub(crate) width: f64,
    pub(crate) top: f64,
    /// The row of the chin.
    pub(crate) chin: f64,
    pub(crate) mask: Mask,
}

/// The box of the painted region: what a face is measured against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PaintedBox {
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
}

impl PaintedBox {
    /// The box around `painted`, unless that is empty.
    pub(crate) fn find(painted: &Mask) -> Option<Self> {
        let bounds = painted.bounds()?;
        Some(Self {
            left: bounds.x0 as f64,
            right: bounds.x1 as f64 - 1.0,
            top: bounds.y0 as f64,
            bottom: bounds.y1 as f64 - 1.0,
        })
    }

    pub(crate) fn width(self) -> f64 {
        self.right - self.left + 1.0
    }

    pub(crate) fn axis(self) -> f64 {
        f64::midpoint(self.left, self.right)
    }
}

/// Finds the face just above the `painted` region, within the `figure` where one is known.
pub(crate) fn find_face(picture: &Color, painted: &Mask, figure: Option<&Mask>) -> Option<Face> {
    let frame = PaintedBox::find(painted)?;
    let width = frame.width();
    let columns = (
        frame.left - 0.1 * width,
        (frame.right + 0.1 * width).floor() + 1.0,
    );
    let rows = (frame.top - 1.3 * width, frame.top + 0.35 * width);
    let skin = picture.zip_with(painted, |&color, &hidden| !hidden && skin_rule(color));
    let skin = figure.map_or_else(|| skin.clone(), |figure| skin.and(figure));
    let patches = close(&open(&Zone::new(painted, columns, rows).of(&skin), 1), 3);
    let (labels, parts) = label(&patches, Connectivity::Four);
    let (index, _) = parts
        .iter()
        .enumerate()
        .filter_map(|(i, part)| Some((i, score(part, frame)?)))
        .reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    measure(component_mask(&labels, index))
}

/// How face-like a patch is, if at all: big, compact, close above the region and on its axis.
fn score(part: &Component, frame: PaintedBox) -> Option<f64> {
    let unit = frame.width();
    let (width, height) = (part.bounds.width() as f64, part.bounds.height() as f64);
    let area = part.area as f64;
    let gap = (frame.top - (part.bounds.y1 as f64 - 1.0)).max(0.0);
    let plausible = area >= 0.004 * unit * unit
        && width >= 0.08 * unit
        && (0.5 * width..=3.2 * width).contains(&height)
        && gap <= 0.35 * unit;
    let off_axis = (part.centroid.0 - frame.axis()).abs();
    plausible.then(|| area.sqrt() * area / (width * height) - 0.35 * off_axis - 0.5 * gap)
}

fn measure(mask: Mask) -> Option<Face> {
    let bounds = mask.bounds()?;
    let widths: Vec<f64> = mask
        .rows()
        .map(|row| row.iter().filter(|&&set| set).count() as f64)
        .collect();
    let smooth = gaussian1d(&widths, 2.0);
    let rows = bounds.y0..bounds.y1;
    let widest = rows
        .clone()
        .reduce(|a, b| if smooth[b] > smooth[a] { b } else { a })?;
    let filled: Vec<f64> = rows
        .map(|y| widths[y])
        .filter(|&width| width > 0.0)
        .collect();
    let width = percentile(&filled, 85.0);
    let columns: Vec<f64> = mask
        .rows()
        .flat_map(|row| row.iter().enumerate())
        .filter_map(|(x, &set)| set.then_some(x as f64))
        .collect();
    Some(Face {
        x: median(&columns),
        width,
        top: bounds.y0 as f64,
        chin: (widest as f64 + 0.66 * width).min(bounds.y1 as f64 - 1.0),
        mask,
    })
}
