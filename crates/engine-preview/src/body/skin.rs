//! The colour of a person's skin, learned from the face.

use super::zone::Zone;
use crate::raster::color::skin_rule;
use crate::raster::order::{median, median_color};
use crate::raster::plane::{Color, Gray, Mask};

/// Used where no skin is seen at all.
const DEFAULT: ([f32; 3], [f32; 3]) = ([70.0, 14.0, 16.0], [12.0, 4.0, 4.0]);
/// The spread is never taken for narrower than this...
const LEAST_SPREAD: [f32; 3] = [7.0, 2.2, 2.5];
/// ...and this many spreads away still count as skin: tolerant in lightness, for a face is
/// brighter or darker than an arm.
const TOLERANCE: [f32; 3] = [1.9, 1.7, 1.7];

/// A colour model of skin in Lab.
#[derive(Debug, Clone)]
pub(crate) struct Skin {
    median: [f32; 3],
    spread: [f32; 3],
    /// The pixels it was learned from.
    pub(crate) seed: Mask,
}

impl Skin {
    /// Learns from the skin-coloured pixels of `figure` in `zone`, if there are enough.
    pub(crate) fn find(picture: &Color, lab: &Color, figure: &Mask, zone: &Zone) -> Option<Self> {
        let skin = picture.map(|&color| skin_rule(color));
        let seed = zone.of(&skin.and(figure));
        let colors = lab.select(&seed);
        if colors.len() < 30 {
            return None;
        }
        let median = median_color(&colors);
        let spread = std::array::from_fn(|c| spread(&colors, median, c));
        Some(Self {
            median,
            spread,
            seed,
        })
    }

    /// The model of a person none of whose skin is seen.
    pub(crate) fn unseen(shape: &Mask) -> Self {
        let seed = Mask::new(shape.width, shape.height, false);
        Self {
            median: DEFAULT.0,
            spread: DEFAULT.1,
            seed,
        }
    }

    /// How far a Lab colour is from skin; about 1 at the rim of the model.
    pub(crate) fn distance(&self, color: [f32; 3]) -> f32 {
        (0..3)
            .map(|c| {
                let spread = self.spread[c].max(LEAST_SPREAD[c]) * TOLERANCE[c];
                ((color[c] - self.median[c]) / spread).powi(2)
            })
            .sum::<f32>()
            .sqrt()
    }

    pub(crate) fn distances(&self, lab: &Color) -> Gray {
        lab.map(|&color| self.distance(color))
    }
}

/// A robust, bounded standard deviation of channel `c`.
fn spread(colors: &[[f32; 3]], center: [f32; 3], c: usize) -> f32 {
    const ADDED: [f64; 3] = [4.0, 1.2, 1.5];
    const MOST: [f64; 3] = [14.0, 4.5, 5.0];
    let deviations: Vec<f32> = colors
        .iter()
        .map(|color| (color[c] - center[c]).abs())
        .collect();
    (1.4826 * median(&deviations) + ADDED[c]).min(MOST[c]) as f32
}
