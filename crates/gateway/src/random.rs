//! Where ids, seeds and secrets come from.

use std::sync::{Mutex, PoisonError};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tryon_core::id::{ErasureId, JobId};

/// A source of randomness.
pub trait Random: Send + Sync + 'static {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);

    /// A fresh job id.
    fn job_id(&self) -> JobId {
        let mut bytes = [0; 12];
        self.fill(&mut bytes);
        JobId::from_bytes(bytes)
    }

    /// A fresh erasure id.
    fn erasure_id(&self) -> ErasureId {
        let mut bytes = [0; 12];
        self.fill(&mut bytes);
        ErasureId::from_bytes(bytes)
    }

    /// A seed for a request that names none. It has 32 bits, so that clients which keep numbers as
    /// floating point can repeat it exactly.
    fn seed(&self) -> u64 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        u64::from(u32::from_le_bytes(bytes))
    }
}

/// The operating system's randomness, stretched: fit for secrets.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

/// The same sequence for the same seed. Not for secrets.
#[derive(Debug)]
pub struct SeededRandom(Mutex<StdRng>);

impl SeededRandom {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill_bytes(bytes);
    }
}
