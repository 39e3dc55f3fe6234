//! Keeping jobs away from a node that fails them.
//!
//! A node that fails at once is idle first and would be given every job. Faults in a row are
//! counted in the store: answers of 5xx, connections that fail and failures that the node itself
//! calls retryable; never a refusal of the request, and never "busy". From the
//! [`THRESHOLD`]th on the breaker is open and the node is held. When its hold ends it is half
//! open: a node works on one attempt at a time, so the next one is the trial. An image closes the
//! breaker; a failure holds the node twice as long.

use std::time::Duration;

/// The number of faults in a row that opens the breaker.
const THRESHOLD: u32 = 3;

/// The first hold.
const SHORTEST: Duration = Duration::from_secs(5);

/// The longest hold.
const LONGEST: Duration = Duration::from_mins(5);

/// How long a node with this many faults in a row is held; `None` while its breaker is closed.
pub(super) fn hold(faults: u32) -> Option<Duration> {
    let beyond = faults.checked_sub(THRESHOLD)?;
    let doubled = 2u32.checked_pow(beyond).unwrap_or(u32::MAX);
    Some(SHORTEST.saturating_mul(doubled).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_fault_opens_it_and_each_further_one_doubles_the_hold() {
        let seconds = |faults| hold(faults).map(|hold| hold.as_secs());
        let holds: Vec<_> = (0..7).map(seconds).collect();
        assert_eq!(
            holds,
            [None, None, None, Some(5), Some(10), Some(20), Some(40)]
        );
        assert_eq!(seconds(u32::MAX), Some(300));
    }
}
