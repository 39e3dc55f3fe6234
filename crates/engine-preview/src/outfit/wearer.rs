//! A person in their present clothes.

use crate::body::{Body, Clothing, Palette, Target, find_clothing, find_hair};
use crate::fill;
use crate::raster::morphology::{dilate, erode};
use crate::raster::plane::{Color, Gray, Mask};

/// A person, what they wear now, and what of it is to be replaced.
#[derive(Debug, Clone)]
pub(crate) struct Wearer {
    pub(crate) body: Body,
    pub(crate) target: Target,
    pub(crate) palette: Palette,
    /// The top, or the dress, worn now.
    pub(crate) clothing: Clothing,
}

impl Wearer {
    /// Measures the person in an analysis copy; `None` when there is no person to be dressed.
    pub(crate) fn measure(picture: Color, whole_body: bool) -> Option<Self> {
        let body = Body::analyse(picture)?;
        let mut target = Target::measure(&body.lab, &body.figure, &body.shoulders)?;
        let palette = Palette::learn(
            &body.picture,
            &body.lab,
            &body.figure,
            body.shoulders.top,
            &target,
        )?;
        let clothing = find_clothing(&body.figure, &target, &palette, whole_body);
        target.slope.follow(&clothing.mask);
        if !palette.ambiguous {
            target.refine(&body.lab, &body.figure, Some(&clothing.mask));
        }
        Some(Self {
            body,
            target,
            palette,
            clothing,
        })
    }

    /// Hair in front of the shoulders.
    pub(crate) fn hair(&self) -> Mask {
        find_hair(&self.body, &self.target, &self.palette)
    }

    /// The figure without its outermost pixels, where it mixes with the backdrop.
    pub(crate) fn inner_figure(&self) -> Mask {
        erode(&self.body.figure, 2)
    }

    /// The person's skin all over, invented where it is hidden. `gain` darkens it towards the
    /// outline; `share` is the weight of the typical tone against that of the skin nearby.
    pub(crate) fn skin(&self, share: f32, gain: &Gray) -> Color {
        let (body, target) = (&self.body, &self.target);
        let clothing = dilate(&self.clothing.mask, 3);
        let inner = self.inner_figure();
        let bare = Mask::from_fn(inner.width, inner.height, |x, y| {
            let near = (y as f64 - target.shoulder_y).abs() < 1.6 * target.width;
            let skin = self.palette.skin_distance[(x, y)] < 1.2;
            inner[(x, y)] && skin && near && !clothing[(x, y)]
        });
        let tone = fill::lit_tone(body.picture.select(&self.palette.skin.seed));
        fill::skin(&body.picture, &bare, tone, share, gain)
    }
}
