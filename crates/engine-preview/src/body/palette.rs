//! The colours of a person: skin, the top worn now, and what is worn under it.

use super::cloth::Cloth;
use super::skin::Skin;
use super::target::Target;
use super::waist::find_waist;
use super::zone::Zone;
use crate::raster::order::median;
use crate::raster::plane::{Color, Gray, Mask};

/// Colour models of a person, with the distance of every pixel to each.
#[derive(Debug, Clone)]
pub(crate) struct Palette {
    pub(crate) skin: Skin,
    pub(crate) skin_distance: Gray,
    pub(crate) cloth: Cloth,
    pub(crate) cloth_distance: Gray,
    /// The distance to the bottoms, where a waistband tells them from the top.
    pub(crate) bottom_distance: Option<Gray>,
    /// The row of the waistband.
    pub(crate) waist: Option<f64>,
    /// The cloth looks like skin: colour cannot separate them.
    pub(crate) ambiguous: bool,
    /// The middle of the chest, from which the cloth was learned.
    pub(crate) core: Mask,
}

impl Palette {
    /// Learns the colours of a figure, or nothing when its chest is not in the picture.
    pub(crate) fn learn(
        picture: &Color,
        lab: &Color,
        figure: &Mask,
        head_top: f64,
        target: &Target,
    ) -> Option<Self> {
        let skin = learn_skin(picture, lab, figure, head_top, target);
        let skin_distance = skin.distances(lab);
        let waist = find_waist(lab, target);
        let core = chest_core(figure, target, waist);
        if !core.any() {
            return None;
        }
        let (cloth, ambiguous) = learn_cloth(lab, &core, &skin);
        let cloth_distance = cloth.distances(lab);
        let below = waist.map(|row| bottoms_zone(figure, target, row));
        let below = below.filter(|zone| zone.count() > 50);
        let same_cloth = below.as_ref().is_some_and(|zone| {
            cloth.clusters.len() > 1 && median(&cloth_distance.select(zone)) < 1.5
        });
        let bottom_distance = below
            .filter(|_| !same_cloth)
            .map(|zone| Cloth::learn(lab, &zone, 3, |c| c.share > 0.08).distances(lab));
        Some(Self {
            skin,
            skin_distance,
            cloth,
            cloth_distance,
            bottom_distance,
            // The same cloth on both sides: the edge of a print, not a waistband.
            waist: waist.filter(|_| !same_cloth).map(|row| row as f64),
            ambiguous,
            core,
        })
    }

    /// The pixel is nearer to the top's colours than to the bottoms'.
    pub(crate) fn nearer_than_bottoms(&self, x: usize, y: usize, factor: f32) -> bool {
        let bottoms = self
            .bottom_distance
            .as_ref()
            .map_or(1e9, |plane| plane[(x, y)]);
        self.cloth_distance[(x, y)] < factor * bottoms
    }
}

/// From the face; where too little of it is seen, from the whole upper body.
fn learn_skin(picture: &Color, lab: &Color, figure: &Mask, head_top: f64, target: &Target) -> Skin {
    let width = target.width;
    let beside = |axis: f64, reach: f64| (axis - reach * width, axis + reach * width);
    let face = Zone::new(
        figure,
        beside(target.neck_axis, 0.33),
        (head_top, target.below(-0.02)),
    );
    let learned = Skin::find(picture, lab, figure, &face);
    let clear = |skin: &Skin| skin.seed.count() as f64 >= 0.004 * width * width;
    if let Some(skin) = learned.as_ref().filter(|skin| clear(skin)) {
        return skin.clone();
    }
    let body = Zone::new(
        figure,
        beside(target.axis, 0.8),
        (head_top, target.below(1.6)),
    );
    Skin::find(picture, lab, figure, &body)
        .or(learned)
        .unwrap_or_else(|| Skin::unseen(figure))
}

fn chest_core(figure: &Mask, target: &Target, waist: Option<usize>) -> Mask {
    let width = target.width;
    let over_waist = waist.map_or(f64::MAX, |row| row as f64 - 0.05 * width);
    let end = target.below(0.80).min(over_waist).max(target.below(0.35));
    let columns = (target.axis - 0.24 * width, target.axis + 0.24 * width);
    Zone::new(figure, columns, (target.below(0.22), end)).of(figure)
}

fn bottoms_zone(figure: &Mask, target: &Target, waist: usize) -> Mask {
    let (width, row) = (target.width, waist as f64);
    let columns = (target.axis - 0.28 * width, target.axis + 0.28 * width);
    Zone::new(figure, columns, (row + 0.06 * width, row + 0.45 * width)).of(figure)
}

/// The clusters that are not skin; all of them, as ambiguous, when that leaves too little.
fn learn_cloth(lab: &Color, core: &Mask, skin: &Skin) -> (Cloth, bool) {
    let cloth = Cloth::learn(lab, core, 4, |c| {
        c.share > 0.02 && skin.distance(c.center) > 1.3
    });
    if cloth.share() >= 0.25 {
        return (cloth, false);
    }
    (Cloth::learn(lab, core, 4, |c| c.share > 0.10), true)
}
