//! Offsets in one piece of memory.

use std::collections::BTreeMap;

/// What every offset is a multiple of: a device reads whole lines, and its libraries want it so.
const ALIGNMENT: usize = 256;

/// The next multiple of the alignment.
pub(super) const fn aligned(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT)
}

/// Memory of which parts are taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Space {
    /// Length by offset, of what is free below the end. No two touch.
    free: BTreeMap<usize, usize>,
    end: usize,
}

impl Space {
    /// All of it free.
    pub(super) fn of(bytes: usize) -> Self {
        Self {
            free: BTreeMap::from([(0, bytes)]),
            end: bytes,
        }
    }

    /// Bytes up to the end of what was ever taken.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// Whether nothing is taken.
    pub(super) fn is_free(&self) -> bool {
        self.free.get(&0) == Some(&self.end)
    }

    /// Takes the smallest free part that is large enough, if there is one.
    pub(super) fn find(&mut self, bytes: usize) -> Option<usize> {
        let bytes = aligned(bytes);
        let fitting = self.free.iter().filter(|(_, length)| **length >= bytes);
        let (offset, length) = fitting.min_by_key(|(_, length)| **length)?;
        let (offset, length) = (*offset, *length);
        self.free.remove(&offset);
        if length > bytes {
            self.free.insert(offset + bytes, length - bytes);
        }
        Some(offset)
    }

    /// Takes a part, at the end if nothing that is free is large enough.
    pub(super) fn take(&mut self, bytes: usize) -> usize {
        if let Some(offset) = self.find(bytes) {
            return offset;
        }
        // What is free at the end grows.
        let last = self
            .free
            .last_key_value()
            .map(|(at, length)| (*at, *length));
        let offset = match last {
            Some((at, length)) if at + length == self.end => {
                self.free.remove(&at);
                at
            }
            _ => self.end,
        };
        self.end = offset + aligned(bytes);
        offset
    }

    /// Gives a part back.
    pub(super) fn give(&mut self, offset: usize, bytes: usize) {
        let (mut start, mut length) = (offset, aligned(bytes));
        if let Some(after) = self.free.remove(&(start + length)) {
            length += after;
        }
        let before = self.free.range(..start).next_back();
        if let Some((at, before)) = before.map(|(at, before)| (*at, *before))
            && at + before == start
        {
            start = at;
            length += before;
        }
        self.free.insert(start, length);
    }
}

/// A part that is needed from one command to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) bytes: usize,
    pub(super) first: usize,
    pub(super) last: usize,
}

/// An offset for each span, so that no two that meet in time meet in space; and how much memory
/// that takes.
pub(super) fn arrange(spans: &[Span]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|span| spans[*span].first);
    let mut offsets = vec![0; spans.len()];
    let mut ends: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut space = Space::default();
    for id in order {
        let span = spans[id];
        while let Some((last, _)) = ends.first_key_value()
            && *last < span.first
        {
            for ended in ends.pop_first().into_iter().flat_map(|(_, ended)| ended) {
                space.give(offsets[ended], spans[ended].bytes);
            }
        }
        offsets[id] = space.take(span.bytes);
        ends.entry(span.last).or_default().push(id);
    }
    (offsets, space.end())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Space, Span, aligned, arrange};

    #[test]
    fn the_smallest_part_that_fits_is_taken() {
        let mut space = Space::default();
        let parts: Vec<usize> = [512, 256, 256, 256, 1024]
            .map(|bytes| space.take(bytes))
            .to_vec();
        assert_eq!(parts, [0, 512, 768, 1024, 1280]);
        space.give(0, 512);
        space.give(768, 256);
        assert_eq!(space.take(200), 768);
        assert_eq!(space.take(300), 0);
        assert_eq!(space.end(), 2304);
        space.give(1280, 1024);
        assert_eq!(space.take(2048), 1280, "what is free at the end grows");
        assert_eq!(space.end(), 3328);
    }

    #[test]
    fn what_is_given_back_is_whole_again() {
        let mut space = Space::of(1024);
        let parts: Vec<usize> = (0..4).map(|_| space.find(256).unwrap()).collect();
        assert_eq!(space.find(1), None);
        for part in [parts[1], parts[3], parts[0], parts[2]] {
            assert!(!space.is_free());
            space.give(part, 256);
        }
        assert!(space.is_free());
        assert_eq!(space.find(1024), Some(0));
    }

    proptest! {
        #[test]
        fn what_meets_in_time_does_not_meet_in_space(
            spans in prop::collection::vec((1_usize..5000, 0_usize..40, 0_usize..10), 1..60)
        ) {
            let spans: Vec<Span> = spans
                .into_iter()
                .map(|(bytes, first, length)| Span { bytes, first, last: first + length })
                .collect();
            let (offsets, end) = arrange(&spans);
            for (i, one) in spans.iter().enumerate() {
                prop_assert!(offsets[i] + one.bytes <= end);
                prop_assert_eq!(offsets[i] % 256, 0);
                for (j, other) in spans.iter().enumerate().skip(i + 1) {
                    if one.first <= other.last && other.first <= one.last {
                        let apart = offsets[i] + aligned(one.bytes) <= offsets[j]
                            || offsets[j] + aligned(other.bytes) <= offsets[i];
                        prop_assert!(apart, "{one:?} at {}, {other:?} at {}", offsets[i], offsets[j]);
                    }
                }
            }
            // Never more than all of them side by side.
            prop_assert!(end <= spans.iter().map(|span| aligned(span.bytes)).sum());
        }
    }
}
