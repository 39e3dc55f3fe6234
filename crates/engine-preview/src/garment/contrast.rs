//! How every pixel of a garment picture differs from its backdrop.

use crate::raster::gradient::sobel_magnitude;
use crate::raster::order::{median, percentile};
use crate::raster::plane::{Color, Gray, Mask};
use crate::raster::surface::{Surface, fit_surface, frame_mask};

/// The difference to a backdrop surface fitted to the frame of the picture. All in Lab units.
pub(super) struct Contrast {
    pub(super) lab: Color,
    pub(super) backdrop: Surface,
    /// Lightness difference, positive where brighter than the backdrop.
    pub(super) lightness: Gray,
    /// Chroma difference.
    pub(super) chroma: Gray,
    /// Lightness gradient.
    pub(super) gradient: Gray,
    /// Difference in which what cannot be shadow counts more: brighter pixels, and edges.
    pub(super) weighted: Gray,
    /// The weighted difference that the frame hardly exceeds.
    pub(super) floor: f32,
}

/// Medians over the middle of the garment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Core {
    pub(super) weighted: f64,
    /// Of the absolute lightness difference.
    pub(super) lightness: f64,
    pub(super) chroma: f64,
}

impl Contrast {
    /// Measures `lab`, a slightly smoothed Lab picture at analysis scale.
    pub(super) fn measure(lab: Color) -> Self {
        let frame = frame_mask(lab.width, lab.height, 0.03, true);
        let backdrop = fit_surface(&lab, &frame, 2, 6);
        let lightness = lab.zip_with(&backdrop.plane, |a, b| a[0] - b[0]);
        let chroma = lab.zip_with(&backdrop.plane, |a, b| (a[1] - b[1]).hypot(a[2] - b[2]));
        let gradient = sobel_magnitude(&lab.channel(0)).map(|g| g / 4.0);
        let color = lightness.zip_with(&chroma, |&l, &c| {
            let l = if l > 0.0 { 2.0 * l } else { l };
            (l * l + c * c).sqrt()
        });
        let weighted = color.zip_with(&gradient, |&d, &g| d + 0.6 * (g - 1.0).max(0.0));
        let floor = 1.3 * percentile(&weighted.select(&frame), 80.0) as f32;
        Self {
            lab,
            backdrop,
            lightness,
            chroma,
            gradient,
            weighted,
            floor,
        }
    }

    /// The plain colour difference.
    pub(super) fn plain(&self) -> Gray {
        self.lightness
            .zip_with(&self.chroma, |&l, &c| (l * l + c * c).sqrt())
    }

    /// Medians over the pixels of `core`; the values of an average garment if there are none.
    pub(super) fn core(&self, core: &Mask) -> Core {
        if !core.any() {
            return Core {
                weighted: 20.0,
                lightness: 20.0,
                chroma: 0.0,
            };
        }
        let lightness: Vec<f32> = self
            .lightness
            .select(core)
            .iter()
            .map(|l| l.abs())
            .collect();
        Core {
            weighted: median(&self.weighted.select(core)),
            lightness: median(&lightness),
            chroma: median(&self.chroma.select(core)),
        }
    }
}
