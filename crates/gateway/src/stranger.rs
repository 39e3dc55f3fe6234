//! How often an address may come without a valid key.
//!
//! An account's requests are counted once it is known whose they are ([`rate`](crate::rate)). What
//! is counted here are those that fail to say so: each has cost a look into the store. A customer
//! who shares the address with a guesser, behind a proxy or in an office, is not to pay for that:
//! a key that this process found valid is looked up again whatever its address did, and costs
//! nothing. One that comes for the first time waits with the others.
//!
//! Counted in this process's memory, which is bounded.

use std::{
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ipnet::IpNet;
use tryon_core::time::Timestamp;

use crate::{auth::KeyHash, bounded::BoundedMap};

/// Networks, and keys, that are remembered: half of this at least, a few megabytes at most.
const MOST: usize = 1 << 16;

/// Wrong passwords that an address may name in a minute: a person mistypes, and a guesser needs more
/// than can be had that way.
pub(crate) const GUESSES: NonZeroU32 = NonZeroU32::new(10).expect("BUG: it is not 0");

/// Microseconds in which a network may fail as often as the limit says.
const WINDOW: i64 = 60_000_000;

/// Counts the requests that come without a valid key.
#[derive(Debug)]
pub(crate) struct Strangers {
    /// What each of them costs, in microseconds of the window.
    cost: i64,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// When, in microseconds since the epoch, all that a network cost is forgiven.
    forgiven_at: BoundedMap<IpNet, i64>,
    /// Keys that were found valid.
    valid: BoundedMap<KeyHash, ()>,
}

impl Strangers {
    /// With this many failures per minute for each network, all at once or one after the other.
    pub(crate) fn new(limit: NonZeroU32) -> Self {
        Self {
            cost: (WINDOW / i64::from(limit.get())).max(1),
            seen: Mutex::new(Seen {
                forgiven_at: BoundedMap::new(MOST / 2),
                valid: BoundedMap::new(MOST / 2),
            }),
        }
    }

    /// Whether a request's key, if it has one, is to be looked up; if not, when to come again.
    pub(crate) fn admit(
        &self,
        from: IpNet,
        key: Option<&KeyHash>,
        now: Timestamp,
    ) -> Result<(), Duration> {
        let seen = self.lock();
        if key.is_some_and(|key| seen.valid.get(key).is_some()) {
            return Ok(());
        }
        let forgiven_at = seen.forgiven_at.get(&from).copied().unwrap_or_default();
        let over = forgiven_at - micros(now) + self.cost - WINDOW;
        match u64::try_from(over) {
            Ok(over @ 1..) => Err(Duration::from_micros(over)),
            _ => Ok(()),
        }
    }

    /// Counts a try before anybody knows what comes of it, so that many at once are no more than one
    /// after the other; if it is one too many, when to come again.
    pub(crate) fn charge(&self, from: IpNet, now: Timestamp) -> Result<(), Duration> {
        let mut seen = self.lock();
        let forgiven_at = seen.forgiven_at.entry(from);
        let owed = micros(now).max(*forgiven_at) + self.cost;
        if let Ok(over @ 1..) = u64::try_from(owed - micros(now) - WINDOW) {
            return Err(Duration::from_micros(over));
        }
        *forgiven_at = owed;
        Ok(())
    }

    /// Takes back what a try cost that was none to be counted.
    pub(crate) fn refund(&self, from: IpNet) {
        *self.lock().forgiven_at.entry(from) -= self.cost;
    }

    /// Remembers that a key was found valid.
    pub(crate) fn know(&self, key: KeyHash) {
        self.lock().valid.entry(key);
    }

    /// Counts a request without a valid key.
    pub(crate) fn count(&self, from: IpNet, key: Option<&KeyHash>, now: Timestamp) {
        let mut seen = self.lock();
        let forgiven_at = seen.forgiven_at.entry(from);
        // Those that are looked up at once may be more than the limit: nobody pays for longer than
        // a window.
        let owed = micros(now).max(*forgiven_at) + self.cost;
        *forgiven_at = owed.min(micros(now) + WINDOW);
        if let Some(key) = key {
            seen.valid.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn micros(time: Timestamp) -> i64 {
    time.as_millis() * 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_000_000);
    const KEY: KeyHash = [7; 32];

    fn strangers(limit: u32) -> Strangers {
        Strangers::new(NonZeroU32::new(limit).unwrap())
    }

    fn network(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    /// How many requests without a key are let in at this moment, and when the next would be.
    fn exhaust(strangers: &Strangers, from: IpNet, now: Timestamp) -> (u32, Duration) {
        for let_in in 0..2_000_000 {
            match strangers.admit(from, None, now) {
                Ok(()) => strangers.count(from, None, now),
                Err(wait) => return (let_in, wait),
            }
        }
        panic!("nothing is refused");
    }

    #[test]
    fn a_network_may_fail_so_often_in_a_minute_and_each_for_itself() {
        let strangers = strangers(3);
        for from in ["192.0.2.1/32", "2001:db8::/64"].map(network) {
            let after = |seconds| exhaust(&strangers, from, START + Duration::from_secs(seconds));
            assert_eq!(after(0), (3, Duration::from_secs(20)));
            assert_eq!(after(19), (0, Duration::from_secs(1)));
            assert_eq!(after(20), (1, Duration::from_secs(20)));
            assert_eq!(after(3600), (3, Duration::from_secs(20)));
        }
    }

    #[test]
    fn every_limit_is_kept() {
        for limit in [1, 7, 100, 7000, 1_000_000] {
            let (let_in, wait) = exhaust(&strangers(limit), network("192.0.2.1/32"), START);
            assert_eq!(let_in, limit);
            assert!(!wait.is_zero());
        }
    }

    #[test]
    fn a_key_that_was_valid_is_let_in_until_it_fails() {
        let (strangers, from) = (strangers(1), network("192.0.2.1/32"));
        exhaust(&strangers, from, START);
        assert!(strangers.admit(from, Some(&KEY), START).is_err());
        strangers.know(KEY);
        assert_eq!(strangers.admit(from, Some(&KEY), START), Ok(()));
        strangers.count(from, Some(&KEY), START);
        assert!(strangers.admit(from, Some(&KEY), START).is_err());
    }
}
