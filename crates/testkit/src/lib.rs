//! testkit

pub mod drawing;
