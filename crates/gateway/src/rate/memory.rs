//! Requests that are counted in this process's memory.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use tryon_core::{id::AccountId, limit::RateClass, time::Timestamp};

use super::{Allowance, Rates, WINDOW};

/// Windows that are kept before those that ended are thrown out.
const FEW: usize = 1024;

/// Counts in this process's memory.
#[derive(Debug, Default)]
pub struct MemoryRates(Mutex<Windows>);

#[derive(Debug, Default)]
struct Windows {
    open: HashMap<(AccountId, RateClass), Window>,
    /// How many there may be before those that ended are thrown out.
    sweep_at: usize,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    ends: Timestamp,
    used: u32,
}

impl Window {
    const fn is_over(&self, now: Timestamp) -> bool {
        self.ends.as_millis() <= now.as_millis()
    }
}

#[async_trait]
impl Rates for MemoryRates {
    async fn take(
        &self,
        account: AccountId,
        class: RateClass,
        limit: u32,
        now: Timestamp,
    ) -> Allowance {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.take((account, class), limit, now)
    }
}

impl Windows {
    fn take(&mut self, of: (AccountId, RateClass), limit: u32, now: Timestamp) -> Allowance {
        self.sweep(now);
        let fresh = Window {
            ends: now + WINDOW,
            used: 0,
        };
        let window = self.open.entry(of).or_insert(fresh);
        if window.is_over(now) {
            *window = fresh;
        }
        let granted = window.used < limit;
        window.used += u32::from(granted);
        Allowance {
            limit,
            remaining: limit.saturating_sub(window.used),
            reset: window.ends.since(now),
            granted,
        }
    }

    /// Throws out what is over once there are twice as many windows as were open the last time:
    /// memory is bounded by the accounts of two windows, and the work is spread evenly.
    fn sweep(&mut self, now: Timestamp) {
        if self.open.len() < self.sweep_at.max(FEW) {
            return;
        }
        self.open.retain(|_, window| !window.is_over(now));
        self.sweep_at = 2 * self.open.len();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_000_000);

    fn account(number: u32) -> AccountId {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        AccountId::from_bytes(bytes)
    }

    #[test]
    fn a_window_allows_its_limit_and_then_begins_anew() {
        let mut windows = Windows::default();
        let mut take = |now| windows.take((account(1), RateClass::Tryon), 2, now);
        let granted = |remaining, secs| Allowance {
            limit: 2,
            remaining,
            reset: Duration::from_secs(secs),
            granted: true,
        };
        assert_eq!(take(START), granted(1, 60));
        let later = START + Duration::from_secs(10);
        assert_eq!(take(later), granted(0, 50));
        assert_eq!(
            take(later),
            Allowance {
                granted: false,
                ..granted(0, 50)
            }
        );
        assert_eq!(take(START + WINDOW), granted(1, 60));
    }

    #[test]
    fn accounts_and_classes_are_counted_apart() {
        let mut windows = Windows::default();
        for of in [
            (account(1), RateClass::Tryon),
            (account(1), RateClass::Status),
            (account(2), RateClass::Tryon),
        ] {
            assert!(windows.take(of, 1, START).granted);
            assert!(!windows.take(of, 1, START).granted);
        }
    }

    #[test]
    fn windows_that_are_over_take_no_memory() {
        let mut windows = Windows::default();
        for number in 0..100_000 {
            let now = START + Duration::from_secs(number.into());
            windows.take((account(number), RateClass::Tryon), 1, now);
        }
        assert!(windows.open.len() <= FEW, "{}", windows.open.len());
    }
}
