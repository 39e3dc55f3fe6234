//! WebP chunks, as far as the decoder is too trusting.

/// Whether the metadata that is read lies in the file. The decoder makes room for as much of it as
/// the file claims to have, and fills that with zeros.
pub(crate) fn holds_its_metadata(bytes: &[u8]) -> bool {
    // The file's own header: `RIFF`, a size, `WEBP`.
    let mut rest = bytes.get(12..).unwrap_or_default();
    while let [a, b, c, d, s0, s1, s2, s3, payload @ ..] = rest {
        let size = u32::from_le_bytes([*s0, *s1, *s2, *s3]) as usize;
        if payload.len() < size {
            return !matches!(&[*a, *b, *c, *d], b"EXIF" | b"ICCP");
        }
        // Chunks begin at even places.
        rest = payload.get(size + size % 2..).unwrap_or_default();
    }
    true
}
