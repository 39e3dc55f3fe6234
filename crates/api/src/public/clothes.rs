//! A garment or accessory on a person.

use serde::Deserialize;
use tryon_core::{
    category::Category,
    task::{GarmentPhotoType, Mode, ModerationLevel, OutputFormat, TaskOptions},
};
use utoipa::ToSchema;

use super::{
    ImageSource, RequestFault, Submission, Text, Whole,
    submission::{find_end_user, named, samples, words},
    webhook::webhook_url,
};

/// The body of `POST /api/v1/tryon/clothes`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ClothesRequest<'a> {
    /// The person: an `http(s)` URL or `data:image/…;base64,…`.
    #[serde(borrow, default)]
    #[schema(value_type = String, required = true, example = "https://example.org/person.jpg")]
    pub model_image: Option<Text<'a>>,
    /// The garment or accessory: an `http(s)` URL or `data:image/…;base64,…`.
    #[serde(borrow, default)]
    #[schema(value_type = String, required = true, example = "https://example.org/shirt.jpg")]
    pub garment_image: Option<Text<'a>>,
    /// `auto` (default), `tops`, `bottoms`, `one-pieces`, `clothing`, `eyewear`, `footwear`,
    /// `headwear`, `jewelry`, `accessories` or `others`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, example = "tops")]
    pub category: Option<Text<'a>>,
    /// The finer kind. Required for `clothing` (`tops`, `bottoms` or `dresses`), `jewelry` and
    /// `accessories` (in your words, at most 140 characters).
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    pub subcategory: Option<Text<'a>>,
    /// `performance`, `balanced` (default) or `quality`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, example = "balanced")]
    pub mode: Option<Text<'a>>,
    /// Pictures to make, 1 (default) to 4. Each costs one credit.
    #[serde(default)]
    #[schema(value_type = Option<u8>, minimum = 1, maximum = 4)]
    pub num_samples: Option<Whole>,
    /// `png` (default) or `jpeg`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, example = "png")]
    pub output_format: Option<Text<'a>>,
    /// `conservative`, `permissive` (default) or `none`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, example = "permissive")]
    pub moderation_level: Option<Text<'a>>,
    /// The first picture's seed; the ones after it use the numbers after it. Random where absent.
    #[serde(default)]
    #[schema(value_type = Option<u64>, example = 42)]
    pub seed: Option<Whole>,
    /// What you call the person that it is for, 1 to 255 characters: by it all that there is of them
    /// can be erased. It is not kept as it is.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255, example = "customer-1042")]
    pub end_user_id: Option<Text<'a>>,
    /// Whether the person need not be segmented first (default `true`).
    #[serde(default)]
    pub segmentation_free: Option<bool>,
    /// `auto` (default), `model` or `flat-lay`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, example = "auto")]
    pub garment_photo_type: Option<Text<'a>>,
    /// Who is told of the job's end: an `https` URL, which is sent what the status route answers,
    /// signed after Standard Webhooks.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, example = "https://shop.example/tryon-ended")]
    pub webhook_url: Option<Text<'a>>,
}

impl<'a> ClothesRequest<'a> {
    /// What is asked for, if all of it is right.
    pub fn check(self) -> Result<Submission<'a>, RequestFault> {
        let (category, subcategory) = kind(self.category.as_ref(), self.subcategory.as_ref())?;
        let photo = self.garment_photo_type.as_ref();
        let options = TaskOptions::Clothes {
            category,
            subcategory,
            garment_photo_type: named("garment_photo_type", photo, GarmentPhotoType::Auto)?,
            segmentation_free: self.segmentation_free.unwrap_or(true),
        };
        let moderation = self.moderation_level.as_ref();
        let format = self.output_format.as_ref();
        Ok(Submission {
            options,
            mode: named("mode", self.mode.as_ref(), Mode::Balanced)?,
            output_format: named("output_format", format, OutputFormat::Png)?,
            moderation: named("moderation_level", moderation, ModerationLevel::Permissive)?,
            samples: samples(self.num_samples)?,
            seed: self.seed.map(|Whole(seed)| seed),
            webhook_url: webhook_url(self.webhook_url.as_ref())?,
            end_user: find_end_user(self.end_user_id.as_ref())?,
            person: ImageSource::require("model_image", self.model_image)?,
            garment: Some(ImageSource::require("garment_image", self.garment_image)?),
        })
    }
}

/// What [`CATEGORIES`] name.
const DIRECT: [Category; 10] = [
    Category::Auto,
    Category::Tops,
    Category::Bottoms,
    Category::OnePieces,
    Category::Eyewear,
    Category::Footwear,
    Category::Headwear,
    Category::Jewelry,
    Category::Accessories,
    Category::Others,
];

/// What `category` can be, apart from `clothing`: the one that says nothing first.
pub const CATEGORIES: [&str; DIRECT.len()] = {
    let mut names = [""; DIRECT.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = DIRECT[at].as_str();
        at += 1;
    }
    names
};

/// What the two fields mean together: the category, and the finer kind in the client's words
/// where the category leaves it open.
pub(super) fn kind(
    category: Option<&Text<'_>>,
    subcategory: Option<&Text<'_>>,
) -> Result<(Category, Option<String>), RequestFault> {
    let name = category.map_or("auto", |text| &*text.0);
    if name == "clothing" {
        return clothing(subcategory).map(|category| (category, None));
    }
    let category = DIRECT
        .into_iter()
        .find(|category| category.as_str() == name);
    let category = category.ok_or_else(|| unknown_category(name))?;
    let subcategory = words("subcategory", subcategory)?;
    match category {
        Category::Jewelry | Category::Accessories if subcategory.is_none() => {
            let reason = "`jewelry` and `accessories` need it, such as `necklace` or `bag`";
            Err(RequestFault::Missing {
                field: "subcategory",
                reason,
            })
        }
        // These say it all: a subcategory could only contradict them.
        Category::Auto | Category::Tops | Category::Bottoms | Category::OnePieces => {
            Ok((category, None))
        }
        _ => Ok((category, subcategory)),
    }
}

fn clothing(subcategory: Option<&Text<'_>>) -> Result<Category, RequestFault> {
    match subcategory.and_then(Text::filled) {
        Some("tops") => Ok(Category::Tops),
        Some("bottoms") => Ok(Category::Bottoms),
        Some("dresses") => Ok(Category::OnePieces),
        Some(other) => Err(RequestFault::wrong(
            "subcategory",
            &format!("`{}` is not one of tops, bottoms, dresses", shorten(other)),
        )),
        None => Err(RequestFault::Missing {
            field: "subcategory",
            reason: "`clothing` needs it: tops, bottoms or dresses",
        }),
    }
}

fn unknown_category(name: &str) -> RequestFault {
    let known = CATEGORIES.join(", ");
    let name = shorten(name);
    RequestFault::wrong(
        "category",
        &format!("`{name}` is not one of {known}, clothing"),
    )
}

fn shorten(text: &str) -> String {
    text.chars().take(64).collect()
}
