//! What is printed. Who reads it may have seen enough.

use std::{
    fmt,
    io::{self, ErrorKind, Write as _},
    process,
    sync::atomic::{AtomicBool, Ordering},
};

/// As the standard macro of this name, but for a reader that is gone, as of `tryon doctor | head -1`:
/// the command goes on, and nothing more is printed.
macro_rules! println {
    () => {
        $crate::output::print(format_args!("\n"))
    };
    ($($argument:tt)*) => {
        $crate::output::print(format_args!("{}\n", format_args!($($argument)*)))
    };
}

/// The same without an end of the line.
macro_rules! print {
    ($($argument:tt)*) => {
        $crate::output::print(format_args!($($argument)*))
    };
}

/// Whether nobody reads any more.
static UNREAD: AtomicBool = AtomicBool::new(false);

/// Prints a text, if somebody reads it: what a command does, and whether it fails, does not depend on
/// that. Ends the program where it cannot be printed for another reason.
pub(crate) fn print(text: fmt::Arguments<'_>) {
    if UNREAD.load(Ordering::Relaxed) {
        return;
    }
    let mut stdout = io::stdout().lock();
    let Err(error) = stdout.write_fmt(text).and_then(|()| stdout.flush()) else {
        return;
    };
    if error.kind() == ErrorKind::BrokenPipe {
        return UNREAD.store(true, Ordering::Relaxed);
    }
    // Where that cannot be said either, nothing can.
    let hint = "what standard output goes to may be full";
    let _ = writeln!(
        io::stderr(),
        "error: nothing can be printed: {error}\nhint: {hint}"
    );
    process::exit(1);
}
