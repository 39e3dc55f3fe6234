//! Dressing a person: from the analysed pictures to the finished one.

mod front;
mod lower;
mod painted;
mod residue;
mod sleeve;
mod upper;
mod wearer;

pub(crate) use lower::{dress_lower, find_bottoms};
pub(crate) use painted::{Scene, dress_painted};
pub(crate) use upper::dress_upper;
pub(crate) use wearer::Wearer;

use crate::compose::{Canvas, Drape, Stack, union};
use crate::garment::UpperGarment;
use crate::geometry::{Side, clamp};
use crate::plan::UpperPlan;
use crate::raster::label::keep_largest;
use crate::raster::morphology::{dilate_square, dilate_square_gray, open_disk_gray};
use crate::raster::plane::{Gray, Mask, Plane, Rect};
use crate::warp::{Layer, Part, Zoom, warp};

/// How far the outline of an invented body is rounded off, in analysis pixels.
const OUTLINE: f64 = 2.0;

/// What the dressing of a person needs beside the pictures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stage<'a> {
    /// The photo.
    pub(crate) photo: &'a image::RgbImage,
    /// Size of its analysis copy.
    pub(crate) small: (usize, usize),
    /// Photo pixels per analysis pixel.
    pub(crate) zoom: f64,
    /// The width of the shoulders in analysis pixels.
    pub(crate) width: f64,
    /// Seeds the grain of invented areas.
    pub(crate) seed: u64,
}

impl<'a> Stage<'a> {
    fn size(&self) -> (usize, usize) {
        (self.photo.width() as usize, self.photo.height() as usize)
    }

    /// The shoulder width in photo pixels.
    fn photo_width(&self) -> f64 {
        self.width * self.zoom
    }

    /// A box of the analysis copy in photo pixels.
    fn enlarge_box(&self, rect: Rect) -> Rect {
        let scaled = [rect.x0, rect.y0, rect.x1, rect.y1].map(|v| v as f64 * self.zoom);
        let (width, height) = self.size();
        Rect::clamped(scaled, width, height)
    }

    /// The canvas around all layers and the `changing` pixels of the analysis copy, with a margin
    /// for shadows.
    fn canvas(&self, layers: &[&Layer], changing: &Mask) -> Option<Canvas<'a>> {
        let boxes = layers.iter().map(|layer| layer.area);
        let changing = changing.bounds().map(|bounds| self.enlarge_box(bounds));
        let area = boxes.chain(changing).reduce(union)?;
        let margin = (0.09 * self.photo_width() + 6.0 * self.zoom) as usize + 4;
        let (width, height) = self.size();
        Some(Canvas {
            photo: self.photo,
            area: area.grown(margin, width, height),
            small: self.small,
            zoom: self.zoom,
        })
    }

    fn zoom_for(&self, garment_scale: f64, smooth: f64) -> Zoom {
        Zoom {
            source: 1.0 / garment_scale,
            target: self.zoom,
            smooth: smooth * self.photo_width(),
        }
    }
}

/// The warped parts of a top or one-piece.
struct UpperLayers {
    torso: Option<Layer>,
    sleeves: Vec<Layer>,
}

impl UpperLayers {
    fn warp(garment: &UpperGarment, plan: &UpperPlan, stage: &Stage<'_>) -> Self {
        let colors = &garment.cutout.colors;
        let part = |alpha| Part { colors, alpha };
        let size = stage.size();
        let zoom = |smooth| stage.zoom_for(garment.cutout.scale, smooth);
        let torso = warp(part(&garment.torso), &plan.torso, zoom(0.03), size);
        let parts = garment.sleeves.as_ref().zip(plan.sleeves.as_ref());
        let sleeve = |side: Side| {
            let (alphas, meshes) = parts?;
            let layer = warp(part(&alphas[side]), &meshes[side], zoom(0.015), size)?;
            let alpha = tidy(&layer.alpha, 0.018 * stage.photo_width());
            Some(Layer { alpha, ..layer })
        };
        let sleeves = Side::BOTH.into_iter().filter_map(sleeve).collect();
        Self { torso, sleeves }
    }

    fn all(&self) -> Vec<&Layer> {
        self.torso.iter().chain(&self.sleeves).collect()
    }

    /// Sleeves over the torso, which they shade below the armpit.
    fn stack(&self, canvas: &Canvas<'_>, plan: &UpperPlan, width: f64) -> Drape {
        let mut stack = Stack::new(canvas.area);
        if let Some(torso) = &self.torso {
            stack.lay(torso);
        }
        let torso = stack.alpha.clone();
        let armpit_y = plan.armpit_y * canvas.zoom;
        for sleeve in &self.sleeves {
            stack.shade_around(sleeve, 0.02 * width, &torso, |y| {
                0.35 * clamp((y as f64 - armpit_y) / (0.10 * width), 0.0, 1.0) as f32
            });
            stack.lay(sleeve);
        }
        stack.finish()
    }
}

/// Drops slivers and loose bits that a fold of the mesh left beside a sleeve.
fn tidy(alpha: &Gray, radius: f64) -> Gray {
    let radius = (radius.round() as usize).max(1);
    let padded = replicate(alpha, radius);
    let opened = open_disk_gray(&padded, radius).unpad(radius);
    let solid = keep_largest(&opened.map(|&a| a > 0.5), 0.3);
    let near = dilate_square(&solid, 2);
    let limit = dilate_square_gray(&opened, 1);
    let limited = alpha.zip_with(&limit, |&a, &limit| a.min(limit));
    limited.zip_with(&near, |&a, &near| if near { a } else { 0.0 })
}

/// The plane with its border pixels repeated `margin` times.
fn replicate(plane: &Gray, margin: usize) -> Gray {
    let clip = |i: usize, size: usize| i.saturating_sub(margin).min(size - 1);
    Plane::from_fn(
        plane.width + 2 * margin,
        plane.height + 2 * margin,
        |x, y| plane[(clip(x, plane.width), clip(y, plane.height))],
    )
}

/// 1 above row `limit` of the analysis copy, where no garment may hide the head.
fn head_zone((width, height): (usize, usize), limit: f64) -> Gray {
    Plane::from_fn(
        width,
        height,
        |_, y| if (y as f64) < limit { 1.0 } else { 0.0 },
    )
}
