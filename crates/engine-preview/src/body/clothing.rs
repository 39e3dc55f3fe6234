//! The pixels of the top that the person wears now.

use super::palette::Palette;
use super::part::Parts;
use super::target::Target;
use super::zone::Zone;
use crate::raster::label::Connectivity;
use crate::raster::morphology::{close, fill_holes, open};
use crate::raster::plane::Mask;

/// The old top.
#[derive(Debug, Clone)]
pub(crate) struct Clothing {
    pub(crate) mask: Mask,
    /// Its sleeves cover the arms.
    pub(crate) long_sleeves: bool,
}

/// Finds the old top of `figure`. `whole_body` clothing ends with the figure, not at a waistband.
pub(crate) fn find_clothing(
    figure: &Mask,
    target: &Target,
    palette: &Palette,
    whole_body: bool,
) -> Clothing {
    let colored = colored_like_cloth(figure, palette);
    let long_sleeves = covers_arms(figure, target, &colored);
    let limit = Limit::new(figure, target, palette, whole_body, long_sleeves);
    let bounded = Mask::from_fn(figure.width, figure.height, |x, y| {
        colored[(x, y)] && limit.allows(x, y)
    });
    let parts = Parts::new(&open(&bounded, 1), Connectivity::Four);
    let mask = collect(&parts, target, palette, long_sleeves);
    let mask = if mask.any() {
        close(&mask, 2).and(figure)
    } else {
        mask
    };
    Clothing {
        mask: fill_prints(&mask, target.width),
        long_sleeves,
    }
}

fn colored_like_cloth(figure: &Mask, palette: &Palette) -> Mask {
    if palette.ambiguous {
        return figure.clone();
    }
    let near = palette
        .cloth_distance
        .zip_with(&palette.skin_distance, |&cloth, &skin| {
            cloth < skin && cloth < 6.0
        });
    near.and(figure)
}

/// More than half of the zone of the arms is cloth.
fn covers_arms(figure: &Mask, target: &Target, cloth: &Mask) -> bool {
    let (mut arms, mut covered) = (0, 0);
    let rows = Zone::new(
        figure,
        (0.0, figure.width as f64),
        (target.below(0.3), target.below(0.7)),
    );
    for y in rows.rows {
        for x in 0..figure.width {
            if figure[(x, y)] && (x as f64 - target.axis).abs() > 0.43 * target.width {
                arms += 1;
                covered += usize::from(cloth[(x, y)]);
            }
        }
    }
    arms > 0 && 2 * covered > arms
}

/// Where clothing of the top can be at all.
struct Limit<'a> {
    target: &'a Target,
    palette: &'a Palette,
    /// The row under which it ends.
    bottom: f64,
    /// The torso, somewhat wider: sleeves lie outside of it. None without long sleeves.
    trunk: Option<Mask>,
    /// The torso polygon, all there is to go by when cloth looks like skin.
    polygon: Option<Mask>,
    /// The first row under the shoulder line, near the neck.
    neck: Vec<f64>,
}

impl<'a> Limit<'a> {
    fn new(
        figure: &Mask,
        target: &'a Target,
        palette: &'a Palette,
        whole_body: bool,
        long_sleeves: bool,
    ) -> Self {
        let bottom = match palette.waist {
            _ if whole_body => figure.height as f64,
            Some(row) => row,
            None => target.below(1.15),
        };
        let trunk = long_sleeves.then(|| target.torso.mask(figure, 0.02 * target.width));
        let polygon = palette.ambiguous.then(|| torso_polygon(figure, target));
        Self {
            target,
            palette,
            bottom,
            trunk,
            polygon,
            neck: neck_rows(figure, target),
        }
    }

    fn allows(&self, x: usize, y: usize) -> bool {
        let row = y as f64;
        row > self.target.below(-0.26)
            && row >= self.neck[x]
            && (row < self.bottom || self.in_band(x, y) || self.in_sleeve(x, y))
            && self.polygon.as_ref().is_none_or(|polygon| polygon[(x, y)])
    }

    /// Just under the waistband, by colour.
    fn in_band(&self, x: usize, y: usize) -> bool {
        (y as f64 - self.bottom).abs() < 0.10 * self.target.width
            && self.palette.nearer_than_bottoms(x, y, 1.0)
    }

    /// Beside the torso, where sleeves hang lower than the waist.
    fn in_sleeve(&self, x: usize, y: usize) -> bool {
        self.trunk.as_ref().is_some_and(|trunk| !trunk[(x, y)])
            && y >= self.target.torso.first_row
            && (y as f64) < self.target.below(1.5)
            && self.palette.nearer_than_bottoms(x, y, 0.8)
            && self.palette.cloth_distance[(x, y)] < 3.5
    }
}

fn torso_polygon(figure: &Mask, target: &Target) -> Mask {
    let columns = (
        target.axis - 0.42 * target.width,
        target.axis + 0.42 * target.width,
    );
    let rows = (target.below(-0.05), target.torso.first_row as f64);
    let all = Mask::new(figure.width, figure.height, true);
    target
        .torso
        .mask(figure, 0.0)
        .or(&Zone::new(figure, columns, rows).of(&all))
}

/// The row in each column above which nothing is clothing: hair and beard are not.
fn neck_rows(figure: &Mask, target: &Target) -> Vec<f64> {
    (0..figure.width)
        .map(|x| x as f64)
        .map(|x| {
            if (x - target.neck_axis).abs() <= 0.30 * target.width {
                (target.slope.y(x) - 0.02 * target.width).max(0.0).floor()
            } else {
                0.0
            }
        })
        .collect()
}

/// What touches the chest, and detached pieces of long sleeves.
fn collect(parts: &Parts, target: &Target, palette: &Palette, long_sleeves: bool) -> Mask {
    let unit = target.width * target.width;
    let core = parts.overlap(&palette.core);
    let likeness = parts.means(&palette.cloth_distance);
    let on_chest = |i: usize, area: usize| core[i] > 0 && area as f64 > 0.01 * unit;
    if !core.iter().any(|&count| count > 0) {
        return parts.select(|_, _| false);
    }
    parts.select(|i, part| {
        let (x, y) = part.centroid;
        on_chest(i, part.area)
            || (long_sleeves
                && part.area as f64 > 0.0006 * unit
                && (x - target.axis).abs() > 0.30 * target.width
                && y > target.below(-0.05)
                && likeness[i] < 2.5)
    })
}

/// Fills holes too small for skin: they are prints.
fn fill_prints(mask: &Mask, width: f64) -> Mask {
    let holes = fill_holes(mask).and(&mask.not());
    let small = Parts::new(&holes, Connectivity::Four)
        .select(|_, hole| (hole.area as f64) < 0.03 * width * width);
    mask.or(&small)
}
