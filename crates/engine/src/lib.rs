//! The seam between the platform and a model.
//!
//! [`Engine`] is what a model implements: describe itself and run one request at a time,
//! synchronously, reporting progress and stopping when asked. An engine runs in a process of its
//! own, the worker, so that a crash, an out-of-memory kill or a broken device ends that process
//! only; `worker` is the child's side of it and `supervisor` the parent's.

pub mod engine;

pub use engine::{
    Description, Engine, EngineError, Load, Monitor, Options, Output, Refusal, Request, Step,
};
