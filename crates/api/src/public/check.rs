//! What would become of a picture.

use serde::{Deserialize, Serialize};
use tryon_core::task::{Mode, Provider, Task};
use utoipa::ToSchema;

use super::{
    ImageSource, JobFailure, RequestFault, Text,
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
}

/// The field that a picture to be checked comes in.
pub const CHECKED_FIELD: &str = "image";

/// Reads and checks the body of a request to check a picture.
pub fn parse_check(body: &[u8]) -> Result<Check<'_>, RequestFault> {
    let CheckRequest { image, task, mode } = read(body)?;
    Ok(Check {
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
    /// Whether a job with it would get as far as a node.
    pub usable: bool,
    /// What a job would fail with; `null` where it is usable.
    pub error: Option<JobFailure>,
    /// What it is; `null` where that cannot be told.
    pub picture: Option<PictureInfo>,
    /// What a node would be given; `null` where it is not usable.
    pub prepared: Option<Prepared>,
    /// The region that is marked in it, painted pure green or cut out: as the person's picture, this is
    /// what is dressed. `null` where nothing is marked, and the model finds the region itself.
    pub mask: Option<MarkedRegion>,
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

/// A region that somebody marked in a picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct MarkedRegion {
    /// `paint` or `cut-out`.
    #[schema(example = "paint")]
    pub by: &'static str,
    /// Its share of the picture's pixels, 0 to 1.
    pub share: f64,
    /// The rectangle around it.
    pub region: Rectangle,
}

/// A rectangle in shares of a picture's width and height, from the top left.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
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
