//! The `tryon` command: the whole platform in one binary.

mod config;
mod failure;
mod telemetry;

fn main() {}
