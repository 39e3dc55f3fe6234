//! What a request asks for, once it was checked.

use std::{ops::RangeInclusive, str::FromStr};

use serde::Deserialize;
use tryon_core::task::{Mode, ModerationLevel, OutputFormat, Task, TaskOptions};
use url::Url;

use super::{
    ClothesRequest, HairstyleRequest, ImageSource, RequestFault, TattooRequest, Text, Whole,
};

/// Most samples of a job.
pub const MAX_SAMPLES: u8 = 4;
/// Most characters of a text in the client's words.
pub const MAX_WORDS: usize = 140;
/// Most characters of a client's name for the person that a job is for.
pub const MAX_END_USER: usize = 255;
/// Most bytes of a picture's URL.
pub const MAX_URL: usize = 8192;

/// Most bytes of a URL that is told of a job's end.
pub const MAX_WEBHOOK_URL: usize = 2048;

/// What a request asks for, with everything in it known to be right but the pictures themselves.
#[derive(Debug, Clone, PartialEq)]
pub struct Submission<'a> {
    /// The task and its options.
    pub options: TaskOptions,
    /// Speed against quality.
    pub mode: Mode,
    /// The file format of the outputs.
    pub output_format: OutputFormat,
    /// How strictly to moderate.
    pub moderation: ModerationLevel,
    /// How many samples, 1 to [`MAX_SAMPLES`].
    pub samples: u8,
    /// The first sample's seed; drawn where absent.
    pub seed: Option<u64>,
    /// Who is told of the job's end: an `http` or `https` URL with a host and without a user.
    pub webhook_url: Option<Url>,
    /// What the client calls the person that it is for.
    pub end_user: Option<String>,
    /// The person, face or body.
    pub person: ImageSource<'a>,
    /// The garment or design; a hairstyle has none.
    pub garment: Option<ImageSource<'a>>,
}

impl Submission<'_> {
    /// The names of the fields that the two pictures came in.
    pub const fn picture_fields(&self) -> (&'static str, &'static str) {
        picture_fields(self.options.task())
    }
}

/// The names of the fields that a task's two pictures come in. A hairstyle has no second one.
pub const fn picture_fields(task: Task) -> (&'static str, &'static str) {
    match task {
        Task::Clothes => ("model_image", "garment_image"),
        Task::Hairstyle => ("face_image", ""),
        Task::Tattoo => ("body_image", "design_image"),
    }
}

/// Reads and checks the body of a request for `task`.
pub fn parse(task: Task, body: &[u8]) -> Result<Submission<'_>, RequestFault> {
    match task {
        Task::Clothes => read::<ClothesRequest<'_>>(body)?.check(),
        Task::Hairstyle => read::<HairstyleRequest<'_>>(body)?.check(),
        Task::Tattoo => read::<TattooRequest<'_>>(body)?.check(),
    }
}

/// Reads a body, which is not checked then.
pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, RequestFault> {
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => return Err(RequestFault::Empty),
        // A struct would also be read from a list.
        Some(b'[') => return Err(RequestFault::NotObject),
        Some(_) => {}
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let request = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        fault(path, error.inner())
    })?;
    reader
        .end()
        .map_err(|error| fault(".".to_owned(), &error))?;
    Ok(request)
}

fn fault(path: String, error: &serde_json::Error) -> RequestFault {
    let reason = error.to_string();
    if !error.is_data() {
        return RequestFault::NotJson { reason };
    }
    // Where in the body says nothing: the field is named.
    let reason = reason
        .split(" at line ")
        .next()
        .unwrap_or_default()
        .to_owned();
    if reason.starts_with("duplicate field") {
        return RequestFault::Doubled { reason };
    }
    match path.as_str() {
        "." => RequestFault::NotObject,
        _ => RequestFault::WrongType {
            field: path,
            reason,
        },
    }
}

/// The value of this name, or the default where the field is absent.
pub(super) fn named<T>(
    field: &'static str,
    text: Option<&Text<'_>>,
    default: T,
) -> Result<T, RequestFault>
where
    T: FromStr<Err: ToString>,
{
    let parse = |text: &Text<'_>| text.0.parse();
    let value = text.map_or(Ok(default), parse);
    value.map_err(|error| RequestFault::wrong(field, &error))
}

/// A text in the client's words; `None` where it is absent or blank.
pub(super) fn words(
    field: &'static str,
    text: Option<&Text<'_>>,
) -> Result<Option<String>, RequestFault> {
    let Some(text) = text.and_then(Text::filled) else {
        return Ok(None);
    };
    let length = text.chars().count();
    if length > MAX_WORDS {
        return Err(RequestFault::TooLong {
            field,
            length,
            limit: MAX_WORDS,
        });
    }
    Ok(Some(text.to_owned()))
}

/// A client's name for the person that a job is for, as it is: blanks count.
pub fn end_user(name: &str) -> Result<&str, RequestFault> {
    let length = name.chars().count();
    if (1..=MAX_END_USER).contains(&length) {
        return Ok(name);
    }
    let reason = format!("it has {length} characters, not 1 to {MAX_END_USER}");
    Err(RequestFault::wrong("end_user_id", &reason))
}

/// The same out of a body, where it may be absent.
pub(super) fn find_end_user(text: Option<&Text<'_>>) -> Result<Option<String>, RequestFault> {
    let name = text.map(|text| end_user(&text.0)).transpose()?;
    Ok(name.map(str::to_owned))
}

/// How many samples.
pub(super) fn samples(number: Option<Whole>) -> Result<u8, RequestFault> {
    const RANGE: RangeInclusive<u8> = 1..=MAX_SAMPLES;
    let Some(Whole(number)) = number else {
        return Ok(1);
    };
    u8::try_from(number)
        .ok()
        .filter(|number| RANGE.contains(number))
        .ok_or_else(|| {
            let reason = format!("{number} is not a whole number from 1 to {MAX_SAMPLES}");
            RequestFault::wrong("num_samples", &reason)
        })
}
