//! Real files, made here, through the whole crate.

#![allow(clippy::unwrap_used, reason = "a test states what it expects")]

mod decode;
mod file;
mod mask;
mod mutation;
mod resize;
mod text;
