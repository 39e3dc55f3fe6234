//! The client against a real gateway, whose node does as it is told, through a proxy that harms
//! connections when it is told to; and against servers that are no such gateway.

#![allow(clippy::unwrap_used, reason = "a test states what it expects")]

mod account;
mod follow;
mod script;
mod stage;
mod strange;
mod submit;
mod webhook;
