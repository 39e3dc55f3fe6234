//! Where ids, seeds and secrets come from.

use std::{
    convert::Infallible,
    sync::{Mutex, PoisonError},
};

use rand::{CryptoRng, Rng as _, SeedableRng as _, TryCryptoRng, TryRng, rngs::StdRng};
use tryon_core::id::{ErasureId, JobId};

/// A source of randomness.
pub trait Random: Send + Sync + 'static {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);

    /// The bytes of a fresh id.
    fn id(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        self.fill(&mut bytes);
        bytes
    }

    /// A fresh job id.
    fn job_id(&self) -> JobId {
        JobId::from_bytes(self.id())
    }

    /// A fresh erasure id.
    fn erasure_id(&self) -> ErasureId {
        ErasureId::from_bytes(self.id())
    }

    /// A seed for a request that names none. It has 32 bits, so that clients which keep numbers as
    /// floating point can repeat it exactly.
    fn seed(&self) -> u64 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        u64::from(u32::from_le_bytes(bytes))
    }
}

/// Such a source as what makes secrets takes it.
pub(crate) fn as_rng(random: &dyn Random) -> impl CryptoRng {
    /// Trusted to be what it says: [`SystemRandom`] in a gateway that serves.
    struct Source<'a>(&'a dyn Random);

    impl TryRng for Source<'_> {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            let mut bytes = [0; 4];
            self.0.fill(&mut bytes);
            Ok(u32::from_le_bytes(bytes))
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            let mut bytes = [0; 8];
            self.0.fill(&mut bytes);
            Ok(u64::from_le_bytes(bytes))
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            self.0.fill(bytes);
            Ok(())
        }
    }

    impl TryCryptoRng for Source<'_> {}

    Source(random)
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
