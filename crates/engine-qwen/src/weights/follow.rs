//! How far a model is loaded.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Is told how far a model is loaded, by whichever thread loads it.
pub trait Follow: Send + Sync {
    /// So much is. Said after every tensor, so there is no time for much.
    fn advance(&self, loaded: Loaded);

    /// All is. Not said of what failed.
    fn finish(&self, loaded: Loaded);
}

/// Nobody is told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unfollowed;

impl Follow for Unfollowed {
    fn advance(&self, _: Loaded) {}

    fn finish(&self, _: Loaded) {}
}

/// How much of a model is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Bytes of its files that were read.
    pub bytes: u64,
    /// Bytes that there are to read. What no model has a use for may be among them.
    pub total: u64,
    /// Since it began.
    pub elapsed: Duration,
}

impl Loaded {
    /// The share that is read, in whole percent.
    pub fn percent(&self) -> u64 {
        100 * self.bytes / self.total.max(1)
    }

    /// 10⁹ bytes a second; 0 before any time went by.
    pub fn gb_per_second(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds == 0.0 {
            return 0.0;
        }
        self.bytes as f64 / seconds / 1e9
    }
}

/// What is said in the end.
impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, seconds) = (self.bytes as f64 / 1e9, self.elapsed.as_secs_f64());
        let rate = self.gb_per_second();
        write!(f, "loaded {bytes:.1} GB in {seconds:.1} s, {rate:.1} GB/s")
    }
}

/// Counts what is read of the files of one load. Clones count together.
#[derive(Clone)]
pub(crate) struct Meter(Arc<Count>);

struct Count {
    follower: Arc<dyn Follow>,
    total: u64,
    read: AtomicU64,
    begun: Instant,
    finished: AtomicBool,
}

impl Meter {
    /// For a load of so many bytes, which begins now.
    pub(crate) fn new(follower: &Arc<dyn Follow>, total: u64) -> Self {
        Self(Arc::new(Count {
            follower: Arc::clone(follower),
            total,
            read: AtomicU64::new(0),
            begun: Instant::now(),
            finished: AtomicBool::new(false),
        }))
    }

    /// So many bytes more were read. What a model reads of its files later is not counted.
    pub(super) fn add(&self, bytes: usize) {
        if self.0.finished.load(Ordering::Relaxed) {
            return;
        }
        self.0.read.fetch_add(bytes as u64, Ordering::Relaxed);
        self.0.follower.advance(self.loaded());
    }

    /// The load is done.
    pub(crate) fn finish(&self) {
        self.0.finished.store(true, Ordering::Relaxed);
        self.0.follower.finish(self.loaded());
    }

    fn loaded(&self) -> Loaded {
        Loaded {
            bytes: self.0.read.load(Ordering::Relaxed),
            total: self.0.total,
            elapsed: self.0.begun.elapsed(),
        }
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Meter").field(&self.loaded()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_loaded_is_said_with_its_rate() {
        let loaded = Loaded {
            bytes: 41_200_000_000,
            total: 41_200_000_000,
            elapsed: Duration::from_millis(18_300),
        };
        assert_eq!(loaded.to_string(), "loaded 41.2 GB in 18.3 s, 2.3 GB/s");
        let nothing = Loaded {
            elapsed: Duration::ZERO,
            ..loaded
        };
        assert_eq!(nothing.gb_per_second(), 0.0);
        let part = Loaded {
            bytes: 10_000_000_000,
            ..loaded
        };
        assert_eq!((part.percent(), loaded.percent()), (24, 100));
        assert_eq!(
            Loaded {
                total: 0,
                bytes: 0,
                ..part
            }
            .percent(),
            0
        );
    }
}
