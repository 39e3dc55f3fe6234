//! Where a picture comes from.

use std::borrow::Cow;

use url::Url;

use super::{RequestFault, Text, submission::MAX_URL};

/// Where a picture comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource<'a> {
    /// To be fetched: an `http` or `https` URL with a host.
    Url(Url),
    /// In the request: the characters after `base64,`, not yet decoded.
    Base64(Cow<'a, str>),
}

const NEEDED: &str = "an `http://` or `https://` URL, or `data:image/…;base64,…`, is needed";

impl<'a> ImageSource<'a> {
    /// Reads a required picture field.
    pub(super) fn require(
        field: &'static str,
        text: Option<Text<'a>>,
    ) -> Result<Self, RequestFault> {
        let missing = RequestFault::Missing {
            field,
            reason: NEEDED,
        };
        match text {
            Some(text) if text.filled().is_some() => Self::parse(field, text.0),
            _ => Err(missing),
        }
    }

    fn parse(field: &'static str, text: Cow<'a, str>) -> Result<Self, RequestFault> {
        if !text
            .get(..5)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
        {
            return parse_url(field, &text).map(Self::Url);
        }
        let start = base64_start(&text).ok_or_else(|| RequestFault::wrong(field, &NEEDED))?;
        if text.len() == start {
            return Err(RequestFault::wrong(field, &"the data URL holds no picture"));
        }
        Ok(Self::Base64(match text {
            Cow::Borrowed(text) => Cow::Borrowed(&text[start..]),
            Cow::Owned(mut text) => {
                text.drain(..start);
                Cow::Owned(text)
            }
        }))
    }
}

/// Where the picture begins in `data:image/<type>[;<parameter>];base64,<picture>`.
fn base64_start(text: &str) -> Option<usize> {
    // The head is short: a comma far behind belongs to no data URL, and is not searched for.
    let head = &text.as_bytes()[..text.len().min(256)];
    let comma = head.iter().position(|&byte| byte == b',')?;
    let head = text[..comma].to_ascii_lowercase();
    (head.starts_with("data:image/") && head.ends_with(";base64")).then_some(comma + 1)
}

fn parse_url(field: &'static str, text: &str) -> Result<Url, RequestFault> {
    if text.len() > MAX_URL {
        let length = text.len();
        return Err(RequestFault::TooLong {
            field,
            length,
            limit: MAX_URL,
        });
    }
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| RequestFault::wrong(field, &NEEDED))
}
