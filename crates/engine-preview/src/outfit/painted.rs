//! Putting a top or a one-piece on a person whose clothing is painted over. Only painted pixels
//! change.

use image::RgbImage;

use super::{OUTLINE, Stage, UpperLayers, head_zone};
use crate::body::{PaintedBody, Target};
use crate::compose::{Canvas, Drape, mix_planes};
use crate::fill;
use crate::garment::UpperGarment;
use crate::noise::Grain;
use crate::plan::{Extent, Hem, UpperPlan, plan_upper};
use crate::raster::blur::{gaussian, gaussian_color};
use crate::raster::color::skin_rule;
use crate::raster::idw;
use crate::raster::label::keep_largest;
use crate::raster::morphology::{dilate_square, erode};
use crate::raster::plane::{Color, Gray, Mask, Plane, Rect};
use crate::raster::sample::resize_mask_nearest;
use crate::shade::Roundness;

/// Tops that end somewhat above this depth, in shoulder widths, are drawn down over the waist, whose
/// band the paint hides.
const TUCK: f64 = 1.10;
const FORM: Roundness = Roundness {
    floor: 0.80,
    reach: 0.12,
    cylindrical: true,
};
const SKIN: Roundness = Roundness {
    floor: 0.74,
    reach: 0.09,
    cylindrical: true,
};

/// The person of the `scene` in the new top.
pub(crate) fn dress_painted(scene: &Scene<'_>, garment: &UpperGarment, extent: Extent) -> RgbImage {
    let (stage, painted, target) = (scene.stage, scene.painted, scene.target);
    let plan = scene.plan(garment, extent);
    let layers = UpperLayers::warp(garment, &plan, stage);
    let Some(canvas) = scene.canvas(&layers) else {
        return stage.photo.clone();
    };
    let changing = scene.changing.crop(canvas.area);
    let mut drape = layers.stack(&canvas, &plan, stage.photo_width());
    drape.cut(&changing.not().to_gray());
    drape.cut(&canvas.enlarge(&head_zone(stage.small, target.below(-0.34))));
    drape.cut(&scraps(&drape.alpha).to_gray());
    let form = FORM.gain(&painted.body.figure, target.width);
    drape.shade(&canvas.enlarge(&gaussian(&form, 0.02 * target.width)));
    let ground = scene.ground(&canvas, &plan, &drape);
    canvas.paint(&drape.over(&ground), &changing)
}

/// Bits of the garment that the region cuts off from the rest, such as a skirt's on a hand.
fn scraps(alpha: &Gray) -> Mask {
    let solid = alpha.map(|&a| a > 0.5);
    let whole = dilate_square(&keep_largest(&solid, 0.08), 2);
    whole.not()
}

/// A painted photo and what is known of it.
pub(crate) struct Scene<'a> {
    stage: &'a Stage<'a>,
    painted: &'a PaintedBody,
    target: &'a Target,
    /// The pixels of the photo that may change: the painted ones and those that mix with them.
    changing: Mask,
    /// The same at analysis scale, somewhat wider.
    hidden: Mask,
    /// The face, or other skin to take the tone from.
    face: Mask,
}

impl<'a> Scene<'a> {
    /// `mask` is the painted region at full size.
    pub(crate) fn new(
        stage: &'a Stage<'a>,
        mask: &Mask,
        painted: &'a PaintedBody,
        target: &'a Target,
    ) -> Self {
        let changing = dilate_square(mask, 1);
        let (width, height) = stage.small;
        let hidden = dilate_square(&resize_mask_nearest(&changing, width, height), 1);
        let face = visible_skin(painted, target, &hidden);
        Self {
            stage,
            painted,
            target,
            changing,
            hidden,
            face,
        }
    }

