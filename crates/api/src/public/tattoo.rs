//! A design on skin.

use serde::Deserialize;
use tryon_core::task::{Mode, ModerationLevel, OutputFormat, Region, TaskOptions};
use utoipa::ToSchema;

use super::{
    ImageSource, RequestFault, Submission, Text, Whole,
    field::object,
    submission::{find_end_user, named, samples, words},
    webhook::webhook_url,
};

/// The body of `POST /api/v1/tryon/tattoo`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TattooRequest<'a> {
    /// The body: an `http(s)` URL or `data:image/…;base64,…`.
    #[serde(borrow, default)]
    #[schema(value_type = String, required = true, example = "https://example.org/arm.jpg")]
    pub body_image: Option<Text<'a>>,
    /// The design: an `http(s)` URL or `data:image/…;base64,…`.
    #[serde(borrow, default)]
    #[schema(value_type = String, required = true, example = "https://example.org/rose.png")]
    pub design_image: Option<Text<'a>>,
    /// Where and how in your words, at most 140 characters.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, example = "left forearm")]
    pub placement: Option<Text<'a>>,
    /// Where exactly: `x`, `y`, `w`, `h` as shares of the picture from its top left corner, 0–1,
    /// each side at least 0.06.
    #[serde(default, deserialize_with = "object")]
    #[schema(value_type = Option<Object>, example = json!({"x": 0.4, "y": 0.3, "w": 0.2, "h": 0.3}))]
    pub region: Option<Region>,
    /// Pictures to make, 1 (default) to 4. Each costs one credit.
    #[serde(default)]
    #[schema(value_type = Option<u8>, minimum = 1, maximum = 4)]
    pub num_samples: Option<Whole>,
    /// `png` (default) or `jpeg`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, example = "png")]
    pub output_format: Option<Text<'a>>,
    /// The first picture's seed; the ones after it use the numbers after it. Random where absent.
    #[serde(default)]
    #[schema(value_type = Option<u64>, example = 42)]
    pub seed: Option<Whole>,
    /// Who is told of the job's end: an `https` URL, which is sent what the status route answers,
    /// signed after Standard Webhooks.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, example = "https://shop.example/tryon-ended")]
    pub webhook_url: Option<Text<'a>>,
    /// What you call the person that it is for, 1 to 255 characters: by it all that there is of them
    /// can be erased. It is not kept as it is.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255, example = "customer-1042")]
    pub end_user_id: Option<Text<'a>>,
}

impl<'a> TattooRequest<'a> {
    /// What is asked for, if all of it is right.
    pub fn check(self) -> Result<Submission<'a>, RequestFault> {
        let placement = words("placement", self.placement.as_ref())?;
        let region = self.region.map(Region::validate).transpose();
        let region = region.map_err(|error| RequestFault::wrong("region", &error))?;
        let format = self.output_format.as_ref();
        Ok(Submission {
            options: TaskOptions::Tattoo { placement, region },
            mode: Mode::Balanced,
            output_format: named("output_format", format, OutputFormat::Png)?,
            moderation: ModerationLevel::Permissive,
            samples: samples(self.num_samples)?,
            seed: self.seed.map(|Whole(seed)| seed),
            webhook_url: webhook_url(self.webhook_url.as_ref())?,
            end_user: find_end_user(self.end_user_id.as_ref())?,
            person: ImageSource::require("body_image", self.body_image)?,
            garment: Some(ImageSource::require("design_image", self.design_image)?),
        })
    }
}
