//! Credit arithmetic.
//!
//! An account holds credits in two pools, those of its subscription and those it purchased.
//! Submitting a job reserves its price; ending it settles: what was delivered is captured, the
//! rest of the reservation is released. Each movement is one ledger row, and the sum of the rows
//! equals the account's pools and reservation at any time.

/// What an account holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// Credits of the subscription.
    pub subscription: u64,
    /// Credits that were bought.
    pub purchased: u64,
    /// Credits set aside for jobs under way.
    pub reserved: u64,
}

/// What a job asked for and the account does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this needs {needed} credits and {available} are available")]
pub struct OutOfCredits {
    /// The job's price.
    pub needed: u64,
    /// What was free to spend.
    pub available: u64,
}

/// The pool that a grant goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pool {
    /// The subscription's.
    Subscription,
    /// What was bought.
    Purchased,
}

/// What kind of movement a ledger row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// Credits were given to the account.
    Grant,
    /// A job set credits aside.
    Reserve,
    /// A job ended with images: its settlement.
    Capture,
    /// A job ended without an image: its settlement.
    Release,
}

impl EntryKind {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::Grant, Self::Reserve, Self::Capture, Self::Release];

    /// Its name in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Reserve => "reserve",
            Self::Capture => "capture",
            Self::Release => "release",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// One ledger row's effect on an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Movement {
    /// Its kind.
    pub kind: EntryKind,
    /// Change of the subscription's credits.
    pub subscription: i64,
    /// Change of the purchased credits.
    pub purchased: i64,
    /// Change of the reservation.
    pub reserved: i64,
}

impl Balance {
    /// Credits that a new job may use: `subscription + purchased − reserved`.
    pub const fn available(&self) -> u64 {
        (self.subscription + self.purchased).saturating_sub(self.reserved)
    }

    /// The movement that gives `amount` credits.
    pub fn grant(pool: Pool, amount: u32) -> Movement {
        let amount = i64::from(amount);
        let (subscription, purchased) = match pool {
            Pool::Subscription => (amount, 0),
            Pool::Purchased => (0, amount),
        };
        Movement {
            kind: EntryKind::Grant,
            subscription,
            purchased,
            reserved: 0,
        }
    }

    /// The movement that sets `amount` credits aside.
    pub fn reserve(&self, amount: u32) -> Result<Movement, OutOfCredits> {
        let (needed, available) = (u64::from(amount), self.available());
        if needed > available {
            return Err(OutOfCredits { needed, available });
        }
        let reserved = i64::from(amount);
        Ok(Movement {
            kind: EntryKind::Reserve,
            subscription: 0,
            purchased: 0,
            reserved,
        })
    }

    /// The movement that ends a reservation of `reserved` credits, `delivered` of them used.
    ///
    /// The subscription's credits are used first: they lapse, purchased ones do not.
    pub fn settle(&self, reserved: u32, delivered: u32) -> Movement {
        let delivered = u64::from(delivered.min(reserved));
        let from_subscription = delivered.min(self.subscription);
        let kind = if delivered > 0 {
            EntryKind::Capture
        } else {
            EntryKind::Release
        };
        Movement {
            kind,
            subscription: -signed(from_subscription),
            purchased: -signed(delivered - from_subscription),
            reserved: -i64::from(reserved),
        }
    }

    /// The balance after `movement`; `None` where a part would fall below zero.
    pub fn after(&self, movement: &Movement) -> Option<Self> {
        let after = Self {
            subscription: self
                .subscription
                .checked_add_signed(movement.subscription)?,
            purchased: self.purchased.checked_add_signed(movement.purchased)?,
            reserved: self.reserved.checked_add_signed(movement.reserved)?,
        };
        (after.subscription + after.purchased >= after.reserved).then_some(after)
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).expect("BUG: a job's price fits 32 bits")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Grant(bool, u32),
        Reserve(u32),
        Settle(prop::sample::Index, u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (any::<bool>(), 0u32..50).prop_map(|(bought, amount)| Step::Grant(bought, amount)),
            (1u32..5).prop_map(Step::Reserve),
            (any::<prop::sample::Index>(), 0u32..5).prop_map(|(job, n)| Step::Settle(job, n)),
        ]
    }

    proptest! {
        /// Whatever happens in whatever order, no part falls below zero, nothing is reserved
        /// twice, and the rows add up to the balance.
        #[test]
        fn movements_add_up(steps in prop::collection::vec(step(), 0..200)) {
            let mut balance = Balance::default();
            let mut open: Vec<u32> = Vec::new();
            let mut sum = (0i64, 0i64, 0i64);
            for step in steps {
                let movement = match step {
                    Step::Grant(bought, amount) => {
                        let pool = if bought { Pool::Purchased } else { Pool::Subscription };
                        Balance::grant(pool, amount)
                    }
                    Step::Reserve(amount) => match balance.reserve(amount) {
                        Ok(movement) => {
                            open.push(amount);
                            movement
                        }
                        Err(refused) => {
                            prop_assert!(refused.needed > refused.available);
                            continue;
                        }
                    },
                    Step::Settle(_, _) if open.is_empty() => continue,
                    Step::Settle(job, delivered) => {
                        let reserved = open.swap_remove(job.index(open.len()));
                        balance.settle(reserved, delivered.min(reserved))
                    }
                };
                balance = balance.after(&movement).expect("no part falls below zero");
                sum.0 += movement.subscription;
                sum.1 += movement.purchased;
                sum.2 += movement.reserved;
                prop_assert_eq!(u64::try_from(sum.0), Ok(balance.subscription));
                prop_assert_eq!(u64::try_from(sum.1), Ok(balance.purchased));
                prop_assert_eq!(u64::try_from(sum.2), Ok(balance.reserved));
                prop_assert_eq!(balance.reserved, open.iter().map(|n| u64::from(*n)).sum::<u64>());
            }
        }
    }
}
