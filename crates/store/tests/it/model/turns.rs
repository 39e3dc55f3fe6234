//! Whose turn it is.

use std::collections::HashMap;

use tryon_core::{id::AccountId, task::Provider};

/// The turn of each account that ever waited, and the latest one of each provider that was served.
#[derive(Default)]
pub(super) struct Turns {
    next: HashMap<(&'static str, AccountId), i64>,
    served: HashMap<&'static str, i64>,
}

impl Turns {
    /// A sample of the account came into the queue.
    pub(super) fn join(&mut self, account: AccountId, provider: Provider) {
        let served = self.served.get(provider.as_str()).copied().unwrap_or(0);
        let turn = self.next.entry((provider.as_str(), account)).or_insert(0);
        *turn = served.max(*turn);
    }

    /// Serves whoever of these is next.
    pub(super) fn serve(
        &mut self,
        provider: Provider,
        waiting: impl Iterator<Item = AccountId>,
    ) -> Option<AccountId> {
        let turn = |account: &AccountId| self.next[&(provider.as_str(), *account)];
        let next = waiting.min_by_key(|account| (turn(account), account.to_string()))?;
        let turn = self.next.get_mut(&(provider.as_str(), next)).unwrap();
        let served = self.served.entry(provider.as_str()).or_insert(0);
        *served = (*served).max(*turn);
        *turn += 1;
        Some(next)
    }
}
