//! The `tryon` command as its users run it: real processes on real sockets.

#![allow(clippy::unwrap_used, reason = "a test states what it expects")]

mod bench;
mod browser;
mod canary;
mod chaos;
mod clients;
mod cluster;
mod collector;
mod command;
mod demo;
mod described;
mod hub;
mod kill;
mod layer;
mod models;
mod node;
mod nodes;
mod process;
mod qwen;
mod registration;
mod rolling;
mod security;
mod serve;
mod submit;
mod trace;
