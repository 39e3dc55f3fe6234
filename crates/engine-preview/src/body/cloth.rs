//! The colours of a piece of clothing, as a few clusters in Lab.

use crate::raster::kmeans;
use crate::raster::plane::{Color, Gray, Mask};

/// Colours around a common centre.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cluster {
    pub(crate) center: [f32; 3],
    pub(crate) spread: f32,
    /// The share of the sample that it holds.
    pub(crate) share: f32,
}

/// The clusters of a sample, at most `count`.
fn clusters(sample: &[[f32; 3]], count: usize) -> Vec<Cluster> {
    let found = kmeans::kmeans(sample, count);
    let spread = found.spread.iter().zip(&found.share);
    let each = found.centers.iter().zip(spread);
    each.map(|(&center, (&spread, &share))| Cluster {
        center,
        spread,
        share,
    })
    .collect()
}

/// The colours of a cloth.
#[derive(Debug, Clone)]
pub(crate) struct Cloth {
    pub(crate) clusters: Vec<Cluster>,
}

impl Cloth {
    /// Clusters the colours of `lab` in `mask` and keeps those that `keep` accepts.
    pub(crate) fn learn(
        lab: &Color,
        mask: &Mask,
        count: usize,
        keep: impl Fn(&Cluster) -> bool,
    ) -> Self {
        let mut clusters = clusters(&lab.select(mask), count);
        clusters.retain(|cluster| keep(cluster));
        Self { clusters }
    }

    /// How much of the sample the clusters hold.
    pub(crate) fn share(&self) -> f64 {
        self.clusters
            .iter()
            .map(|cluster| f64::from(cluster.share))
            .sum()
    }

    /// How far each colour is from the cloth, in spreads; half the weight is on lightness, which
    /// folds change.
    pub(crate) fn distances(&self, lab: &Color) -> Gray {
        lab.map(|&color| self.distance(color))
    }

    fn distance(&self, color: [f32; 3]) -> f32 {
        self.clusters
            .iter()
            .map(|cluster| {
                let [l, a, b] = std::array::from_fn(|c| color[c] - cluster.center[c]);
                (0.5 * l * l + a * a + b * b).sqrt() / cluster.spread.clamp(4.0, 12.0)
            })
            .fold(1e9, f32::min)
    }
}

/// How plain the colours of `lab` in `mask` are: 1 for one hue, towards 0 for a print.
pub(crate) fn plainness(lab: &Color, mask: &Mask) -> f64 {
    let colors = lab.select(mask);
    let center = crate::raster::order::median_color(&colors);
    let variance: f64 = clusters(&colors, 3)
        .iter()
        .map(|cluster| {
            let [_, a, b]: [f32; 3] = std::array::from_fn(|c| cluster.center[c] - center[c]);
            f64::from((a * a + b * b) * cluster.share)
        })
        .sum();
    (-variance / 144.0).exp()
}
