//! What a request wants, out of its body.

use base64::{
    DecodeError, alphabet,
    engine::{
        DecodePaddingMode, Engine as _,
        general_purpose::{GeneralPurpose, GeneralPurposeConfig},
    },
};
use bytes::Bytes;
use tokio::task::spawn_blocking;
use tryon_api::public::{ImageSource, Submission};
use tryon_store::{Pair, Request};
use url::Url;

use super::Form;
use crate::error::ApiError;

/// Bodies up to this many bytes are read where they are, larger ones on a thread that may block.
pub(in crate::route) const SMALL: usize = 64 * 1024;

/// Some encoders pad and some do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A picture of a request.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::route) enum Picture {
    /// To be fetched.
    Url(Url),
    /// Sent along.
    Bytes(Bytes),
}

/// What a request wants.
#[derive(Debug)]
pub(super) struct Wanted {
    /// What the store keeps of it.
    pub(super) request: Request,
    /// How many samples.
    pub(super) samples: u8,
    /// The first sample's seed.
    pub(super) seed: Option<u64>,
    /// Who is told of its end.
    pub(super) webhook_url: Option<Url>,
    /// What the client calls the person that it is for.
    pub(super) end_user: Option<String>,
    /// Its pictures.
    pub(super) pictures: Pair<Picture>,
}

/// Reads a body whose pictures have at most `picture_limit` bytes each.
pub(super) async fn read(
    form: Form,
    body: Bytes,
    picture_limit: usize,
) -> Result<Wanted, ApiError> {
    let small = body.len() <= SMALL;
    let want = move || want(form.parse(&body)?, picture_limit);
    if small {
        return want();
    }
    spawn_blocking(want).await.map_err(ApiError::internal)?
}

fn want(submission: Submission<'_>, picture_limit: usize) -> Result<Wanted, ApiError> {
    let (person_field, garment_field) = submission.picture_fields();
    let person = picture(person_field, submission.person, picture_limit)?;
    let garment = submission.garment;
    let garment = garment
        .map(|source| picture(garment_field, source, picture_limit))
        .transpose()?;
    let request = Request {
        options: submission.options,
        mode: submission.mode,
        output_format: submission.output_format,
        moderation: submission.moderation,
    };
    let (samples, seed) = (submission.samples, submission.seed);
    let webhook_url = submission.webhook_url;
    Ok(Wanted {
        request,
        samples,
        seed,
        webhook_url,
        end_user: submission.end_user,
        pictures: Pair { person, garment },
    })
}

/// The picture that came in a field, of at most `limit` bytes where it was sent along.
pub(in crate::route) fn picture(
    field: &str,
    source: ImageSource<'_>,
    limit: usize,
) -> Result<Picture, ApiError> {
    let text = match source {
        ImageSource::Url(url) => return Ok(Picture::Url(url)),
        ImageSource::Base64(text) => text,
    };
    let too_large = || ApiError::too_large(&format!("`{field}`"), limit);
    // Four characters hold three bytes, but for what pads the last of them.
    if text.len() / 4 * 3 > limit.saturating_add(3) {
        return Err(too_large());
    }
    let bytes = BASE64
        .decode(text.as_bytes())
        .map_err(|error| not_base64(field, &error))?;
    if bytes.len() > limit {
        return Err(too_large());
    }
    Ok(Picture::Bytes(bytes.into()))
}

fn not_base64(field: &str, error: &DecodeError) -> ApiError {
    ApiError::bad_request(format!(
        "`{field}` is wrong: what follows `base64,` is not base64: {error}"
    ))
}
