//! Connected parts of a mask, and measures over each of them.

use crate::raster::label::{Component, Connectivity, component_mask, label, select};
use crate::raster::plane::{Gray, Mask, Plane};

/// The connected parts of a mask.
pub(crate) struct Parts {
    /// 0 outside, else one more than the index of the part.
    labels: Plane<u32>,
    pub(crate) components: Vec<Component>,
}

impl Parts {
    pub(crate) fn new(mask: &Mask, connectivity: Connectivity) -> Self {
        let (labels, components) = label(mask, connectivity);
        Self { labels, components }
    }

    /// The union of the parts that `keep` accepts.
    pub(crate) fn select(&self, mut keep: impl FnMut(usize, &Component) -> bool) -> Mask {
        let kept: Vec<bool> = self
            .components
            .iter()
            .enumerate()
            .map(|(i, part)| keep(i, part))
            .collect();
        select(&self.labels, &kept)
    }

    /// The pixels of part `index` alone.
    pub(crate) fn mask_of(&self, index: usize) -> Mask {
        component_mask(&self.labels, index)
    }

    /// How many pixels of each part lie in `mask`.
    pub(crate) fn overlap(&self, mask: &Mask) -> Vec<usize> {
        let mut counts = vec![0; self.components.len()];
        for label in self.labels.select(mask) {
            if label > 0 {
                counts[label as usize - 1] += 1;
            }
        }
        counts
    }

    /// The mean of `values` over each part.
    pub(crate) fn means(&self, values: &Gray) -> Vec<f64> {
        let mut sums = vec![0.0; self.components.len()];
        for (&label, &value) in self.labels.data.iter().zip(&values.data) {
            if label > 0 {
                sums[label as usize - 1] += f64::from(value);
            }
        }
        sums.iter()
            .zip(&self.components)
            .map(|(sum, part)| sum / part.area as f64)
            .collect()
    }
}
