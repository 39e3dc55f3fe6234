//! Places at which jobs are prepared, of which no account can take them all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tryon_core::id::AccountId;

use crate::app::App;

/// Jobs that are prepared at the same time. Most of that time is spent waiting for servers.
const PLACES: usize = 16;

/// Those of one account: its servers may be slow on purpose.
const PER_ACCOUNT: usize = PLACES / 4;

/// The places, and who holds how many.
pub(super) struct Places {
    app: Arc<App>,
    free: Arc<Semaphore>,
    held: Mutex<HashMap<AccountId, usize>>,
}

impl Places {
    pub(super) fn new(app: Arc<App>) -> Arc<Self> {
        Arc::new(Self {
            app,
            free: Arc::new(Semaphore::new(PLACES)),
            held: Mutex::default(),
        })
    }

    /// A free place, once there is one.
    pub(super) async fn free(&self) -> OwnedSemaphorePermit {
        let free = Arc::clone(&self.free).acquire_owned().await;
        free.expect("BUG: the semaphore is never closed")
    }

    /// The accounts that hold all the places that one may.
    pub(super) fn sated(&self) -> Vec<AccountId> {
        let held = self.held();
        let sated = held.iter().filter(|(_, count)| **count >= PER_ACCOUNT);
        sated.map(|(account, _)| *account).collect()
    }

    /// Gives a free place to a job of `account`.
    pub(super) fn hold(self: &Arc<Self>, free: OwnedSemaphorePermit, account: AccountId) -> Place {
        *self.held().entry(account).or_default() += 1;
        Place {
            places: Arc::clone(self),
            account,
            _free: free,
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<AccountId, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, account: AccountId) {
        let mut held = self.held();
        let count = held.entry(account).or_default();
        *count = count.saturating_sub(1);
        if *count == 0 {
            held.remove(&account);
        }
        drop(held);
        // The account's next job may have been passed over.
        self.app.wake.prepare.notify_one();
    }
}

/// A place that is held, for as long as this lives.
pub(super) struct Place {
    places: Arc<Places>,
    account: AccountId,
    _free: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.leave(self.account);
    }
}
