//! Reading what a node reports, within limits of size, time and memory.

use std::pin::Pin;

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _, stream};
use http_body_util::BodyExt as _;
use multer::{Constraints, Field, Multipart, SizeLimit};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};
use tryon_api::callback::field;
use url::form_urlencoded;

use super::failure::Words;
use crate::{
    app::App,
    config::LimitConfig,
    error::ApiError,
    route::body::{announced, too_large},
};

/// The longest text of a form, in bytes, and the longest form without a picture.
const LONGEST_TEXT: usize = 64 * 1024;

/// What a node reports of an attempt.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// The attempt's name, as the node was given it.
    pub(super) job_id: String,
    /// What made the picture.
    pub(super) model_version: String,
    /// How long that took.
    pub(super) inference_ms: u64,
    /// The picture's file, on success.
    pub(super) image: Option<Bytes>,
    /// What went wrong, on failure.
    pub(super) failure: Words,
}

impl Report {
    /// Takes a text field. What is not known is passed over.
    fn take(&mut self, name: &str, text: String) {
        match name {
            field::JOB_ID => self.job_id = text,
            field::MODEL_VERSION => self.model_version = text,
            // Some nodes write fractions of a millisecond.
            field::INFERENCE_TIME_MS => {
                let whole = text.split('.').next().unwrap_or_default();
                self.inference_ms = whole.parse().unwrap_or_default();
            }
            // Some nodes send every field, and leave empty what they have nothing for.
            _ if text.trim().is_empty() => {}
            field::ERROR => self.failure.error = Some(text),
            field::ERROR_NAME => self.failure.error_name = Some(text),
            field::RETRYABLE => {
                self.failure.retryable = text.trim().to_ascii_lowercase().parse().ok();
            }
            _ => {}
        }
    }

    pub(super) fn check(self) -> Result<Self, ApiError> {
        if self.job_id.is_empty() {
            Err(ApiError::bad_request("the field `job_id` is missing"))
        } else {
            Ok(self)
        }
    }
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// Its sender was silent for too long.
    #[error("the request's body did not arrive in time")]
    Silent,
    /// Its sender went away.
    #[error("the request's body broke off")]
    Broken,
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Silent => Self::body_timeout(),
            ReadError::Broken => Self::bad_request("the request's body broke off"),
        }
    }
}

/// The pieces of a body as they arrive.
pub(super) type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, ReadError>> + Send>>;

/// The pieces of a body, each of which has to come in time.
pub(super) fn chunks(body: Body, limits: &LimitConfig) -> Chunks {
    let idle = limits.body_idle.duration();
    let next = move |mut body: Body| async move {
        loop {
            let chunk = match timeout(idle, body.frame()).await {
                Err(_) => Err(ReadError::Silent),
                Ok(None) => return None,
                Ok(Some(Err(_))) => Err(ReadError::Broken),
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => Ok(data),
                    Err(_) => continue,
                },
            };
            return Some((chunk, body));
        }
    };
    stream::unfold(body, next).boxed()
}

/// Reads a body that is never long.
pub(super) async fn read_small(body: Body, limits: &LimitConfig) -> Result<BytesMut, ApiError> {
    let mut chunks = chunks(body, limits);
    let mut read = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        read.extend_from_slice(&chunk.map_err(ApiError::from)?);
        if read.len() > LONGEST_TEXT {
            return Err(ApiError::too_large("the request's body", LONGEST_TEXT));
        }
    }
    Ok(read)
}

/// Reads a report: multipart, or urlencoded, as some nodes send their failures. With it comes its
/// share of the memory, to be kept for as long as its picture is.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    app: &App,
) -> Result<(Report, OwnedSemaphorePermit), ApiError> {
    let limits = &app.config.limits;
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(kind).ok();
    let limit = match boundary {
        Some(_) => limits.body_bytes,
        None if is_urlencoded(kind) => LONGEST_TEXT,
        None => {
            let message = "results are `multipart/form-data`, failures also \
                           `application/x-www-form-urlencoded`";
            return Err(ApiError::bad_request(message));
        }
    };
    let expected = announced(&body);
    if expected.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let share = app.results.reserve(expected.unwrap_or(limit)).await;
    let share = share.ok_or_else(|| ApiError::unavailable("too many results at once"))?;
    let chunks = chunks(body, limits);
    let whole = async {
        match boundary {
            Some(boundary) => read_multipart(chunks, boundary, limit).await,
            None => read_urlencoded(chunks, limit).await,
        }
    };
    let report = timeout(limits.body_timeout.duration(), whole).await;
    let report = report.map_err(|_| ApiError::body_timeout())??;
    Ok((report.check()?, share))
}

