//! Asking a hub again.

use std::time::Duration;

use super::{hub::Fault, progress::Progress};
use crate::failure::Failure;

/// Failures in a row that are the last.
const MAX_FAILURES: u32 = 6;

/// How long to wait before asking again: short at first.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LAST_WAIT: Duration = Duration::from_secs(30);

/// The longest time that a hub may ask for.
const MAX_WAIT: Duration = Duration::from_mins(5);

/// Failures in a row of one thing that is asked for.
pub(super) struct Retries<'a> {
    progress: &'a Progress,
    failures: u32,
}

impl<'a> Retries<'a> {
    pub(super) fn new(progress: &'a Progress) -> Self {
        Self {
            progress,
            failures: 0,
        }
    }

    /// Something was had: the next failure is a first one.
    pub(super) fn forget(&mut self) {
        self.failures = 0;
    }

    /// Waits until it is time to ask again, or says that it is no use.
    pub(super) async fn wait(&mut self, fault: Fault) -> Result<(), Failure> {
        self.failures += 1;
        let Some(wait) = wait(self.failures, fault.retry_after) else {
            return Err(fault.failure);
        };
        let why = fault.failure.message();
        let note = || eprintln!("note: {why}; it goes on in {wait:?}");
        self.progress.print(note);
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// How long to wait after so many failures, if at all. `asked` is what the hub says.
fn wait(failures: u32, asked: Option<Duration>) -> Option<Duration> {
    let asked = asked.filter(|asked| failures < MAX_FAILURES && *asked <= MAX_WAIT)?;
    let wait = FIRST_WAIT * 2_u32.pow(failures - 1);
    Some(wait.min(LAST_WAIT).max(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_limit() {
        let asked = |seconds| Some(Duration::from_secs(seconds));
        let waits = (1..=MAX_FAILURES).map(|failures| wait(failures, asked(0)));
        let expected = [500, 1000, 2000, 4000, 8000].map(Duration::from_millis);
        let expected = expected.into_iter().map(Some).chain([None]);
        assert!(waits.eq(expected));
        assert_eq!(wait(1, asked(7)), asked(7), "the hub asks for more");
        assert_eq!(wait(1, Some(MAX_WAIT)), Some(MAX_WAIT));
        assert_eq!(wait(1, asked(86_400)), None, "nobody waits for a day");
        assert_eq!(wait(1, None), None);
    }
}
