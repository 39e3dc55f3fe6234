//! When a loop looks again.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt as _;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tryon_core::time::Timestamp;
use tryon_store::Work;

use crate::app::App;

/// The first wait after a failure.
const FIRST: Duration = Duration::from_millis(200);

/// The longest wait between looks: bells and due times save waiting, this guarantees.
pub(crate) const POLL: Duration = Duration::from_secs(1);

/// Waits that double with each failure in a row, up to a longest one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) const fn up_to(longest: Duration) -> Self {
        Self {
            next: FIRST,
            longest,
        }
    }

    /// The wait after one more failure.
    pub(crate) fn fail(&mut self) -> Duration {
        let wait = self.next.min(self.longest);
        self.next = wait.saturating_mul(2);
        wait
    }

    /// It went well.
    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
    }
}

/// Waits for the bell or the end of the pause. False when it is time to stop.
pub(crate) async fn rest(stop: &CancellationToken, bell: &Notify, pause: Duration) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = bell.notified() => true,
        () = tokio::time::sleep(pause) => true,
    }
}

/// The time from `now` until some of this work falls due, at most [`POLL`]. A store that cannot say
/// is asked again after that.
pub(crate) async fn until_due(app: &App, work: Work, now: Timestamp) -> Duration {
    match app.store.next_due(work, now).await {
        Ok(Some(due)) => due.since(app.clock.now()).min(POLL),
        Ok(None) | Err(_) => POLL,
    }
}

/// Runs a loop until it returns, and anew when it panics: a gateway without one of its loops would
/// take jobs that nobody works on.
pub(crate) async fn keep<F: Future<Output = ()>>(name: &'static str, mut start: impl FnMut() -> F) {
    while AssertUnwindSafe(start()).catch_unwind().await.is_err() {
        tracing::error!(name, "BUG: a loop panicked and is started again");
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_again() {
        let mut backoff = Backoff::up_to(Duration::from_millis(500));
        let waits: Vec<_> = (0..4).map(|_| backoff.fail().as_millis()).collect();
        assert_eq!(waits, [200, 400, 500, 500]);
        backoff.reset();
        assert_eq!(backoff.fail(), FIRST);
    }
}
