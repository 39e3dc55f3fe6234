//! Time between two tensors, and memory.

use std::{fmt, fs, time::Instant};

use tryon_engine_qwen::{ComputeError, backend::Backend, tap::Tap};

/// Times a part of a model, from the tensor that it begins with to the one that it ends with.
pub(crate) struct Stopwatch {
    from: &'static str,
    to: &'static str,
    started: Option<Instant>,
    seconds: Option<f64>,
}

impl Stopwatch {
    pub(crate) fn new(from: &'static str, to: &'static str) -> Self {
        Self {
            from,
            to,
            started: None,
            seconds: None,
        }
    }

    /// What was measured.
    pub(crate) fn seconds(&self) -> f64 {
        self.seconds
            .unwrap_or_else(|| panic!("there was no `{}` after a `{}`", self.to, self.from))
    }

    fn pass(&mut self, name: fmt::Arguments<'_>) {
        let now = Instant::now();
        let name = name.to_string();
        if name == self.to {
            self.seconds = self.started.map(|start| (now - start).as_secs_f64());
        }
        if name == self.from {
            self.started = Some(Instant::now());
        }
    }
}

impl<B: Backend> Tap<B> for Stopwatch {
    fn is_on(&self) -> bool {
        true
    }

    fn see(&mut self, _: &B, name: fmt::Arguments<'_>, _: &B::Tensor) -> Result<(), ComputeError> {
        self.pass(name);
        Ok(())
    }

    fn note(&mut self, name: fmt::Arguments<'_>, _: &[f64]) {
        self.pass(name);
    }
}

/// The middle of sorted numbers.
pub(crate) fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        sorted[middle - 1].midpoint(sorted[middle])
    } else {
        sorted[middle]
    }
}

/// To a tenth of a millisecond.
pub(crate) fn rounded(seconds: f64) -> f64 {
    (seconds * 1e4).round() / 1e4
}

/// An entry of what Linux says about this process, in MiB; nothing on another system.
pub(crate) fn status_mib(key: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let entry = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kib = entry.trim_matches(|c: char| !c.is_ascii_digit());
    kib.parse::<u64>().ok().map(|kib| kib / 1024)
}
