//! Telling which clothing would be replaced, without replacing it.

use image::RgbaImage;
use tryon_core::category::Category;
use tryon_engine::{EngineError, Parser};

use crate::engine::{Fitting, PaintedFitting, check_category};
use crate::error::PreviewError;
use crate::input::Person;
use crate::outfit::find_bottoms;
use crate::raster::plane::Mask;

/// Finds the top, the dress or the bottoms that a person wears. What [`Category::Auto`] puts on is
/// told by the garment alone; it is taken for a top here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PhotoParser;

impl Parser for PhotoParser {
    fn parse(
        &self,
        photo: &RgbaImage,
        category: Category,
    ) -> Result<Option<tryon_picture::Mask>, EngineError> {
        let found = find(photo, category)?;
        Ok(found.any().then_some(tryon_picture::Mask {
            width: found.width as u32,
            height: found.height as u32,
            data: found.data,
        }))
    }
}

/// The clothing in the photo, or in its analysis copy.
fn find(photo: &RgbaImage, category: Category) -> Result<Mask, PreviewError> {
    check_category(category)?;
    let person = Person::read(photo)?;
    let measure = |whole_body| Fitting::measure(&person, whole_body).map(|it| it.wearer);
    Ok(match (&person.mask, category) {
        (Some(_), Category::Bottoms) => return Err(PreviewError::PaintedBottoms),
        (Some(marked), _) => {
            PaintedFitting::measure(&person, marked)?;
            marked.clone()
        }
        (None, Category::Bottoms) => find_bottoms(&measure(false)?),
        (None, Category::OnePieces) => measure(true)?.clothing.mask,
        (None, _) => measure(false)?.clothing.mask,
    })
}
