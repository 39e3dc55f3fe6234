//! The person: silhouette, shoulders, torso, arms, and the colours of skin and clothes.

mod arm;
mod cloth;
mod clothing;
mod face;
mod hair;
mod painted;
mod palette;
mod part;
mod shoulder;
mod silhouette;
mod skin;
mod slope;
mod target;
mod template;
mod torso;
mod waist;
mod zone;

pub(crate) use arm::thickness;
pub(crate) use cloth::plainness;
pub(crate) use clothing::{Clothing, find_clothing};
pub(crate) use hair::find_hair;
pub(crate) use painted::{PaintedBody, analyse_painted};
pub(crate) use palette::Palette;
pub(crate) use part::Parts;
pub(crate) use shoulder::{Shoulders, face_width, find_shoulders};
pub(crate) use silhouette::{Backdrop, Separation, separate, smooth_lab};
pub(crate) use target::Target;

use crate::raster::plane::{Color, Mask};

/// A person measured on the analysis copy of their photo.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    /// The analysis copy, RGB in 0..=255.
    pub(crate) picture: Color,
    /// Its colours in Lab.
    pub(crate) lab: Color,
    pub(crate) figure: Mask,
    pub(crate) shoulders: Shoulders,
    pub(crate) backdrop: Backdrop,
}

impl Body {
    /// Analyses the copy `picture`, or finds no person in it.
    pub(crate) fn analyse(picture: Color) -> Option<Self> {
        let lab = smooth_lab(&picture);
        let Separation { figure, backdrop } = separate(&lab);
        let shoulders = find_shoulders(&picture, &figure)?;
        Some(Self {
            picture,
            lab,
            figure,
            shoulders,
            backdrop,
        })
    }
}
