//! How far it is: a bar on a terminal, nothing elsewhere.

use indicatif::{ProgressBar, ProgressStyle};

/// Bytes that are done, of all that there are.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar for `total` bytes.
    pub(crate) fn of(total: u64) -> Self {
        let form = "{bar:30} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} \
                    {eta} {wide_msg}";
        let style = ProgressStyle::with_template(form).expect("BUG: the template is one");
        let bar = ProgressBar::new(total).with_style(style);
        Self { bar }
    }

    /// One that nobody sees.
    #[cfg(test)]
    pub(crate) fn hidden() -> Self {
        let bar = ProgressBar::hidden();
        Self { bar }
    }

    /// Says what is at work.
    pub(crate) fn name(&self, text: &str) {
        self.bar.set_message(text.to_owned());
    }

    /// So many bytes more are done.
    pub(crate) fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
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

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
