//! Hair that falls in front of the shoulders.

use super::Body;
use super::cloth::Cloth;
use super::palette::Palette;
use super::target::Target;
use crate::raster::color::skin_rule;
use crate::raster::label::{Connectivity, connected_to_seed};
use crate::raster::morphology::open;
use crate::raster::plane::{Color, Gray, Mask};

/// Pixels coloured like the head but not like skin, and connected to the head.
pub(crate) fn find_hair(body: &Body, target: &Target, palette: &Palette) -> Mask {
    let (picture, figure, head_top) = (&body.picture, &body.figure, body.shoulders.top);
    let none = Mask::new(figure.width, figure.height, false);
    let cropped = head_top <= 2.0 && target.shoulder_y - head_top < 0.45 * target.width;
    let seed = hair_of_head(picture, figure, target, palette);
    if cropped || (seed.count() as f64) < 0.01 * target.width * target.width {
        return none;
    }
    let Some(distance) = hair_distance(&body.lab, &seed, palette) else {
        return none;
    };
    let hanging = Mask::from_fn(figure.width, figure.height, |x, y| {
        let at = (x, y);
        figure[at]
            && distance[at] < 1.8
            && palette.skin_distance[at] > 1.0
            && distance[at] < palette.cloth_distance[at]
            && (y as f64) < target.below(0.75)
            && (x as f64 - target.neck_axis).abs() < 0.5 * target.width
    });
    let hair = open(&hanging.or(&seed), 1);
    connected_to_seed(&hair, &seed, Connectivity::Eight)
}

fn hair_of_head(picture: &Color, figure: &Mask, target: &Target, palette: &Palette) -> Mask {
    Mask::from_fn(figure.width, figure.height, |x, y| {
        let at = (x, y);
        figure[at]
            && (y as f64) < target.below(-0.33)
            && (x as f64 - target.neck_axis).abs() < 0.45 * target.width
            && palette.skin_distance[at] > 1.6
            && !skin_rule(picture[at])
    })
}

/// The distance to the colours of the hair that the cloth does not have as well.
fn hair_distance(lab: &Color, seed: &Mask, palette: &Palette) -> Option<Gray> {
    let apart = |center: [f32; 3]| {
        palette.cloth.clusters.iter().all(|cloth| {
            let square: f32 = (0..3).map(|c| (cloth.center[c] - center[c]).powi(2)).sum();
            square > 14.0 * 14.0
        })
    };
    let mut hair = Cloth::learn(lab, seed, 3, |c| c.share > 0.15 && apart(c.center));
    for cluster in &mut hair.clusters {
        cluster.spread = cluster.spread.min(8.0);
    }
    (!hair.clusters.is_empty()).then(|| hair.distances(lab))
}
