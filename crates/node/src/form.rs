//! Multipart forms, read field by field within limits.

use std::{collections::BTreeMap, error::Error};

use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures::{Stream, stream};
use multer::{Field, Multipart};

use crate::upload::UploadFault;

/// A field that a form may have. Fields of other names are read over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FieldSpec {
    pub(crate) name: &'static str,
    /// The most bytes it may have.
    pub(crate) limit: u64,
}

/// What is wrong with a form.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FormFault {
    #[error("the body is not `multipart/form-data`: {reason}")]
    NotMultipart { reason: String },
    #[error("the form is cut off or malformed: {reason}")]
    Malformed { reason: String },
    #[error("`{name}` is missing")]
    Missing { name: &'static str },
    #[error("`{name}` is empty")]
    Empty { name: &'static str },
    #[error("`{name}` was sent more than once")]
    Doubled { name: &'static str },
    #[error("`{name}` has more than {limit} bytes")]
    TooLong { name: &'static str, limit: u64 },
    #[error("`{name}` is not UTF-8 text")]
    NotText { name: &'static str },
    #[error("`{name}` has control characters")]
    NotPrintable { name: &'static str },
    #[error(transparent)]
    Upload(#[from] UploadFault),
}

impl From<multer::Error> for FormFault {
    fn from(error: multer::Error) -> Self {
        if let multer::Error::StreamReadFailed(source) = &error
            && let Some(fault) = source.downcast_ref::<UploadFault>()
        {
            return Self::Upload(fault.clone());
        }
        let reason = describe(&error);
        match error {
            multer::Error::NoMultipart
            | multer::Error::NoBoundary
            | multer::Error::DecodeContentType(_) => Self::NotMultipart { reason },
            _ => Self::Malformed { reason },
        }
    }
}

fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// The fields that were sent, each once.
#[derive(Debug, Default)]
pub(crate) struct Form {
    fields: BTreeMap<&'static str, Bytes>,
}

impl Form {
    /// Reads all of `body`.
    pub(crate) async fn read<S>(
        headers: &HeaderMap,
        body: S,
        specs: &[FieldSpec],
    ) -> Result<Self, FormFault>
    where
        S: Stream<Item = Result<Bytes, UploadFault>> + Send + 'static,
    {
        let mut multipart = Multipart::new(body, boundary(headers)?);
        let mut form = Self::default();
        while let Some(field) = multipart.next_field().await? {
            let spec = specs.iter().find(|spec| field.name() == Some(spec.name));
            // The next call of `next_field` reads over a field that nobody reads.
            let Some(spec) = spec else { continue };
            let bytes = collect(field, *spec).await?;
            if form.fields.insert(spec.name, bytes).is_some() {
                return Err(FormFault::Doubled { name: spec.name });
            }
        }
        Ok(form)
    }

    /// Takes a field's bytes, at least one.
    pub(crate) fn take(&mut self, name: &'static str) -> Result<Bytes, FormFault> {
        self.find(name)?.ok_or(FormFault::Missing { name })
    }

    /// Takes a field's bytes, at least one, where it was sent.
    pub(crate) fn find(&mut self, name: &'static str) -> Result<Option<Bytes>, FormFault> {
        match self.fields.remove(name) {
            Some(bytes) if bytes.is_empty() => Err(FormFault::Empty { name }),
            found => Ok(found),
        }
    }

    /// Takes a field as text that is more than spaces.
    pub(crate) fn take_text(&mut self, name: &'static str) -> Result<String, FormFault> {
        self.find_text(name)?.ok_or(FormFault::Missing { name })
    }

    /// Takes a field as text where it was sent.
    pub(crate) fn find_text(&mut self, name: &'static str) -> Result<Option<String>, FormFault> {
        let Some(bytes) = self.find(name)? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| FormFault::NotText { name })?;
        if text.trim().is_empty() {
            return Err(FormFault::Empty { name });
        }
        Ok(Some(text.to_owned()))
    }

    /// Takes a field that is a name: printable, so that it may stand in logs and headers.
    pub(crate) fn take_name(&mut self, name: &'static str) -> Result<String, FormFault> {
        let text = self.take_text(name)?;
        if text.chars().any(char::is_control) {
            return Err(FormFault::NotPrintable { name });
        }
        Ok(text)
    }
}

fn boundary(headers: &HeaderMap) -> Result<String, FormFault> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    Ok(multer::parse_boundary(kind.unwrap_or_default())?)
}

async fn collect(mut field: Field<'_>, spec: FieldSpec) -> Result<Bytes, FormFault> {
    let FieldSpec { name, limit } = spec;
    let mut bytes = BytesMut::new();
    while let Some(chunk) = field.chunk().await? {
        if (bytes.len() + chunk.len()) as u64 > limit {
            return Err(FormFault::TooLong { name, limit });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// What the beginning of a form tells about one of its fields.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Glimpse {
    /// It is there.
    Found(String),
    /// A file comes first, or it is no form.
    Absent,
    /// More of the form is needed.
    Unclear,
}

/// Looks for a text field among those that come before the first file.
pub(crate) async fn glimpse(headers: &HeaderMap, start: Bytes, name: &str) -> Glimpse {
    let Ok(boundary) = boundary(headers) else {
        return Glimpse::Absent;
    };
    let start = stream::iter([Ok::<_, UploadFault>(start)]);
    let mut multipart = Multipart::new(start, boundary);
    while let Ok(Some(field)) = multipart.next_field().await {
        if field.file_name().is_some() {
            return Glimpse::Absent;
        }
        let wanted = field.name() == Some(name);
        match field.text().await {
            Ok(text) if wanted => return Glimpse::Found(text),
            Ok(_) => {}
            Err(_) => return Glimpse::Unclear,
        }
    }
    Glimpse::Unclear
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "--b\r\nContent-Disposition: form-data; name=\"user_id\"\r\n\r\nu\r\n\
        --b\r\nContent-Disposition: form-data; name=\"job_id\"\r\n\r\nj-1\r\n\
        --b\r\nContent-Disposition: form-data; name=\"garment_image\"; filename=\"g.png\"\r\n\r\n";

    fn headers() -> HeaderMap {
        let kind = "multipart/form-data; boundary=b".parse().unwrap();
        HeaderMap::from_iter([(header::CONTENT_TYPE, kind)])
    }

    async fn glimpse_of(name: &str, length: usize) -> Glimpse {
        let start = Bytes::from_static(&FORM.as_bytes()[..length]);
        glimpse(&headers(), start, name).await
    }

    #[tokio::test]
    async fn a_field_is_seen_as_soon_as_it_ended_and_not_before() {
        let end = FORM
            .find("\r\n--b\r\nContent-Disposition: form-data; name=\"garment")
            .unwrap();
        for length in 0..=end + 4 {
            assert_eq!(
                glimpse_of("job_id", length).await,
                Glimpse::Unclear,
                "{length}"
            );
        }
        let found = Glimpse::Found("j-1".to_owned());
        assert_eq!(glimpse_of("job_id", FORM.len()).await, found);
    }

    #[tokio::test]
    async fn nothing_is_looked_for_behind_a_file() {
        assert_eq!(glimpse_of("session_id", FORM.len()).await, Glimpse::Absent);
        let none = glimpse(&HeaderMap::new(), Bytes::from_static(b"x"), "job_id").await;
        assert_eq!(none, Glimpse::Absent);
    }
}
