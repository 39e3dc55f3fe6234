//! What is garment in a picture with a plain backdrop.
//!
//! The contrast to the backdrop is cut at rising thresholds, and the backdrop flooded in from the
//! border each time. Low thresholds keep white cloth on white but swallow shadows; high ones lose
//! pale parts. The mask is the highest cut that has not yet started to eat the garment.

use super::contrast::{Contrast, Core};
use super::shadow;
use crate::geometry::clamp;
use crate::raster::blur::{gaussian_color, gaussian_mask};
use crate::raster::color::rgb_to_lab;
use crate::raster::label::{
    Border, Connectivity, component_mask, connected_to_border, keep_largest, label,
};
use crate::raster::morphology::{close_padded, dilate, erode, fill_holes, open};
use crate::raster::plane::{Color, Gray, Mask};

/// Contrast thresholds, in Lab units.
const THRESHOLDS: [f32; 10] = [1.2, 1.6, 2.2, 3.0, 4.0, 5.5, 7.5, 10.0, 14.0, 20.0];
/// Parts smaller than this share of the largest are dirt.
const LEAST_PART: f64 = 0.03;

/// The garment in `picture` (RGB at analysis scale) with a smoothed outline: more than 0.5 inside;
/// 0 everywhere if there is none.
pub(super) fn segment(picture: &Color) -> Gray {
    let smooth = gaussian_color(picture, 0.7).map(|c| c.map(f32::round_ties_even));
    let contrast = Contrast::measure(rgb_to_lab(&smooth));
    let cuts = Cuts::at_thresholds(&contrast);
    let base = cuts.base();
    let core = contrast.core(&erode(&base.mask, 6));
    let chosen = cuts.choose(base, &core);
    let mask = shadow::drop_cast_shadow(&contrast, &core, chosen.mask.clone(), chosen.threshold);
    if !mask.any() {
        return mask.to_gray();
    }
    let mask = cut_loops(&contrast, &core, mask);
    let mask = if cuts.clear {
        shadow::peel(&contrast, mask)
    } else {
        mask
    };
    gaussian_mask(&mask, 1.2)
}

/// The mask at one threshold.
struct Cut {
    threshold: f32,
    mask: Mask,
    area: f64,
}

impl Cut {
    fn new(contrast: &Contrast, threshold: f32) -> Self {
        let far = close_padded(&contrast.weighted.map(|&d| d >= threshold), 3);
        let solid = connected_to_border(&far.not(), Border::ALL).not();
        let mask = keep_largest(&open(&solid, 2), LEAST_PART);
        Self {
            threshold,
            area: mask.count() as f64,
            mask,
        }
    }
}

/// The plausible cuts, by rising threshold; at least one.
struct Cuts {
    cuts: Vec<Cut>,
    /// Whether the mask hardly depends on the threshold: the garment stands out clearly.
    clear: bool,
}

impl Cuts {
    fn at_thresholds(contrast: &Contrast) -> Self {
        let least = (1.05 * contrast.floor).min(6.0);
        let thresholds = THRESHOLDS.into_iter().filter(|&t| t >= least);
        let mut all: Vec<Cut> = thresholds.map(|t| Cut::new(contrast, t)).collect();
        let plausible = |cut: &Cut| (0.01..0.93).contains(&cut.mask.coverage());
        if all.iter().any(plausible) {
            all.retain(plausible);
        } else {
            all.drain(..all.len() - 1);
        }
        let mut cuts = Self {
            cuts: all,
            clear: false,
        };
        cuts.clear = cuts.from(10.0).area > 0.85 * cuts.from(2.2).area;
        cuts
    }

    /// The cut at `threshold` or the next above, else the last.
    fn from(&self, threshold: f32) -> &Cut {
        let found = self.cuts.iter().find(|cut| cut.threshold >= threshold);
        found
            .or(self.cuts.last())
            .expect("BUG: at least one cut is kept")
    }

    /// The cut that the others are compared with.
    fn base(&self) -> &Cut {
        self.from(if self.clear { 2.2 } else { 0.0 })
    }

    /// The highest cut that keeps most of `base`, up to a third of the garment's own contrast.
    fn choose<'a>(&'a self, base: &'a Cut, core: &Core) -> &'a Cut {
        let limit = clamp(0.30 * core.weighted, 3.0, 8.0) as f32;
        let keeps = |cut: &&Cut| {
            (base.threshold..=limit).contains(&cut.threshold) && cut.area >= 0.86 * base.area
        };
        self.cuts.iter().rfind(keeps).unwrap_or(base)
    }
}

