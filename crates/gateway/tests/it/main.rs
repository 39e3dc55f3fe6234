//! The gateway over real sockets, with a store and pictures on disk and a node that does as it is
//! told.

#![allow(clippy::unwrap_used, reason = "a test states what it expects")]

mod bucket;
mod callback;
mod check;
mod contract;
mod credit;
mod dashboard;
mod dispatch;
mod erasure;
mod fashn;
mod fetch;
mod field;
mod follow;
mod guard;
mod host;
mod hostile;
mod idempotency;
mod input;
mod keep;
mod lab;
mod limit;
mod metric;
mod oidc;
mod page;
mod rate;
mod registration;
mod scope;
mod several;
mod slow;
mod stage;
mod stranger;
mod tls;
mod upload;
mod webhook;
