//! The node on real sockets, with a real worker process behind it.

#![allow(clippy::unwrap_used, reason = "a test states what it expects")]

mod bad_input;
mod check;
mod contract;
mod crash;
mod early_answer;
mod form;
mod idempotency;
mod infer;
mod life;
mod process;
mod registration;
mod stage;
mod wire;

tryon_testkit::fake_worker!();