/// Fills the holes of the mask, but cuts out backdrop that is seen through the loops of straps at
/// the top: enclosed, flat, and of exactly the backdrop's colour.
fn cut_loops(contrast: &Contrast, core: &Core, mask: Mask) -> Mask {
    let Some(bounds) = mask.bounds() else {
        return mask;
    };
    let mut mask = fill_holes(&mask);
    if core.weighted <= 15.0 {
        return mask;
    }
    let plain = contrast.plain();
    let limit = (1.2 * contrast.backdrop.sigma).max(1.6);
    let flat = plain.zip_with(&contrast.gradient, |&d, &g| d < limit && g < 1.5);
    let (labels, parts) = label(&open(&flat.and(&mask), 2), Connectivity::Four);
    let (top, height) = (bounds.y0 as f64, (bounds.height() - 1).max(1) as f64);
    for (index, part) in parts.iter().enumerate() {
        let centre = (part.centroid.1 - top) / height;
        let start = (part.bounds.y0 as f64 - top) / height;
        let large = part.area as f64 >= 0.004 * mask.count() as f64;
        if !large || centre >= 0.35 || start >= 0.10 {
            continue;
        }
        let hole = component_mask(&labels, index);
        let exact = mean(&plain.select(&hole)) < 0.8;
        if exact && deviation(&contrast.lab.channel(0).select(&hole)) < 0.5 {
            mask = mask.minus(&dilate(&hole, 2));
        }
    }
    mask
}

fn mean(values: &[f32]) -> f64 {
    values.iter().copied().map(f64::from).sum::<f64>() / values.len().max(1) as f64
}

/// The standard deviation.
fn deviation(values: &[f32]) -> f64 {
    let mean = mean(values);
    let squares = values.iter().map(|&v| (f64::from(v) - mean).powi(2));
    (squares.sum::<f64>() / values.len().max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::garment::fixture::{Drawing, Outline, Picture, SIDE, TANK, TEE, coverage};
    use crate::raster::sample::resize_bilinear;

    fn found(picture: &Picture) -> Mask {
        let color = Color::from_image(&picture.image);
        let small = crate::raster::sample::resize_area(&color, 512, 512);
        resize_bilinear(&segment(&small), SIDE, SIDE).map(|&v| v > 0.5)
    }

    fn assert_found(drawing: Drawing, least: f64) {
        let picture = drawing.draw();
        let overlap = picture.overlap(&found(&picture));
        assert!(overlap > least, "IoU {overlap}");
    }

    #[test]
    fn finds_garments_on_plain_and_uneven_backdrops() {
        for outline in [TEE, TANK] {
            assert_found(Drawing::new(outline), 0.98);
            assert_found(
                Drawing {
                    gradient: -60.0,
                    ..Drawing::new(outline)
                },
                0.98,
            );
            let dark = Drawing {
                backdrop: [60.0, 62.0, 70.0],
                ..Drawing::new(outline)
            };
            assert_found(
                Drawing {
                    cloth: [210.0, 190.0, 60.0],
                    ..dark
                },
                0.98,
            );
        }
    }

    #[test]
    fn leaves_cast_shadows_to_the_backdrop() {
        assert_found(
            Drawing {
                shadow: 0.2,
                ..Drawing::new(TEE)
            },
            0.975,
        );
    }

    #[test]
    fn finds_white_on_nearly_white() {
        let white = Drawing {
            cloth: [253.0; 3],
            backdrop: [243.0; 3],
            ..Drawing::new(TEE)
        };
        assert_found(
            Drawing {
                shadow: 0.05,
                ..white
            },
            0.96,
        );
    }

    #[test]
    fn finds_a_garment_that_runs_out_of_the_picture() {
        const WIDE: Outline = &[
            (0.0, 0.2),
            (0.3, 0.2),
            (0.6, 0.5),
            (0.35, 0.6),
            (0.35, 1.1),
            (0.0, 1.1),
        ];
        assert_found(Drawing::new(WIDE), 0.96);
    }

    #[test]
    fn backdrop_in_the_loop_of_a_strap_is_cut_out() {
        let picture = loop_at(0.12);
        let mask = found(&picture);
        assert!(
            picture.overlap(&mask) > 0.97,
            "IoU {}",
            picture.overlap(&mask)
        );
        assert!(!mask[(SIDE / 2, (0.12 * SIDE as f64) as usize)]);
    }

    #[test]
    fn a_print_of_the_backdrops_colour_stays() {
        let mask = found(&loop_at(0.55));
        assert!(mask[(SIDE / 2, (0.55 * SIDE as f64) as usize)]);
    }

    /// A garment with a hole of the backdrop's exact colour at a height.
    fn loop_at(height: f64) -> Picture {
        const BLOCK: Outline = &[(0.0, 0.06), (0.25, 0.06), (0.25, 0.94), (0.0, 0.94)];
        let drawing = Drawing {
            shadow: 0.0,
            ..Drawing::new(BLOCK)
        };
        let mut picture = drawing.draw();
        let hole = coverage(&[
            (0.0, height - 0.05),
            (0.12, height - 0.05),
            (0.12, height + 0.05),
            (0.0, height + 0.05),
        ]);
        let backdrop = Drawing {
            cloth: drawing.backdrop,
            ..drawing
        }
        .draw();
        for (index, pixel) in picture.image.pixels_mut().enumerate() {
            if hole.data[index] > 0.5 {
                let (x, y) = (index % SIDE, index / SIDE);
                *pixel = *backdrop.image.get_pixel(x as u32, y as u32);
                picture.truth.data[index] = false;
            }
        }
        picture
    }
}
