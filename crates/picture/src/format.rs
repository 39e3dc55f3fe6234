//! The accepted file formats, recognised by content.

use std::fmt;

/// A file format that can be read. Names and extensions are never trusted: only the content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Portable Network Graphics.
    Png,
    /// JPEG, baseline or progressive.
    Jpeg,
    /// WebP, lossy or lossless.
    Webp,
}

impl Format {
    /// Recognises a format by its first bytes; `None` when it is none of the accepted ones.
    pub fn find(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
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
            ] => Some(Self::Webp),
            _ => None,
        }
    }

    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Webp => "webp",
        }
    }

    /// The MIME type, as in `image/png`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }

    /// The usual file extension, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::Webp => "WebP",
        })
    }
}

/// Says in words what content that is no accepted picture looks like.
pub(crate) fn describe_unknown(bytes: &[u8]) -> &'static str {
    const SIGNATURES: &[(usize, &[u8], &str)] = &[
        (0, b"GIF8", "a GIF picture"),
        (0, b"BM", "a BMP picture"),
        (0, b"II*\0", "a TIFF picture"),
        (0, b"MM\0*", "a TIFF picture"),
        (0, b"8BPS", "a Photoshop document"),
        (0, b"%PDF", "a PDF document"),
        (0, b"PK\x03\x04", "a ZIP archive"),
        (0, b"\xff\x0a", "a JPEG XL picture"),
        (4, b"JXL ", "a JPEG XL picture"),
        (4, b"ftypavif", "an AVIF picture"),
        (4, b"ftypavis", "an AVIF picture"),
        (4, b"ftyphei", "a HEIC picture"),
        (4, b"ftyphev", "a HEIC picture"),
        (4, b"ftypmif1", "a HEIF picture"),
        (4, b"ftypmsf1", "a HEIF picture"),
        (4, b"ftyp", "a video"),
    ];
    SIGNATURES
        .iter()
        .find(|(at, magic, _)| bytes.get(*at..).is_some_and(|rest| rest.starts_with(magic)))
        .map_or_else(|| describe_text(bytes), |(_, _, name)| name)
}

fn describe_text(bytes: &[u8]) -> &'static str {
    let head = &bytes[..bytes.len().min(512)];
    let text = String::from_utf8_lossy(head);
    let start = text.trim_start().to_ascii_lowercase();
    if head.contains(&0) || text.chars().filter(|&c| c == '\u{fffd}').count() > 1 {
        "unknown binary data"
    } else if start.starts_with("<!doctype html") || start.starts_with("<html") {
        "an HTML page"
    } else if start.starts_with("<svg") || (start.starts_with("<?xml") && start.contains("<svg")) {
        "an SVG drawing"
    } else {
        "text"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides_what_a_file_is() {
        let cases: [(&[u8], &str); 8] = [
            (b"GIF89a....", "a GIF picture"),
            (b"{\"url\": \"https://example.com\"}", "text"),
            ("gr\u{fc}\u{df}e".as_bytes(), "text"),
            (b"  <!DOCTYPE HTML><title>404</title>", "an HTML page"),
            (b"<?xml version='1.0'?><svg/>", "an SVG drawing"),
            (b"\0\0\0\x20ftypheic\0\0", "a HEIC picture"),
            (b"\0\0\0\x20ftypavif\0\0", "an AVIF picture"),
            (b"\x01\x02\0\x03", "unknown binary data"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Format::find(bytes), None);
            assert_eq!(describe_unknown(bytes), expected);
        }
    }
}
