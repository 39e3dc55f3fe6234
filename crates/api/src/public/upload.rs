//! Pictures that are sent ahead of the jobs that use them.

use serde::Serialize;
use tryon_core::{id::UploadId, time::Timestamp};
use utoipa::ToSchema;

use super::moment::rfc3339;

/// A picture was uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Uploaded {
    /// Always `true`.
    pub ok: bool,
    /// The upload's id: 24 lower-case hex digits.
    #[schema(value_type = String, example = "64b7f1a9d9a3b8e5c7f9a123")]
    pub id: UploadId,
    /// What `model_image`, `garment_image` and the other picture fields take, with any key of the same
    /// account. It shows the picture to nobody.
    #[schema(example = "https://tryon.example/api/v1/uploads/64b7f1a9d9a3b8e5c7f9a123")]
    pub url: String,
    /// Until when jobs may be submitted with it.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// What it is.
    pub picture: PictureInfo,
}

/// What a picture's header says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PictureInfo {
    /// `jpeg`, `png` or `webp`, by its content.
    #[schema(example = "jpeg")]
    pub format: &'static str,
    /// The file's size in bytes.
    pub bytes: u64,
    /// Columns in pixels, once it is upright.
    pub width: u32,
    /// Rows in pixels, once it is upright.
    pub height: u32,
    /// How its pixels are turned to be upright: EXIF's number, 1 (as they are) to 8.
    #[schema(minimum = 1, maximum = 8)]
    pub orientation: u8,
    /// Whether it has an alpha channel.
    pub has_alpha: bool,
}