    /// A region in the shape of a garment says where that ends; nothing is longer than the region:
    /// longer garments are shortened by up to a quarter and cut off.
    fn plan(&self, garment: &UpperGarment, extent: Extent) -> UpperPlan {
        let (figure, width) = (&self.painted.body.figure, self.target.width);
        let hem = match self.painted.mannequin {
            None => Hem::Over(&self.painted.painted),
            Some(_) => Hem::Natural,
        };
        let mut plan = plan_upper(garment, self.target, figure, extent, hem);
        let bottom = self.bottom();
        let waist = self.target.below(TUCK).min(bottom - 0.012 * width);
        let missing = waist - plan.hem_y;
        if missing > 0.0 && missing < 0.25 * (waist - plan.armpit_y) {
            plan = plan_upper(garment, self.target, figure, extent, Hem::At(waist));
        }
        if plan.hem_y <= bottom - 0.01 * width {
            return plan;
        }
        let shortened = plan.hem_y - 0.25 * (plan.hem_y - plan.armpit_y);
        let hem = Hem::At(shortened.max(bottom - 0.012 * width));
        plan_upper(garment, self.target, figure, extent, hem)
    }

    /// The last painted row near the axis.
    fn bottom(&self) -> f64 {
        let painted = &self.painted.painted;
        let reach = 0.2 * self.target.width;
        let clip = |x: f64| (x.max(0.0) as usize).min(painted.width);
        let columns = clip(self.target.axis - reach)..clip(self.target.axis + reach);
        (0..painted.height)
            .rfind(|&y| painted.row(y)[columns.clone()].contains(&true))
            .unwrap_or(painted.height - 1) as f64
    }