fn is_urlencoded(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

pub(super) async fn read_multipart(
    chunks: Chunks,
    boundary: String,
    limit: usize,
) -> Result<Report, ApiError> {
    let sizes = SizeLimit::new()
        .whole_stream(limit as u64)
        .per_field(LONGEST_TEXT as u64)
        .for_field(field::OUTPUT_IMAGE, limit as u64);
    let constraints = Constraints::new().size_limit(sizes);
    let mut form = Multipart::with_constraints(chunks, boundary, constraints);
    let mut report = Report::default();
    let wrong = |error| malformed(error, limit);
    while let Some(mut part) = form.next_field().await.map_err(wrong)? {
        let name = part.name().unwrap_or_default().to_owned();
        let content = collect(&mut part).await.map_err(wrong)?;
        match name.as_str() {
            field::OUTPUT_IMAGE => report.image = Some(content),
            name => report.take(name, String::from_utf8_lossy(&content).into_owned()),
        }
    }
    Ok(report)
}

async fn collect(part: &mut Field<'static>) -> Result<Bytes, multer::Error> {
    let mut content = BytesMut::new();
    while let Some(chunk) = part.chunk().await? {
        content.extend_from_slice(&chunk);
    }
    Ok(content.freeze())
}

fn malformed(error: multer::Error, limit: usize) -> ApiError {
    match error {
        multer::Error::FieldSizeExceeded { .. } | multer::Error::StreamSizeExceeded { .. } => {
            too_large(limit)
        }
        multer::Error::StreamReadFailed(cause) => match cause.downcast::<ReadError>() {
            Ok(cause) => (*cause).into(),
            Err(_) => ReadError::Broken.into(),
        },
        error => ApiError::bad_request(format!("the multipart form cannot be read: {error}")),
    }
}

pub(super) async fn read_urlencoded(mut chunks: Chunks, limit: usize) -> Result<Report, ApiError> {
    let mut text = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        if text.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        text.extend_from_slice(&chunk);
    }
    let mut report = Report::default();
    for (name, value) in form_urlencoded::parse(&text) {
        report.take(&name, value.into_owned());
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &'static str) -> Chunks {
        let pieces = text.as_bytes().chunks(7).map(Bytes::from_static);
        stream::iter(pieces.map(Ok)).boxed()
    }

    #[tokio::test]
    async fn a_failure_reads_the_same_in_both_forms() {
        let urlencoded = "job_id=a-0.1&error=out+of+memory&retryable=true&inference_time_ms=12.5";
        let one = read_urlencoded(pieces(urlencoded), 1000).await.unwrap();
        let multipart = "--x\r\nContent-Disposition: form-data; name=\"job_id\"\r\n\r\na-0.1\r\n\
            --x\r\nContent-Disposition: form-data; name=\"error\"\r\n\r\nout of memory\r\n\
            --x\r\nContent-Disposition: form-data; name=\"retryable\"\r\n\r\ntrue\r\n\
            --x\r\nContent-Disposition: form-data; name=\"inference_time_ms\"\r\n\r\n12\r\n--x--\r\n";
        let other = read_multipart(pieces(multipart), "x".to_owned(), 1000)
            .await
            .unwrap();
        assert_eq!(one, other);
        assert_eq!((one.job_id.as_str(), one.inference_ms), ("a-0.1", 12));
        assert_eq!(one.failure.retryable, Some(true));
    }

    #[test]
    fn an_empty_field_says_nothing() {
        let mut report = Report::default();
        report.take("error", String::new());
        report.take("error_name", " ".to_owned());
        report.take("retryable", "False".to_owned());
        assert_eq!(
            (&report.failure.error, &report.failure.error_name),
            (&None, &None)
        );
        assert_eq!(report.failure.retryable, Some(false));
    }

    #[tokio::test]
    async fn what_is_too_large_or_malformed_is_refused() {
        assert!(
            read_urlencoded(pieces("job_id=aaaaaaaaaaaa"), 10)
                .await
                .is_err()
        );
        let form = "--x\r\nContent-Disposition: form-data; name=\"output_image\"\r\n\r\nabcdefgh";
        for limit in [10, 1000] {
            assert!(
                read_multipart(pieces(form), "x".to_owned(), limit)
                    .await
                    .is_err()
            );
        }
        assert!(Report::default().check().is_err());
    }
}
