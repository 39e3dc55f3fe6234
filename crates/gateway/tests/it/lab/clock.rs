//! Time that passes faster than it does, and jumps.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use tryon_core::time::Timestamp;
use tryon_gateway::clock::Clock;

/// How much faster it passes.
pub(super) const PACE: u32 = 5;

/// The time that everybody agrees about.
#[derive(Debug)]
pub(super) struct WorldClock {
    began: Instant,
    start: Timestamp,
}

impl WorldClock {
    pub(super) fn start() -> Arc<Self> {
        let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Arc::new(Self {
            began: Instant::now(),
            start: Timestamp::default() + start,
        })
    }
}

impl Clock for WorldClock {
    fn now(&self) -> Timestamp {
        self.start + self.began.elapsed() * PACE
    }
}

/// One machine's idea of it.
#[derive(Debug)]
pub(super) struct WrongClock {
    world: Arc<WorldClock>,
    ahead_ms: AtomicI64,
}

impl WrongClock {
    pub(super) fn new(world: &Arc<WorldClock>) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(world),
            ahead_ms: AtomicI64::new(0),
        })
    }

    /// Jumps to this much before or after the right time.
    pub(super) fn jump(&self, ahead_ms: i64) {
        self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
    }
}

impl Clock for WrongClock {
    fn now(&self) -> Timestamp {
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        Timestamp::from_millis(self.world.now().as_millis() + ahead)
    }
}
