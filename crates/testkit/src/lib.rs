//! testkit

pub mod drawing;
pub mod fake_worker;
