//! What the supervisor's thread lets others see.

use std::{
    fmt,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use super::run::Unavailable;
use crate::engine::Description;

/// Where a worker is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum WorkerState {
    /// Its engine is being loaded.
    #[default]
    Loading,
    /// It runs what it is given.
    Ready,
    /// It was given up, until it is tried again after a while or told to restart.
    Failed {
        /// The last words of the worker.
        reason: String,
    },
}

type OnChange = Box<dyn Fn(&WorkerState) + Send + Sync>;

/// The state and who wants to know of it.
#[derive(Default)]
pub(super) struct Shared {
    inner: Mutex<Visible>,
    changed: Condvar,
    callbacks: Mutex<Vec<OnChange>>,
}

#[derive(Default)]
struct Visible {
    state: WorkerState,
    description: Option<Description>,
    pid: Option<u32>,
    busy: bool,
}

impl Visible {
    fn check_ready(&self) -> Result<(), Unavailable> {
        match &self.state {
            WorkerState::Loading => Err(Unavailable::Loading),
            WorkerState::Failed { reason } => Err(Unavailable::Failed {
                reason: reason.clone(),
            }),
            WorkerState::Ready => Ok(()),
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Visible> {
        // Every section leaves the values whole, also when a callback panicked elsewhere.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> WorkerState {
        self.lock().state.clone()
    }

    pub(super) fn description(&self) -> Option<Description> {
        self.lock().description.clone()
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.lock().pid
    }

    pub(super) fn is_busy(&self) -> bool {
        self.lock().busy
    }

    pub(super) fn on_change(&self, callback: OnChange) {
        self.callbacks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(callback);
    }

    pub(super) fn wait_loaded(&self) -> WorkerState {
        let loading = |visible: &mut Visible| visible.state == WorkerState::Loading;
        let visible = self.changed.wait_while(self.lock(), loading);
        visible
            .unwrap_or_else(PoisonError::into_inner)
            .state
            .clone()
    }

    /// Takes the worker for one run.
    pub(super) fn occupy(&self) -> Result<(), Unavailable> {
        let mut visible = self.lock();
        visible.check_ready()?;
        if visible.busy {
            return Err(Unavailable::Busy);
        }
        visible.busy = true;
        Ok(())
    }

    /// Whether the worker has an engine, busy or not.
    pub(super) fn check_ready(&self) -> Result<(), Unavailable> {
        self.lock().check_ready()
    }

    pub(super) fn vacate(&self) {
        self.lock().busy = false;
    }

    pub(super) fn set_pid(&self, pid: Option<u32>) {
        self.lock().pid = pid;
    }

    pub(super) fn set_description(&self, description: Description) {
        self.lock().description = Some(description);
    }

    pub(super) fn set_state(&self, state: &WorkerState) {
        // Taken first: who registers after having seen a state is not told of it again.
        let callbacks = self
            .callbacks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        {
            let mut visible = self.lock();
            if visible.state == *state {
                return;
            }
            visible.state = state.clone();
        }
        self.changed.notify_all();
        callbacks.iter().for_each(|callback| callback(state));
    }
}
