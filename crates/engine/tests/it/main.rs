//! The supervisor against real worker processes.

#![allow(clippy::unwrap_used, reason = "a test states what it expects")]

mod question;
mod supervisor;
mod trouble;

tryon_testkit::fake_worker!();
