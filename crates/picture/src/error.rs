//! What can be wrong with a picture.

use crate::Format;

/// Why a picture was refused, with the figures a caller needs to say so.
///
/// The messages are meant for whoever sent the picture: they name the limit and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// No bytes at all.
    #[error("the picture is empty (0 bytes); send a PNG, JPEG or WebP file")]
    Empty,
    /// The file is larger than [`Limits::max_bytes`](crate::Limits).
    #[error(
        "the picture has {bytes} bytes, {limit} are accepted; \
         send a smaller or more strongly compressed file"
    )]
    TooManyBytes {
        /// Size of the file.
        bytes: u64,
        /// The most that is accepted.
        limit: u64,
    },
    /// The header promises more pixels than [`Limits::max_pixels`](crate::Limits).
    #[error(
        "the picture is {width}x{height}, that is {} pixels and {limit} are accepted; \
         scale it down", u64::from(*width) * u64::from(*height)
    )]
    TooManyPixels {
        /// Columns, in pixels.
        width: u32,
        /// Rows, in pixels.
        height: u32,
        /// The most pixels that are accepted.
        limit: u64,
    },
    /// The first bytes are not those of a supported format.
    #[error("the file is {found}, not a picture that can be read; send a PNG, JPEG or WebP file")]
    UnknownFormat {
        /// What the content looks like, with its article: `text`, `a GIF picture`.
        found: &'static str,
    },
    /// More than one frame.
    #[error("the {format} picture is animated; send a still picture")]
    Animated {
        /// The recognised format.
        format: Format,
    },
    /// The file ends before its last pixel.
    #[error("the {format} picture is cut off; send the whole file")]
    Truncated {
        /// The recognised format.
        format: Format,
    },
    /// Its colours have more samples than its brightness, or none.
    #[error(
        "the {format} picture holds its colours in a way that is not taken; open it in an editor and \
         export it anew"
    )]
    OddSampling {
        /// The recognised format.
        format: Format,
    },
    /// The file is damaged, or uses a feature that its decoder lacks.
    #[error("the {format} picture is damaged ({source}); open it in an editor and export it anew")]
    Corrupt {
        /// The recognised format.
        format: Format,
        /// What the decoder met.
        source: image::ImageError,
    },
    /// The pixels or the text cannot be written in the wanted format.
    #[error("a {width}x{height} picture cannot be written as {format}: {source}")]
    Unwritable {
        /// The wanted format.
        format: Format,
        /// Columns, in pixels.
        width: u32,
        /// Rows, in pixels.
        height: u32,
        /// What the encoder met.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
