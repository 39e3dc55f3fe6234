//! Where pictures are decoded and encoded: on threads that may block, as many at a time as there
//! are cores, so that neither requests wait for pixels nor memory grows with the number of jobs.

use std::{sync::Arc, thread};

use tokio::{
    sync::Semaphore,
    task::{JoinError, spawn_blocking},
};

/// Works on pictures, few at a time.
#[derive(Debug)]
pub(crate) struct Darkroom {
    places: Arc<Semaphore>,
}

impl Default for Darkroom {
    fn default() -> Self {
        Self::with_places(thread::available_parallelism().map_or(1, usize::from))
    }
}

impl Darkroom {
    /// One where so many things are done at a time.
    pub(crate) fn with_places(places: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
        }
    }

    /// Does `work` when there is a place for it. An error when it panicked: a decoder may, on a
    /// picture that was made for that.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.expect("BUG: the semaphore is never closed");
        spawn_blocking(move || {
            // Kept until the work is done, also when nobody waits for it any more.
            let _place = place;
            work()
        })
        .await
    }
}
