//! A haircut on a face.

use serde::Deserialize;
use tryon_core::task::{Haircut, Mode, ModerationLevel, OutputFormat, TaskOptions};
use utoipa::ToSchema;

use super::{
    ImageSource, RequestFault, Submission, Text, Whole,
    submission::{find_end_user, named, samples, words},
    webhook::webhook_url,
};

/// The body of `POST /api/v1/tryon/hairstyle`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct HairstyleRequest<'a> {
    /// The face: an `http(s)` URL or `data:image/…;base64,…`.
    #[serde(borrow, default)]
    #[schema(value_type = String, required = true, example = "https://example.org/face.jpg")]
    pub face_image: Option<Text<'a>>,
    /// One of the 34 haircuts, such as `BobCut`.
    #[serde(borrow, default)]
    #[schema(value_type = String, required = true, example = "BobCut")]
    pub haircut: Option<Text<'a>>,
    /// Its colour in your words, at most 140 characters.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, example = "copper red")]
    pub hair_color: Option<Text<'a>>,
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

impl<'a> HairstyleRequest<'a> {
    /// What is asked for, if all of it is right.
    pub fn check(self) -> Result<Submission<'a>, RequestFault> {
        let haircut = self.haircut.as_ref().and_then(Text::filled);
        let haircut: Haircut = haircut
            .ok_or(RequestFault::Missing {
                field: "haircut",
                reason: "name one, such as `BobCut`",
            })?
            .parse()
            .map_err(|error| RequestFault::wrong("haircut", &error))?;
        let hair_color = words("hair_color", self.hair_color.as_ref())?;
        let format = self.output_format.as_ref();
        Ok(Submission {
            options: TaskOptions::Hairstyle {
                haircut,
                hair_color,
            },
            mode: Mode::Balanced,
            output_format: named("output_format", format, OutputFormat::Png)?,
            moderation: ModerationLevel::Permissive,
            samples: samples(self.num_samples)?,
            seed: self.seed.map(|Whole(seed)| seed),
            webhook_url: webhook_url(self.webhook_url.as_ref())?,
            end_user: find_end_user(self.end_user_id.as_ref())?,
            person: ImageSource::require("face_image", self.face_image)?,
            garment: None,
        })
    }
}
