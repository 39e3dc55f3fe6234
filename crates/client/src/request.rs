//! What can be asked for.

use bytes::Bytes;
use serde::Serialize;
use tryon_core::{
    category::Category,
    task::{GarmentPhotoType, Haircut, Mode, ModerationLevel, OutputFormat, Region, Task},
};

use crate::picture::Picture;

/// What every task has. What is absent is as the API says.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    num_samples: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_format: Option<OutputFormat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_user_id: Option<String>,
}

/// The setters of [`Options`], for a request that has them.
macro_rules! shared {
    ($request:ident, $task:expr) => {
        impl $request {
            /// Pictures to make, 1 (default) to 4. Each costs one credit.
            #[must_use]
            pub fn samples(mut self, samples: u8) -> Self {
                self.options.num_samples = Some(samples);
                self
            }

            /// The format of the pictures (default PNG).
            #[must_use]
            pub fn output_format(mut self, format: OutputFormat) -> Self {
                self.options.output_format = Some(format);
                self
            }

            /// The first picture's seed; the ones after it use the numbers after it. Drawn at random
            /// where it is not said.
            #[must_use]
            pub fn seed(mut self, seed: impl Into<Option<u64>>) -> Self {
                self.options.seed = seed.into();
                self
            }

            /// Who is told of the job's end: an `https` URL. See [`webhook`](crate::webhook).
            #[must_use]
            pub fn webhook_url(mut self, url: impl Into<String>) -> Self {
                self.options.webhook_url = Some(url.into());
                self
            }

            /// What you call the person that it is for, 1 to 255 characters: by it all that there is
            /// of them can be erased.
            #[must_use]
            pub fn end_user(mut self, id: impl Into<String>) -> Self {
                self.options.end_user_id = Some(id.into());
                self
            }
        }

        impl From<&$request> for Submission {
            fn from(request: &$request) -> Self {
                Self::new($task, request)
            }
        }

        impl From<$request> for Submission {
            fn from(request: $request) -> Self {
                Self::from(&request)
            }
        }
    };
}

/// A garment or accessory on a person.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Clothes {
    model_image: Picture,
    garment_image: Picture,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subcategory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    moderation_level: Option<ModerationLevel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    segmentation_free: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    garment_photo_type: Option<GarmentPhotoType>,
    #[serde(flatten)]
    options: Options,
}

/// A question about one of the pictures of a request.
#[derive(Debug, Serialize)]
pub(crate) struct Check<'a> {
    image: &'a Picture,
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subcategory: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
}

impl Clothes {
    pub(crate) fn person_check(&self) -> Check<'_> {
        self.check("person", &self.model_image)
    }

    pub(crate) fn garment_check(&self) -> Check<'_> {
        self.check("garment", &self.garment_image)
    }

    fn check<'a>(&'a self, role: &'static str, image: &'a Picture) -> Check<'a> {
        Check {
            image,
            role,
            category: self.category.as_deref(),
            subcategory: self.subcategory.as_deref(),
            mode: self.mode,
        }
    }

    /// This garment or accessory on this person.
    pub fn new(person: Picture, garment: Picture) -> Self {
        Self {
            model_image: person,
            garment_image: garment,
            category: None,
            subcategory: None,
            mode: None,
            moderation_level: None,
            segmentation_free: None,
            garment_photo_type: None,
            options: Options::default(),
        }
    }

    /// What the garment is (default [`Category::Auto`]).
    #[must_use]
    pub fn category(self, category: Category) -> Self {
        self.category_text(category.as_str())
    }

    /// The same in the API's words, as a form may have them. The gateway says what is wrong with
    /// them.
    #[must_use]
    pub fn category_text(mut self, category: impl Into<String>) -> Self {
        self.category = Some(category.into());
        self
    }

    /// The finer kind, in your words. Required for jewelry and accessories.
    #[must_use]
    pub fn subcategory(mut self, subcategory: impl Into<String>) -> Self {
        self.subcategory = Some(subcategory.into());
        self
    }

    /// Speed against quality (default [`Mode::Balanced`]).
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// How strictly pictures are moderated (default [`ModerationLevel::Permissive`]).
    #[must_use]
    pub fn moderation(mut self, level: ModerationLevel) -> Self {
        self.moderation_level = Some(level);
        self
    }

    /// Whether the person need not be segmented first (default true).
    #[must_use]
    pub fn segmentation_free(mut self, free: bool) -> Self {
        self.segmentation_free = Some(free);
        self
    }

    /// How the garment's picture was taken (default [`GarmentPhotoType::Auto`]).
    #[must_use]
    pub fn garment_photo(mut self, kind: GarmentPhotoType) -> Self {
        self.garment_photo_type = Some(kind);
        self
    }
}

shared!(Clothes, Task::Clothes);

/// A haircut on a face.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hairstyle {
    face_image: Picture,
    haircut: Haircut,
    #[serde(skip_serializing_if = "Option::is_none")]
    hair_color: Option<String>,
    #[serde(flatten)]
    options: Options,
}

