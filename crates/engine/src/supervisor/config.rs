//! How a worker is started and when it is given up.

use std::{ffi::OsString, path::PathBuf, time::Duration};

/// What to execute.
#[derive(Debug, Clone)]
pub struct WorkerCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables to add to its environment.
    pub env: Vec<(OsString, OsString)>,
}

/// What a supervisor needs to know.
#[derive(Debug, Clone)]
pub struct SupervisorConfig {
    /// The worker.
    pub command: WorkerCommand,
    /// A run that takes longer is ended, and its worker with it.
    pub job_timeout: Duration,
    /// A worker that takes longer to load is ended.
    pub load_timeout: Duration,
    /// After this many crashes within [`Self::crash_window`], or in a row without a run that went
    /// well, the worker is given up for a while.
    pub crash_limit: usize,
    /// See [`Self::crash_limit`].
    pub crash_window: Duration,
    /// After this many workers in a row that ended before their engine was loaded, too.
    pub load_limit: usize,
    /// From the second of those on, how long the next one waits to be started.
    pub load_pause: Duration,
    /// How long it is given up for, the first time; doubled each time after.
    pub back_off: Duration,
    /// The longest it is given up for.
    pub max_back_off: Duration,
}

impl SupervisorConfig {
    /// The defaults: ten crashes a minute, three loads that fail, half a minute to five minutes of
    /// rest.
    pub fn new(command: WorkerCommand) -> Self {
        Self {
            command,
            job_timeout: Duration::from_mins(10),
            load_timeout: Duration::from_mins(30),
            crash_limit: 10,
            crash_window: Duration::from_mins(1),
            load_limit: 3,
            load_pause: Duration::from_secs(5),
            back_off: Duration::from_secs(30),
            max_back_off: Duration::from_mins(5),
        }
    }
}
