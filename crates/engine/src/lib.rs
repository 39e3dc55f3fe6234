//! The seam between the platform and a model.
//!
//! [`Engine`] is what a model implements: describe itself and run one request at a time,
//! synchronously, reporting progress and stopping when asked. An engine runs in a process of its
//! own, the worker, so that a crash, an out-of-memory kill or a broken device ends that process
//! only: [`worker::serve`] is the child's side of it and [`supervisor::Supervisor`] the parent's.
//!
//! ```no_run
//! use tryon_engine::supervisor::{Supervisor, SupervisorConfig, WorkerCommand};
//!
//! let program = "/usr/bin/tryon".into();
//! let command = WorkerCommand { program, args: vec!["worker".into()], env: Vec::new() };
//! let supervisor = Supervisor::start(SupervisorConfig::new(command));
//! println!("{:?}", supervisor.wait_loaded());
//! ```

pub mod engine;
mod frame;
mod stage;
pub mod supervisor;
pub mod worker;

pub use engine::{
    Description, Engine, EngineError, Load, Masked, Monitor, Options, Output, Parser, Refusal,
    Request, Step,
};
pub use stage::StageTime;
pub use tryon_core::stage::Stage;