impl Hairstyle {
    /// This haircut on this face.
    pub fn new(face: Picture, haircut: Haircut) -> Self {
        Self {
            face_image: face,
            haircut,
            hair_color: None,
            options: Options::default(),
        }
    }

    /// Its colour in your words, at most 140 characters.
    #[must_use]
    pub fn hair_color(mut self, color: impl Into<String>) -> Self {
        self.hair_color = Some(color.into());
        self
    }
}

shared!(Hairstyle, Task::Hairstyle);

/// A design on skin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tattoo {
    body_image: Picture,
    design_image: Picture,
    #[serde(skip_serializing_if = "Option::is_none")]
    placement: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
    #[serde(flatten)]
    options: Options,
}

impl Tattoo {
    /// This design on this body.
    pub fn new(body: Picture, design: Picture) -> Self {
        Self {
            body_image: body,
            design_image: design,
            placement: None,
            region: None,
            options: Options::default(),
        }
    }

    /// Where and how, in your words; at most 140 characters.
    #[must_use]
    pub fn placement(mut self, placement: impl Into<String>) -> Self {
        self.placement = Some(placement.into());
        self
    }

    /// Where exactly.
    #[must_use]
    pub fn region(mut self, region: impl Into<Option<Region>>) -> Self {
        self.region = region.into();
        self
    }
}

shared!(Tattoo, Task::Tattoo);

/// A request as it is sent: made of any of the requests, and cheap to clone.
#[derive(Clone)]
pub struct Submission {
    pub(crate) task: Task,
    pub(crate) body: Bytes,
    pub(crate) name: Option<String>,
}

impl Submission {
    fn new(task: Task, request: &impl Serialize) -> Self {
        let body = serde_json::to_vec(request).expect("BUG: a request is JSON");
        Self {
            task,
            body: body.into(),
            name: None,
        }
    }

    /// With a name of your own (`Idempotency-Key`), 1 to 255 printable ASCII characters, such as that
    /// of an order: submitted again within 24 hours it is the same job, also by a process that was
    /// started again. Where it has none, one is drawn for each call.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl From<&Submission> for Submission {
    fn from(submission: &Submission) -> Self {
        submission.clone()
    }
}

/// Without the pictures in it.
impl std::fmt::Debug for Submission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Submission")
            .field("task", &self.task)
            .field("bytes", &self.body.len())
            .field("name", &self.name)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use tryon_api::public;
    use tryon_core::task::TaskOptions;

    use super::*;

    fn picture() -> Picture {
        Picture::from_url("https://shop.example/a.jpg").unwrap()
    }

    /// As the gateway reads it.
    fn read(submission: &Submission) -> public::Submission<'_> {
        public::parse(submission.task, &submission.body).unwrap()
    }

    #[test]
    fn all_that_is_asked_for_is_what_the_gateway_reads() {
        let clothes = Clothes::new(picture(), picture())
            .category(Category::Accessories)
            .subcategory("bag")
            .mode(Mode::Quality)
            .moderation(ModerationLevel::Conservative)
            .segmentation_free(false)
            .garment_photo(GarmentPhotoType::FlatLay)
            .samples(3)
            .output_format(OutputFormat::Jpeg)
            .seed(u64::MAX)
            .webhook_url("https://shop.example/ended")
            .end_user("customer-1042");
        let submission = Submission::from(&clothes);
        let submission = read(&submission);
        let options = TaskOptions::Clothes {
            category: Category::Accessories,
            subcategory: Some("bag".to_owned()),
            garment_photo_type: GarmentPhotoType::FlatLay,
            segmentation_free: false,
        };
        assert_eq!(submission.options, options);
        assert_eq!(submission.mode, Mode::Quality);
        assert_eq!(submission.moderation, ModerationLevel::Conservative);
        assert_eq!(submission.output_format, OutputFormat::Jpeg);
        assert_eq!((submission.samples, submission.seed), (3, Some(u64::MAX)));
        let url = submission.webhook_url.map(String::from);
        assert_eq!(url.as_deref(), Some("https://shop.example/ended"));
        assert_eq!(submission.end_user.as_deref(), Some("customer-1042"));
    }

    #[test]
    fn what_is_not_asked_for_is_as_the_api_says() {
        let submission = Submission::from(Clothes::new(picture(), picture()));
        let submission = read(&submission);
        assert_eq!((submission.samples, submission.seed), (1, None));
        assert_eq!(submission.mode, Mode::Balanced);
    }

    #[test]
    fn each_task_has_what_is_its_own() {
        let cut = Hairstyle::new(picture(), Haircut::BobCut).hair_color("copper");
        let hair_color = Some("copper".to_owned());
        let haircut = Haircut::BobCut;
        let expected = TaskOptions::Hairstyle {
            haircut,
            hair_color,
        };
        assert_eq!(read(&cut.into()).options, expected);

        let region = Region {
            x: 0.1,
            y: 0.2,
            w: 0.3,
            h: 0.4,
        };
        let ink = Tattoo::new(picture(), picture())
            .region(region)
            .placement("left");
        let expected = TaskOptions::Tattoo {
            placement: Some("left".to_owned()),
            region: Some(region),
        };
        assert_eq!(read(&ink.into()).options, expected);
    }
}
