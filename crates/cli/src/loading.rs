//! How far a model is loaded: lines for a node's log, or a bar.

use std::{
    io::IsTerminal as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use indicatif::DecimalBytes;
use tryon_engine_qwen::weights::{Follow, Loaded};

use crate::model::progress::Progress;

/// How often a line is printed. Of a model that loads sooner, only the end is told.
const INTERVAL: Duration = Duration::from_secs(5);

/// A bar on a terminal, lines elsewhere.
pub(crate) fn shown() -> Arc<dyn Follow> {
    if std::io::stderr().is_terminal() {
        Arc::new(Bar::default())
    } else {
        Arc::new(Lines::default())
    }
}

/// A line to standard error now and then, and one in the end. A worker's node logs them.
#[derive(Debug, Default)]
pub(crate) struct Lines(Mutex<Duration>);

impl Lines {
    /// The line to print, if it is time for one.
    fn line(&self, loaded: Loaded) -> Option<String> {
        let mut said = locked(&self.0);
        if loaded.elapsed < *said {
            // Another load: one that fails has no end.
            *said = Duration::ZERO;
        }
        if loaded.elapsed.saturating_sub(*said) < INTERVAL {
            return None;
        }
        *said = loaded.elapsed;
        let (done, total) = (DecimalBytes(loaded.bytes), DecimalBytes(loaded.total));
        let (share, rate) = (loaded.percent(), loaded.gb_per_second());
        Some(format!(
            "loading: {done} of {total}, {share} %, {rate:.1} GB/s"
        ))
    }
}

impl Follow for Lines {
    fn advance(&self, loaded: Loaded) {
        if let Some(line) = self.line(loaded) {
            eprintln!("{line}");
        }
    }

    fn finish(&self, loaded: Loaded) {
        *locked(&self.0) = Duration::ZERO;
        eprintln!("{loaded}");
    }
}

/// A bar while something is loaded, and how fast it was in the end.
#[derive(Default)]
pub(crate) struct Bar(Mutex<Option<(Progress, u64)>>);

impl Follow for Bar {
    fn advance(&self, loaded: Loaded) {
        let mut bar = locked(&self.0);
        // Another load: one that fails has no end.
        bar.take_if(|(_, shown)| *shown > loaded.bytes);
        let (progress, shown) = bar.get_or_insert_with(|| {
            let progress = Progress::of(loaded.total);
            progress.name("loading the model");
            (progress, 0)
        });
        progress.advance(loaded.bytes - *shown);
        *shown = loaded.bytes;
    }

    fn finish(&self, loaded: Loaded) {
        // Gone before the line.
        drop(locked(&self.0).take());
        eprintln!("{loaded}");
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(tenths: u64, seconds: u64) -> Loaded {
        Loaded {
            bytes: tenths * 4_000_000_000,
            total: 40_000_000_000,
            elapsed: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn a_line_now_and_then_says_how_far_it_is() {
        let lines = Lines::default();
        assert_eq!(lines.line(loaded(1, 4)), None, "it may be done soon");
        let line = lines.line(loaded(1, 10)).unwrap();
        assert_eq!(line, "loading: 4.00 GB of 40.00 GB, 10 %, 0.4 GB/s");
        assert_eq!(lines.line(loaded(2, 14)), None, "too soon");
        assert!(lines.line(loaded(2, 15)).is_some());
        assert!(lines.line(loaded(1, 6)).is_some(), "another load");
        lines.finish(loaded(10, 20));
        assert!(lines.line(loaded(1, 7)).is_some(), "and another");
    }

    #[test]
    fn a_bar_is_as_far_as_was_told_and_ends_with_its_load() {
        let bar = Bar::default();
        for tenths in [1, 4] {
            bar.advance(loaded(tenths, 1));
        }
        let shown = |bar: &Bar| locked(&bar.0).as_ref().map(|(_, shown)| *shown);
        assert_eq!(shown(&bar), Some(16_000_000_000));
        bar.advance(loaded(2, 1));
        assert_eq!(shown(&bar), Some(8_000_000_000), "another load");
        bar.finish(loaded(10, 2));
        assert_eq!(shown(&bar), None);
    }
}
