//! What is put up with, and for how long.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::Error;

/// How long to wait before something is tried again: at first, and later.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(5);

/// It lasts for so long from the first fault after all was well. Time is the machine's running time: no
/// clock that is set matters.
pub(crate) struct Patience {
    limit: Duration,
    since: Option<Instant>,
    pause: Duration,
}

impl Patience {
    pub(crate) const fn new(limit: Duration) -> Self {
        Self {
            limit,
            since: None,
            pause: FIRST,
        }
    }

    /// All is well again.
    pub(crate) const fn restore(&mut self) {
        *self = Self::new(self.limit);
    }

    /// Waits until the same may be tried again, or gives the error back if that is of no use or too
    /// late.
    pub(crate) async fn bear(&mut self, error: Error) -> Result<(), Error> {
        let Some(pause) = self.find_pause(&error, Instant::now()) else {
            return Err(error);
        };
        sleep(pause).await;
        Ok(())
    }

    fn find_pause(&mut self, error: &Error, now: Instant) -> Option<Duration> {
        if !error.is_transient() {
            return None;
        }
        let borne = now.duration_since(*self.since.get_or_insert(now));
        let pause = error.retry_after().unwrap_or_else(|| about(self.pause));
        self.pause = (self.pause * 2).min(LONGEST);
        (pause <= self.limit.saturating_sub(borne)).then_some(pause)
    }
}

/// About as long, so that clients that were cut off together do not come back together.
pub(crate) fn about(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.75..1.25))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Refusal;

    fn refused(status: u16, retry_after: Option<u64>) -> Error {
        Error::Refused(Refusal {
            status,
            name: String::new(),
            message: String::new(),
            request_id: None,
            retry_after: retry_after.map(Duration::from_secs),
            is_final: false,
        })
    }

    #[test]
    fn faults_are_borne_at_growing_intervals_until_patience_is_over() {
        let mut patience = Patience::new(Duration::from_mins(1));
        let (mut pauses, mut now) = (Vec::new(), Instant::now());
        while let Some(pause) = patience.find_pause(&refused(503, None), now) {
            pauses.push(pause);
            now += pause;
        }
        let borne: Duration = pauses.iter().sum();
        assert!((50..=60).contains(&borne.as_secs()), "{pauses:?}");
        assert!(pauses[0] >= FIRST / 2, "{pauses:?}");
        assert!(pauses.iter().all(|it| *it <= LONGEST * 2), "{pauses:?}");
        assert!(pauses[4] > pauses[0] * 2, "{pauses:?}");
        patience.restore();
        assert!(patience.find_pause(&refused(503, None), now).is_some());
    }

    /// It lasts from the first fault on, however long all was well before.
    #[test]
    fn patience_is_whole_when_the_first_fault_comes() {
        let mut patience = Patience::new(Duration::from_mins(1));
        let late = Instant::now() + Duration::from_hours(1);
        assert!(patience.find_pause(&refused(503, None), late).is_some());
    }

    #[test]
    fn what_the_gateway_says_is_waited_for_if_that_is_not_too_long() {
        let mut patience = Patience::new(Duration::from_mins(1));
        let now = Instant::now();
        let mut find = |status, seconds| patience.find_pause(&refused(status, seconds), now);
        assert_eq!(find(429, Some(7)), Some(Duration::from_secs(7)));
        assert_eq!(find(429, Some(86_400)), None);
        assert_eq!(find(401, None), None);
    }
}
