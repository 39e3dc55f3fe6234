//! When a message is tried again.

use std::time::Duration;

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// The waits after the tries of a round: twelve tries in 25 hours and 42 minutes. A receiver that
/// is deployed hears of it within seconds, one that is down over a weekend's night on Sunday.
const WAITS: [Duration; 11] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    minutes(2),
    minutes(10),
    minutes(30),
    minutes(60),
    minutes(2 * 60),
    minutes(4 * 60),
    minutes(6 * 60),
    minutes(6 * 60),
    minutes(6 * 60),
];

/// The longest that a receiver may ask to be left alone.
const LONGEST: Duration = minutes(24 * 60);

/// The wait after try `round` of a round, from 1, or `None` after the last: at least what the
/// receiver asked for, and up to a tenth longer by `jitter`, so that what failed together is not
/// tried together.
pub(super) fn wait(round: u32, asked: Option<Duration>, jitter: u32) -> Option<Duration> {
    let wait = WAITS.get(usize::try_from(round).ok()?.checked_sub(1)?)?;
    let share = f64::from(jitter) / f64::from(u32::MAX);
    let wait = wait.mul_f64(1.0 + share / 10.0);
    Some(wait.max(asked.unwrap_or_default().min(LONGEST)))
}

/// Whether a try is one more than a message has: those before it were cut short.
pub(super) const fn is_over(round: u32) -> bool {
    round as usize > WAITS.len() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_has_a_day_and_more_than_ten_tries() {
        let waits: Vec<_> = (1..).map_while(|round| wait(round, None, 0)).collect();
        assert_eq!(waits, WAITS);
        assert!(waits.len() + 1 >= 10);
        assert!(waits.iter().sum::<Duration>() > Duration::from_hours(24));
        assert!(!is_over(12) && is_over(13));
        assert_eq!(wait(0, None, 0), None);
        assert_eq!(wait(12, Some(minutes(1)), 0), None);
    }

    #[test]
    fn a_receiver_may_ask_for_time() {
        let asked = |asked| wait(1, Some(asked), 0).unwrap();
        assert_eq!(asked(Duration::from_secs(1)), WAITS[0]);
        assert_eq!(asked(minutes(3)), minutes(3));
        assert_eq!(asked(Duration::MAX), LONGEST);
    }

    #[test]
    fn what_failed_together_is_not_tried_together() {
        let latest = wait(4, None, u32::MAX).unwrap();
        assert_eq!(latest, minutes(11));
        assert!(wait(4, None, u32::MAX / 2).unwrap() < latest);
    }
}
