//! The one place that a job takes while it has the device.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;
use tryon_engine::{Step, supervisor::RunHandle};

use crate::pace::{Course, Pace};

/// The device is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Occupied {
    /// By which job.
    pub(crate) job_id: String,
    /// Whole seconds until it is expected to be free, at least 1.
    pub(crate) retry_after: u64,
}

/// What is known of the job that has the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Occupation {
    pub(crate) job_id: String,
    pub(crate) step: Option<Step>,
    /// The time it is expected to take still; `None` before anything was measured.
    pub(crate) remaining: Option<Duration>,
}

/// Whether a job has the device, and which.
pub(crate) struct Slot {
    inner: Mutex<Inner>,
    /// Whether it is taken, for those who wait.
    taken: watch::Sender<bool>,
}

#[derive(Default)]
struct Inner {
    current: Option<Current>,
    pace: Pace,
    tickets: u64,
}

struct Current {
    ticket: u64,
    job_id: String,
    course: Course,
    handle: Option<RunHandle>,
    cancelled: bool,
}

/// `Retry-After` before anything was measured; the node's contract shows this number.
const UNKNOWN_WAIT: u64 = 5;
const LONGEST_WAIT: u64 = 3600;

impl Slot {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::default(),
            taken: watch::Sender::new(false),
        })
    }

    /// Takes the device for a job that is expected to have this many steps.
    pub(crate) fn take(self: &Arc<Self>, job_id: &str, steps: u32) -> Result<Permit, Occupied> {
        let mut inner = self.lock();
        if let Some(occupied) = inner.find_occupied() {
            return Err(occupied);
        }
        inner.tickets += 1;
        let ticket = inner.tickets;
        inner.current = Some(Current {
            ticket,
            job_id: job_id.to_owned(),
            course: Course::new(Instant::now(), steps),
            handle: None,
            cancelled: false,
        });
        self.taken.send_replace(true);
        Ok(Permit {
            slot: Arc::clone(self),
            ticket,
        })
    }

    /// Who has the device, as a refusal would say it.
    pub(crate) fn find_occupied(&self) -> Option<Occupied> {
        self.lock().find_occupied()
    }

    /// Who has the device, as a status would say it.
    pub(crate) fn find_occupation(&self) -> Option<Occupation> {
        let inner = self.lock();
        let current = inner.current.as_ref()?;
        Some(Occupation {
            job_id: current.job_id.clone(),
            step: current.course.last_step(),
            remaining: inner.pace.remaining(&current.course, Instant::now()),
        })
    }

    /// Asks the job of this id to stop; `false` when it has not the device.
    pub(crate) fn cancel(&self, job_id: &str) -> bool {
        let mut inner = self.lock();
        let Some(current) = inner
            .current
            .as_mut()
            .filter(|current| current.job_id == job_id)
        else {
            return false;
        };
        current.cancelled = true;
        if let Some(handle) = &current.handle {
            handle.cancel();
        }
        true
    }

    /// Waits until no job has the device.
    pub(crate) async fn wait_until_free(&self) {
        let mut taken = self.taken.subscribe();
        // The sender lives as long as `self`.
        let _ = taken.wait_for(|taken| !taken).await;
    }

    fn with_current(&self, ticket: u64, change: impl FnOnce(&mut Current)) {
        let mut inner = self.lock();
        if let Some(current) = inner
            .current
            .as_mut()
            .filter(|current| current.ticket == ticket)
        {
            change(current);
        }
    }

    /// A panic while the lock was held leaves nothing half done: every change is one assignment.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn find_occupied(&self) -> Option<Occupied> {
        let current = self.current.as_ref()?;
        let remaining = self.pace.remaining(&current.course, Instant::now());
        Some(Occupied {
            job_id: current.job_id.clone(),
            retry_after: remaining.map_or(UNKNOWN_WAIT, whole_seconds),
        })
    }
}

/// Rounded up, and never 0: a client that waits 0 seconds spins.
fn whole_seconds(remaining: Duration) -> u64 {
    let seconds = u64::try_from(remaining.as_millis().div_ceil(1000)).unwrap_or(LONGEST_WAIT);
    seconds.clamp(1, LONGEST_WAIT)
}

/// The right to the device. It is given back by [`Permit::release`], or when dropped.
pub(crate) struct Permit {
    slot: Arc<Slot>,
    ticket: u64,
}

impl Permit {
    /// A view on the job for those who do not own the permit.
    pub(crate) fn occupant(&self) -> Occupant {
        Occupant {
            slot: Arc::clone(&self.slot),
            ticket: self.ticket,
        }
    }

    /// Gives the device back after a run and says how long it took. A run that gave a picture
    /// makes the next estimate better.
    pub(crate) fn release(self, succeeded: bool) -> Duration {
        let mut inner = self.slot.lock();
        let now = Instant::now();
        let Some(course) = inner.current.as_ref().map(|current| current.course) else {
            return Duration::ZERO;
        };
        if succeeded {
            inner.pace.learn(&course, now);
        }
        now.duration_since(course.started())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inner = self.slot.lock();
        inner
            .current
            .take_if(|current| current.ticket == self.ticket);
        // Under the lock: the next job's `true` must not be overtaken.
        self.slot.taken.send_replace(false);
    }
}

/// The job that has, or had, the device.
#[derive(Clone)]
pub(crate) struct Occupant {
    slot: Arc<Slot>,
    ticket: u64,
}

impl Occupant {
    /// Starts the clock: what came before was not the device's time.
    pub(crate) fn begin(&self, steps: u32) {
        self.slot.with_current(self.ticket, |current| {
            current.course = Course::new(Instant::now(), steps);
        });
    }

    /// Notes that a step ended.
    pub(crate) fn step(&self, step: Step) {
        self.slot.with_current(self.ticket, |current| {
            current.course.note(step, Instant::now());
        });
    }

    /// Makes the run cancellable, and cancels it when that was asked for in the meantime.
    pub(crate) fn attach(&self, handle: RunHandle) {
        self.slot.with_current(self.ticket, |current| {
            if current.cancelled {
                handle.cancel();
            }
            current.handle = Some(handle);
        });
    }

    /// Asks the job to stop, if it still has the device.
    pub(crate) fn cancel(&self) {
        self.slot.with_current(self.ticket, |current| {
            current.cancelled = true;
            if let Some(handle) = &current.handle {
                handle.cancel();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_job_at_a_time() {
        let slot = Slot::new();
        let permit = slot
            .take("a", 4)
            .unwrap_or_else(|_| panic!("the slot was free"));
        let Err(occupied) = slot.take("b", 4) else {
            panic!("the slot was taken twice")
        };
        assert_eq!(
            occupied,
            Occupied {
                job_id: "a".to_owned(),
                retry_after: 5
            }
        );
        drop(permit);
        assert!(slot.find_occupied().is_none());
        assert!(slot.take("b", 4).is_ok());
    }

    #[test]
    fn a_late_step_does_not_touch_the_next_job() {
        let slot = Slot::new();
        let late = slot
            .take("a", 4)
            .map(|permit| permit.occupant())
            .ok()
            .unwrap();
        let _next = slot.take("b", 4).ok().unwrap();
        late.step(Step { done: 1, total: 4 });
        assert_eq!(slot.find_occupation().unwrap().step, None);
    }

    #[test]
    fn waits_are_whole_seconds_and_never_none() {
        for (millis, seconds) in [
            (0, 1),
            (1, 1),
            (1000, 1),
            (1001, 2),
            (u64::MAX, LONGEST_WAIT),
        ] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }
}