    fn canvas(&self, layers: &UpperLayers) -> Option<Canvas<'a>> {
        let bounds = self.changing.bounds()?;
        let reach = layers.all().iter().fold(bounds, |area, layer| {
            crate::compose::union(area, layer.area)
        });
        let (width, height) = self.stage.size();
        Some(Canvas {
            photo: self.stage.photo,
            area: reach.grown(4, width, height),
            small: self.stage.small,
            zoom: self.stage.zoom,
        })
    }

    /// What is seen in the region beside the garment.
    fn ground(&self, canvas: &Canvas<'_>, plan: &UpperPlan, drape: &Drape) -> Color {
        let filled = self.invented(canvas, plan);
        let body = canvas.enlarge(&erode(&self.mannequin().and(&self.hidden), 1).to_gray());
        let shadow = drape.contact_shadow(&body, self.stage.photo_width(), 0.30);
        let grain = Grain::like(self.stage.photo, self.stage.seed);
        Color::from_fn(filled.width, filled.height, |x, y| {
            let noise = grain.at(canvas.area.x0 + x, canvas.area.y0 + y);
            filled[(x, y)].map(|c| (c + noise) * shadow[(x, y)])
        })
    }

    /// The body in the region.
    fn mannequin(&self) -> &Mask {
        self.painted
            .mannequin
            .as_ref()
            .unwrap_or(&self.painted.body.figure)
    }

    /// Backdrop, skin and bottoms in place of the paint. The body goes on beyond the region, so
    /// that no backdrop shines in where it is cut.
    fn invented(&self, canvas: &Canvas<'_>, plan: &UpperPlan) -> Color {
        let body = self.mannequin();
        let bare = self.bare_skin(plan, body);
        let under_hem = Mask::from_fn(body.width, body.height, |x, y| {
            body[(x, y)] && !bare[(x, y)] && y as f64 >= plan.armpit_y
        });
        let lay = |ground: &Color, colors: &Color, zone: &Mask| {
            mix_planes(
                ground,
                &canvas.enlarge(colors),
                &canvas.round_off(zone, OUTLINE),
            )
        };
        let backdrop = idw::fill(&self.painted.body.picture, &self.backdrop_hole());
        let backdrop = canvas.enlarge(&gaussian_color(&backdrop, 0.8));
        let dressed = lay(&backdrop, &self.skin(), &bare);
        match self.bottoms() {
            Some(bottoms) => lay(&dressed, &bottoms, &under_hem),
            None => dressed,
        }
    }

    /// What the backdrop must not be taken from: the region and the person.
    fn backdrop_hole(&self) -> Mask {
        let (figure, target) = (&self.painted.body.figure, self.target);
        if self.painted.plain {
            return dilate_square(&figure.or(&self.hidden), 2);
        }
        let face = dilate_square(&self.face, 4);
        let mannequin = self.mannequin();
        Mask::from_fn(figure.width, figure.height, |x, y| {
            let at = (x, y);
            let trunk = y as f64 > target.shoulder_y
                && mannequin[at]
                && (x as f64 - target.axis).abs() < 0.45 * target.width;
            self.hidden[at] || face[at] || trunk
        })
    }

    /// Neck and shoulders, and the arms beside the torso.
    fn bare_skin(&self, plan: &UpperPlan, inside: &Mask) -> Mask {
        let target = self.target;
        let torso = target.torso.mask(inside, 1.0);
        let rows = target.torso.rows();
        let (armpit, wrist) = (plan.armpit_y.max(rows.start as f64), target.below(1.72));
        Mask::from_fn(inside.width, inside.height, |x, y| {
            let arm = rows.contains(&y) && !torso[(x, y)] && (y as f64) < wrist;
            inside[(x, y)] && ((y as f64) < armpit || arm)
        })
    }

    /// The person's skin all over, continued from the face and from what else is bare.
    fn skin(&self) -> Color {
        let picture = &self.painted.body.picture;
        let figure = &self.painted.body.figure;
        let tone = fill::lit_tone(picture.select(&self.face));
        let near = self.face.or(&figure.minus(&self.hidden));
        let near = if self.painted.plain {
            near
        } else {
            self.face.clone()
        };
        let known = picture.zip_with(&near, |&color, &near| near && fill::has_tone(color, tone));
        let body = self.mannequin().or(figure);
        let gain = SKIN.gain(&body, self.target.width);
        fill::skin(picture, &erode(&known, 1), tone, 0.25, &gain)
    }

    /// Bottoms grow upwards from what is seen just below the region; on a plain backdrop each
    /// column continues its own colour, which keeps seams and folds.
    fn bottoms(&self) -> Option<Color> {
        let picture = &self.painted.body.picture;
        let (target, bottom) = (self.target, self.bottom());
        let width = target.width;
        let person = if self.painted.plain {
            &self.painted.body.figure
        } else {
            self.mannequin()
        };
        let rows = (bottom + 0.01 * width)..(bottom + 0.35 * width);
        let below = Mask::from_fn(picture.width, picture.height, |x, y| {
            rows.contains(&(y as f64))
                && (x as f64 - target.axis).abs() < 0.42 * width
                && !self.hidden[(x, y)]
                && person[(x, y)]
        });
        let smooth = fill::continue_from(picture, &below, 30)?;
        if !self.painted.plain {
            return Some(smooth);
        }
        let columns = self.colors_below();
        Some(Color::from_fn(smooth.width, smooth.height, |x, y| {
            crate::compose::mix(&smooth[(x, y)], &columns[x], 0.5)
        }))
    }

    /// The colour just below the region in each column.
    fn colors_below(&self) -> Vec<[f32; 3]> {
        let picture = &self.painted.body.picture;
        let row = Plane::from_fn(picture.width, 1, |x, _| {
            let last = (0..picture.height).rfind(|&y| self.hidden[(x, y)]);
            let y = last.map_or(picture.height - 1, |y| (y + 3).min(picture.height - 1));
            picture[(x, y)]
        });
        gaussian_color(&row, 1.5).data
    }
}

/// The face; else skin near the shoulders; else what is seen right above the region.
fn visible_skin(painted: &PaintedBody, target: &Target, hidden: &Mask) -> Mask {
    let (picture, figure) = (&painted.body.picture, &painted.body.figure);
    let person = |x: usize, y: usize| !hidden[(x, y)] && (!painted.plain || figure[(x, y)]);
    if let Some(face) = &painted.face {
        let face = face.mask.minus(hidden);
        if face.count() >= 30 {
            return face;
        }
    }
    let near = Mask::from_fn(figure.width, figure.height, |x, y| {
        person(x, y)
            && skin_rule(picture[(x, y)])
            && (x as f64 - target.axis).abs() < 0.6 * target.width
            && (y as f64) < target.below(0.1)
    });
    if near.count() > 20 || !painted.plain {
        return near;
    }
    let top = painted.painted.bounds().map_or(0, |bounds: Rect| bounds.y0) as f64;
    Mask::from_fn(figure.width, figure.height, |x, y| {
        let row = y as f64;
        person(x, y)
            && row > top - 0.30 * target.width
            && row < top
            && (x as f64 - target.neck_axis).abs() < 0.12 * target.width
    })
}
