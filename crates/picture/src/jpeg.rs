//! JPEG's segments: what the decoder does not tell.
//!
//! A JPEG file is a sequence of segments `FF <marker> <length, 2 bytes> <payload>`; after a
//! start-of-scan segment, entropy-coded data follows up to the next marker.

const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: u8 = 0xd9;
const COMMENT: u8 = 0xfe;
const APP0: u8 = 0xe0;

/// The most a segment holds: its 16-bit length counts itself.
pub(crate) const MAX_PAYLOAD: usize = 65_533;

/// A marker and its payload, which is empty for markers without a length.
struct Segment<'a> {
    marker: u8,
    payload: &'a [u8],
    /// Where the segment ends in the file.
    end: usize,
}

/// Iterates over the segments, skipping entropy-coded data; stops where the file does.
fn segments(bytes: &[u8]) -> impl Iterator<Item = Segment<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let segment = next_segment(bytes, at)?;
        at = segment.end;
        Some(segment)
    })
}

fn next_segment(bytes: &[u8], from: usize) -> Option<Segment<'_>> {
    let (marker, start) = find_marker(bytes, from)?;
    if has_no_payload(marker) {
        return Some(Segment {
            marker,
            payload: &[],
            end: start,
        });
    }
    let length = bytes.get(start..start + 2)?;
    let length = usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
    let payload = bytes.get(start + 2..start + length)?;
    Some(Segment {
        marker,
        payload,
        end: start + length,
    })
}

/// The next marker at or after `from`, and where the bytes after it start.
fn find_marker(bytes: &[u8], from: usize) -> Option<(u8, usize)> {
    let mut at = from;
    loop {
        at += bytes.get(at..)?.iter().position(|&b| b == 0xff)?;
        match *bytes.get(at + 1)? {
            // A stuffed data byte, or a restart marker within a scan.
            0x00 | 0xd0..=0xd7 => at += 2,
            // Fill bytes may precede a marker.
            0xff => at += 1,
            marker => return Some((marker, at + 2)),
        }
    }
}

fn has_no_payload(marker: u8) -> bool {
    matches!(marker, 0x01 | 0xd8 | END_OF_IMAGE)
}

/// Whether the file goes on to its end-of-image marker. The decoder fills what is missing with
/// gray, so it would not notice.
pub(crate) fn is_complete(bytes: &[u8]) -> bool {
    let mut scanned = false;
    for segment in segments(bytes) {
        scanned |= segment.marker == START_OF_SCAN;
        if scanned && segment.marker == END_OF_IMAGE {
            return true;
        }
    }
    false
}

/// Whether every frame has no component with more samples than its first one, which is how pictures
/// are made. The decoder panics at some others.
pub(crate) fn is_sampled_as_usual(bytes: &[u8]) -> bool {
    let mut frames = segments(bytes).filter(|segment| is_start_of_frame(segment.marker));
    frames.all(|frame| {
        // Precision, height, width and the number of components, then three bytes for each: its id,
        // how often it is sampled across and down, and a table.
        let components = frame.payload.get(6..).unwrap_or_default();
        let mut sampling = components
            .chunks_exact(3)
            .map(|it| (it[1] >> 4, it[1] & 15));
        let Some((across, down)) = sampling.next() else {
            return false;
        };
        sampling.all(|(h, v)| (1..=across).contains(&h) && (1..=down).contains(&v))
    })
}

/// Among these markers are three of tables.
fn is_start_of_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

/// The comments, as text.
pub(crate) fn comments(bytes: &[u8]) -> Vec<String> {
    segments(bytes)
        .take_while(|segment| segment.marker != END_OF_IMAGE)
        .filter(|segment| segment.marker == COMMENT)
        .map(|segment| String::from_utf8_lossy(segment.payload).into_owned())
        .collect()
}

/// Inserts a comment behind the file's first segments (start of image, JFIF header).
///
/// `comment` is at most [`MAX_PAYLOAD`] bytes long.
pub(crate) fn insert_comment(file: &mut Vec<u8>, comment: &str) {
    let length = u16::try_from(comment.len() + 2).expect("BUG: the comment fits a segment");
    let at = segments(file)
        .take_while(|segment| matches!(segment.marker, 0xd8 | APP0))
        .last()
        .map_or(0, |segment| segment.end);
    let mut segment = vec![0xff, COMMENT];
    segment.extend(length.to_be_bytes());
    segment.extend(comment.as_bytes());
    file.splice(at..at, segment);
}
