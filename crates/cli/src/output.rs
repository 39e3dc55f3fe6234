//! What is printed. Who reads it may have seen enough.

use std::{
    fmt,
    io::{self, ErrorKind, Write as _},
    process,
};

/// As the standard macro of this name, but for a reader that is gone, as of `tryon doctor | head -1`:
/// that ends the program quietly.
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

/// Prints a text, or ends the program: successfully where nobody reads it any more, as that is no
/// failure of what it does.
pub(crate) fn print(text: fmt::Arguments<'_>) {
    let mut stdout = io::stdout().lock();
    let Err(error) = stdout.write_fmt(text).and_then(|()| stdout.flush()) else {
        return;
    };
    if error.kind() == ErrorKind::BrokenPipe {
        process::exit(0);
    }
    // Where that cannot be said either, nothing can.
    let hint = "what standard output goes to may be full";
    let _ = writeln!(
        io::stderr(),
        "error: nothing can be printed: {error}\nhint: {hint}"
    );
    process::exit(1);
}
