//! The tryon command.

fn main() {}
