//! Places at which work is done that the store hands out, of which no account can take them all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tryon_core::id::AccountId;
use tryon_store::{StoreError, Work};

use crate::{
    app::App,
    error::Chain,
    pace::{Backoff, rest, until_due},
    wake::Wake,
};

/// The share of the places that one account may hold: whom its work waits for may be slow on
/// purpose.
const SHARE: usize = 4;

/// The longest wait after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// The places, and who holds how many.
pub(crate) struct Places {
    app: Arc<App>,
    work: Work,
    bell: fn(&Wake) -> &Notify,
    free: Arc<Semaphore>,
    per_account: usize,
    held: Mutex<HashMap<AccountId, usize>>,
}

impl Places {
    /// So many places, for work of this kind, which this bell announces.
    pub(crate) fn new(
        app: Arc<App>,
        count: usize,
        (work, bell): (Work, fn(&Wake) -> &Notify),
    ) -> Arc<Self> {
        Arc::new(Self {
            app,
            work,
            bell,
            free: Arc::new(Semaphore::new(count)),
            per_account: count / SHARE,
            held: Mutex::default(),
        })
    }

    /// Claims work whenever a place is free, and starts it there, until it is told to stop. Who
    /// claims is told which accounts to pass over.
    pub(crate) async fn hand_out<W, F>(
        &self,
        stop: &CancellationToken,
        claim: impl Fn(Vec<AccountId>) -> F,
        start: impl Fn(W, OwnedSemaphorePermit),
    ) where
        F: Future<Output = Result<Option<W>, StoreError>>,
    {
        let mut backoff = Backoff::up_to(STORE_PAUSE);
        while let Some(place) = stop.run_until_cancelled(self.free()).await {
            let now = self.app.clock.now();
            let pause = match claim(self.sated()).await {
                Ok(Some(work)) => {
                    backoff.reset();
                    start(work, place);
                    continue;
                }
                Ok(None) => {
                    backoff.reset();
                    until_due(&self.app, self.work, now).await
                }
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "the store hands out no work");
                    backoff.fail()
                }
            };
            drop(place);
            if !rest(stop, (self.bell)(&self.app.wake), pause).await {
                return;
            }
        }
    }

    /// A free place, once there is one.
    async fn free(&self) -> OwnedSemaphorePermit {
        let free = Arc::clone(&self.free).acquire_owned().await;
        free.expect("BUG: the semaphore is never closed")
    }

    /// The accounts that hold all the places that one may.
    fn sated(&self) -> Vec<AccountId> {
        let held = self.held();
        let sated = held.iter().filter(|(_, count)| **count >= self.per_account);
        sated.map(|(account, _)| *account).collect()
    }

    /// Gives a free place to work of `account`.
    pub(crate) fn hold(self: &Arc<Self>, free: OwnedSemaphorePermit, account: AccountId) -> Place {
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
        // The account's next work may have been passed over.
        (self.bell)(&self.app.wake).notify_one();
    }
}

/// A place that is held, for as long as this lives.
pub(crate) struct Place {
    places: Arc<Places>,
    account: AccountId,
    _free: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.leave(self.account);
    }
}
