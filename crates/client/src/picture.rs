//! Pictures as they are sent.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

use crate::error::InputFault;

/// A picture: sent along, or fetched by the gateway.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Picture(String);

impl Picture {
    /// A PNG, JPEG or WebP file, which is sent along.
    pub fn from_bytes(file: &[u8]) -> Result<Self, InputFault> {
        let media_type = find_media_type(file).ok_or(InputFault::Picture)?;
        let mut text = format!("data:{media_type};base64,");
        BASE64_STANDARD.encode_string(file, &mut text);
        Ok(Self(text))
    }

    /// A picture at a public address, which the gateway fetches. One that it cannot fetch is told as
    /// the job's error.
    pub fn from_url(url: &str) -> Result<Self, InputFault> {
        is_address(url)
            .then(|| Self(url.to_owned()))
            .ok_or(InputFault::PictureUrl)
    }
}

/// Whether it is an `http` or `https` URL.
pub(crate) fn is_address(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// The media type, by the first bytes.
fn find_media_type(file: &[u8]) -> Option<&'static str> {
    match file {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("image/webp"),
        _ => None,
    }
}

impl Serialize for Picture {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A picture of a person, or a link to one, is in no log.
impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({} characters)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_first_bytes_say() {
        let files = [
            (
                &b"\x89PNG\r\n\x1a\n..."[..],
                "data:image/png;base64,iVBORw0KGgouLi4=",
            ),
            (b"\xff\xd8\xff\xe0", "data:image/jpeg;base64,/9j/4A=="),
            (
                b"RIFF\x04\0\0\0WEBP",
                "data:image/webp;base64,UklGRgQAAABXRUJQ",
            ),
        ];
        for (file, expected) in files {
            assert_eq!(Picture::from_bytes(file).unwrap().0, expected);
        }
        for file in [&b""[..], b"\x89PN", b"RIFF\x04\0\0\0WAVE", b"<svg/>"] {
            assert_eq!(Picture::from_bytes(file), Err(InputFault::Picture));
        }
    }

    #[test]
    fn an_address_is_a_url_and_nothing_is_printed() {
        let picture = Picture::from_url("https://shop.example/shirt.jpg?token=1").unwrap();
        assert_eq!(format!("{picture:?}"), "Picture(38 characters)");
        for text in [
            "",
            "shirt.jpg",
            "file:///shirt.jpg",
            "data:image/png;base64,AAAA",
        ] {
            assert_eq!(
                Picture::from_url(text),
                Err(InputFault::PictureUrl),
                "{text}"
            );
        }
    }
}
