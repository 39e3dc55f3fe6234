//! How far it is: a bar on a terminal, a line now and then elsewhere.

use std::{
    io::IsTerminal as _,
    sync::Mutex,
    time::{Duration, Instant},
};

use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};

/// How often a line is printed where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(10);

/// Bytes that are done, of all that there are.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// When the last line was printed; `None` on a terminal.
    printed: Option<Mutex<Instant>>,
}

impl Progress {
    /// A bar for `total` bytes.
    pub(crate) fn of(total: u64) -> Self {
        let form = "{bar:30} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} \
                    {eta} {wide_msg}";
        let style = ProgressStyle::with_template(form).expect("BUG: the template is one");
        let bar = ProgressBar::new(total).with_style(style);
        let is_shown = std::io::stderr().is_terminal();
        let printed = (!is_shown).then(|| Mutex::new(Instant::now()));
        Self { bar, printed }
    }

    /// One that nobody sees.
    pub(crate) fn hidden() -> Self {
        let bar = ProgressBar::hidden();
        Self { bar, printed: None }
    }

    /// Says what is at work.
    pub(crate) fn name(&self, text: &str) {
        self.bar.set_message(text.to_owned());
    }

    /// So many bytes more are done.
    pub(crate) fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
        if let Some(line) = self.line(Instant::now()) {
            eprintln!("{line}");
        }
    }

    /// So many bytes have to be done again.
    pub(crate) fn retract(&self, bytes: u64) {
        self.bar.dec(bytes);
    }

    /// Prints without breaking the bar.
    pub(crate) fn print(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }
}

impl Progress {
    /// The line to print at `now`, if it is time for one.
    fn line(&self, now: Instant) -> Option<String> {
        let mut printed = self.printed.as_ref()?.lock().ok()?;
        if now.duration_since(*printed) < INTERVAL {
            return None;
        }
        *printed = now;
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or_default());
        let (done, total) = (DecimalBytes(done), DecimalBytes(total));
        Some(format!("{done} of {total}: {}", self.bar.message()))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_now_and_then_says_how_far_it_is() {
        let begun = Instant::now();
        let mut progress = Progress::of(3_000_000);
        progress.printed = Some(Mutex::new(begun));
        progress.name("model.safetensors");
        progress.bar.inc(1_500_000);
        assert_eq!(progress.line(begun), None);
        let expected = Some("1.50 MB of 3.00 MB: model.safetensors".to_owned());
        assert_eq!(progress.line(begun + INTERVAL), expected);
        assert_eq!(progress.line(begun + INTERVAL * 3 / 2), None);
        assert_eq!(Progress::hidden().line(begun + INTERVAL), None);
    }
}
