//! When a result is offered again.

use std::time::Duration;

use crate::config::AssetServiceConfig;

/// The longest wait after a failure that may pass by itself.
const LONGEST: Duration = Duration::from_mins(5);
/// The first and the longest wait after a refusal that probably will not.
const LASTING_FIRST: Duration = Duration::from_mins(1);
const LASTING_LONGEST: Duration = Duration::from_mins(30);
/// What the growing waits begin with when no backoff is configured.
const FIRST: Duration = Duration::from_secs(1);

/// How a delivery failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// No connection, no answer, a 5xx, 408 or 429: the receiver is away or overloaded.
    Passing,
    /// Another answer that is not 2xx: the receiver does not want it as it is. Somebody may
    /// mend that within a day, so it is offered again, but slowly.
    Lasting,
}

/// The waits of one result: those that are configured, then growing ones.
pub(super) struct Schedule {
    configured: Vec<Duration>,
    failures: u32,
}

impl Schedule {
    pub(super) fn new(config: &AssetServiceConfig) -> Self {
        let backoff = &config.retry_backoff;
        // More retries than waits repeat the last wait.
        let configured = (0..config.retries as usize)
            .map_while(|index| backoff.get(index).or(backoff.last()))
            .map(|wait| wait.duration())
            .collect();
        Self {
            configured,
            failures: 0,
        }
    }

    /// The wait after a further failure. `chance`, 0–1, spreads the growing waits by a fifth, so
    /// that many results do not come at once.
    pub(super) fn next(&mut self, failure: Failure, chance: f64) -> Duration {
        let index = self.failures as usize;
        self.failures = self.failures.saturating_add(1);
        if failure == Failure::Lasting {
            return spread(doubled(LASTING_FIRST, index).min(LASTING_LONGEST), chance);
        }
        if let Some(wait) = self.configured.get(index) {
            return *wait;
        }
        let last = self.configured.last().copied().unwrap_or(FIRST / 2);
        let grown = doubled(last, index - self.configured.len() + 1);
        spread(grown.min(LONGEST), chance)
    }

    /// Failures so far.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }
}

fn doubled(wait: Duration, times: usize) -> Duration {
    let factor = 1_u32
        .checked_shl(u32::try_from(times).unwrap_or(u32::MAX))
        .unwrap_or(u32::MAX);
    wait.saturating_mul(factor)
}

fn spread(wait: Duration, chance: f64) -> Duration {
    wait.mul_f64(0.8 + 0.4 * chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(config: &AssetServiceConfig, failure: Failure, count: usize) -> Vec<u64> {
        let mut schedule = Schedule::new(config);
        (0..count)
            .map(|_| schedule.next(failure, 0.5).as_secs())
            .collect()
    }

    #[test]
    fn configured_waits_come_first_and_then_grow_to_minutes() {
        let config = AssetServiceConfig::default();
        let expected = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300];
        assert_eq!(waits(&config, Failure::Passing, 11), expected);
        assert_eq!(waits(&config, Failure::Passing, 200)[199], 300);
    }

    #[test]
    fn a_lasting_refusal_waits_longer() {
        let config = AssetServiceConfig::default();
        let expected = [60, 120, 240, 480, 960, 1800, 1800];
        assert_eq!(waits(&config, Failure::Lasting, 7), expected);
    }

    #[test]
    fn retries_and_backoff_need_not_match() {
        let mut config = AssetServiceConfig {
            retries: 1,
            ..AssetServiceConfig::default()
        };
        assert_eq!(waits(&config, Failure::Passing, 3), [1, 2, 4]);
        config.retries = 5;
        assert_eq!(waits(&config, Failure::Passing, 6), [1, 2, 4, 4, 4, 8]);
        config.retry_backoff.clear();
        assert_eq!(waits(&config, Failure::Passing, 3), [1, 2, 4]);
    }
}
