//! What would become of a picture.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tryon_core::{
    category::Category,
    task::{Mode, Provider, Task},
};
use utoipa::ToSchema;

use super::{
    ImageSource, JobFailure, RequestFault, Text,
    clothes::kind,
    submission::{named, read},
    upload::PictureInfo,
};

/// The body of `POST /api/v1/check`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CheckRequest<'a> {
    /// The picture, as the picture fields of a submission take it.
    #[serde(borrow, default)]
    #[schema(value_type = String, required = true, example = "https://example.org/person.jpg")]
    pub image: Option<Text<'a>>,
    /// The task that it is meant for: `clothes` (default), `hairstyle` or `tattoo`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, example = "clothes")]
    pub task: Option<Text<'a>>,
    /// And the mode: `performance`, `balanced` (default) or `quality`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, example = "balanced")]
    pub mode: Option<Text<'a>>,
    /// Whose picture it is: the `person`'s (default), in which a region is dressed, or the
    /// `garment`'s.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, example = "person")]
    pub role: Option<Text<'a>>,
    /// What the person is to be dressed in, as submissions of clothes take it. Of `auto` (default), which
    /// the garment decides, a top is told.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, example = "tops")]
    pub category: Option<Text<'a>>,
    /// The finer kind, where the category needs it.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, example = "dresses")]
    pub subcategory: Option<Text<'a>>,
}

/// Whose picture is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckedRole {
    /// The person's, in which a region is dressed.
    Person,
    /// The garment's, or a design's.
    Garment,
}

impl FromStr for CheckedRole {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "person" => Ok(Self::Person),
            "garment" => Ok(Self::Garment),
            _ => Err("it is not one of person, garment"),
        }
    }
}

/// What a [`CheckRequest`] asks for, once it was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check<'a> {
    /// The picture.
    pub image: ImageSource<'a>,
    /// The task that it is meant for.
    pub task: Task,
    /// And the mode.
    pub mode: Mode,
    /// Whose picture it is.
    pub role: CheckedRole,
    /// What the person is to be dressed in.
    pub category: Category,
}

/// The field that a picture to be checked comes in.
pub const CHECKED_FIELD: &str = "image";

/// Reads and checks the body of a request to check a picture.
pub fn parse_check(body: &[u8]) -> Result<Check<'_>, RequestFault> {
    let CheckRequest {
        image,
        task,
        mode,
        role,
        category,
        subcategory,
    } = read(body)?;
    let (category, _) = kind(category.as_ref(), subcategory.as_ref())?;
    Ok(Check {
        role: named("role", role.as_ref(), CheckedRole::Person)?,
        category,
        task: named("task", task.as_ref(), Task::Clothes)?,
        mode: named("mode", mode.as_ref(), Mode::Balanced)?,
        image: ImageSource::require(CHECKED_FIELD, image)?,
    })
}

/// What would become of a picture.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CheckAnswer {
    /// Always `true`.
    pub ok: bool,
    /// Whether a job with it would come as far as making pictures. Moderation is not asked, nor whether
    /// the other picture can be used.
    pub usable: bool,
    /// What a job would fail with; `null` where it is usable.
    pub error: Option<JobFailure>,
    /// What it is; `null` where that cannot be told.
    pub picture: Option<PictureInfo>,
    /// What a node would be given; `null` where it is not usable.
    pub prepared: Option<Prepared>,
    /// Which part of a person is dressed is told by: `marked`, the picture, where a region is painted
    /// pure green or cut out; `parsed`, the person parser of a node; `free`, the model as it makes the
    /// picture: nothing is masked; `unknown`: no node could be asked now. `null` where it is not usable,
    /// is no person's, or the task is not `clothes`.
    pub masking: Option<Masking>,
    /// That region, where it is marked or was parsed.
    pub mask: Option<MaskedRegion>,
}

/// What tells which part of a person is dressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Masking {
    /// The picture: a region is marked in it.
    Marked,
    /// The person parser of a node.
    Parsed,
    /// The model, as it makes the picture: nothing is masked.
    Free,
    /// It is not known: no node could be asked.
    #[serde(other)]
    Unknown,
}

/// What a node would be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Prepared {
    /// Who serves this task and mode.
    #[schema(value_type = String, example = "qwen")]
    pub provider: Provider,
    /// Columns in pixels.
    pub width: u32,
    /// Rows in pixels.
    pub height: u32,
}

/// The region of a picture that is dressed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct MaskedRegion {
    /// `paint` or `cut-out`, as it was marked, or `parser`.
    #[schema(example = "parser")]
    pub by: &'static str,
    /// Its share of the picture's pixels, 0 to 1.
    pub share: f64,
    /// The rectangle around it.
    pub region: Rectangle,
}

/// A rectangle in shares of a picture's width and height, from the top left.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rectangle {
    /// Its left side.
    pub x: f64,
    /// Its top.
    pub y: f64,
    /// Its width.
    pub w: f64,
    /// Its height.
    pub h: f64,
}
