//! The face above a painted region: the best compact patch of skin.

use crate::fill::{lit_tone, luma};
use crate::raster::blur::gaussian1d;
use crate::raster::color::skin_rule;
use crate::raster::label::{Component, Connectivity, component_mask, keep_largest, label};
use crate::raster::morphology::{close, open};
use crate::raster::order::{median, percentile};
use crate::raster::plane::{Color, Mask};

use super::zone::Zone;

/// Of a face's light, what is darker than this share is taken for hair.
const HAIR: f32 = 0.45;

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
    measure(without_hair(picture, component_mask(&labels, index)))
}

/// Brown and red hair passes for skin: what is much darker than the middle of the patch is
/// dropped, unless that is most of it.
fn without_hair(picture: &Color, patch: Mask) -> Mask {
    let Some(bounds) = patch.bounds() else {
        return patch;
    };
    let middle = |from: usize, to: usize| (2 * from + to) / 3..(from + 2 * to).div_ceil(3);
    let columns = middle(bounds.x0, bounds.x1);
    let rows = middle(bounds.y0, bounds.y1);
    let core = Mask::from_fn(patch.width, patch.height, |x, y| {
        patch[(x, y)] && columns.contains(&x) && rows.contains(&y)
    });
    let least = HAIR * luma(lit_tone(picture.select(&core)));
    let light = picture.zip_with(&patch, |&color, &inside| inside && luma(color) > least);
    let face = keep_largest(&close(&open(&light, 1), 3).and(&patch), 0.2);
    if 3 * face.count() < patch.count() {
        return patch;
    }
    face
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raster::plane::Plane;

    /// A face 20 pixels wide under a cap of something 40 pixels wide.
    fn head(cap: [f32; 3]) -> (Color, Mask) {
        let face = |x: usize, y: usize| (20..40).contains(&x) && (12..50).contains(&y);
        let picture = Plane::from_fn(60, 60, |x, y| {
            if face(x, y) {
                [225.0, 180.0, 155.0]
            } else {
                cap
            }
        });
        let patch = Mask::from_fn(60, 60, |x, y| {
            (10..50).contains(&x) && (5..40).contains(&y) || face(x, y)
        });
        (picture, patch)
    }

    #[test]
    fn brown_hair_is_not_part_of_the_face() {
        let (picture, patch) = head([100.0, 55.0, 35.0]);
        let bounds = without_hair(&picture, patch).bounds().unwrap();
        assert_eq!((bounds.x0, bounds.x1), (20, 40));
    }

    #[test]
    fn the_shaded_side_of_a_face_is() {
        let (picture, patch) = head([130.0, 95.0, 80.0]);
        let bounds = patch.bounds();
        assert_eq!(without_hair(&picture, patch).bounds(), bounds);
    }
}
