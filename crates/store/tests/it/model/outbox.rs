//! The outbox as it should be.

use std::{collections::BTreeSet, time::Duration};

use tryon_core::id::{AccountId, JobId};
use tryon_store::{
    Store, WebhookAnswer, WebhookClaim, WebhookPage, WebhookState, WebhookTry, WebhookVerdict,
};

use super::LEASE;
use crate::fixture::at;

/// How a try goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    Taken,
    /// It is tried again after so many seconds.
    Busy(u8),
    TooOften,
    Gone,
}

/// Where some jobs' ends are told; that of others is told to nobody.
pub(super) fn url(number: u32) -> Option<&'static str> {
    [None, Some("https://a.example/"), Some("https://b.example/")][number as usize % 3]
}

#[derive(Debug)]
struct Message {
    job: JobId,
    account: AccountId,
    url: &'static str,
    state: WebhookState,
    due_at: Option<i64>,
    tries: u32,
    earlier: u32,
    logged: BTreeSet<u32>,
}

/// Every message, and every try that was ever begun, so that most are late or doubled.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    messages: Vec<Message>,
    pub(super) claims: Vec<WebhookClaim>,
    gone: BTreeSet<(AccountId, &'static str)>,
}

impl Outbox {
    /// A job ended.
    pub(super) fn write(&mut self, job: JobId, account: AccountId, number: u32, now: i64) {
        let Some(url) = url(number) else { return };
        let gone = self.gone.contains(&(account, url));
        self.messages.push(Message {
            job,
            account,
            url,
            state: if gone {
                WebhookState::Disabled
            } else {
                WebhookState::Pending
            },
            due_at: (!gone).then_some(now),
            tries: 0,
            earlier: 0,
            logged: BTreeSet::new(),
        });
    }

    pub(super) async fn claim(&mut self, store: &dyn Store, now: i64) {
        let claimed = store.claim_webhook(at(now), at(now + LEASE), &[]).await;
        let claimed = claimed.unwrap();
        let expected = self.claim_expected(now);
        let seen = |claim: &WebhookClaim| (claim.job, claim.number, claim.round);
        assert_eq!(claimed.as_ref().map(seen), expected);
        self.claims.extend(claimed);
    }

    /// The one that is due longest.
    fn claim_expected(&mut self, now: i64) -> Option<(JobId, u32, u32)> {
        let due = self.messages.iter_mut();
        let due = due.filter(|message| message.due_at.is_some_and(|due| due <= now));
        let first = due.min_by_key(|message| (message.due_at, message.job))?;
        first.tries += 1;
        first.due_at = Some(now + LEASE);
        Some((first.job, first.tries, first.tries - first.earlier))
    }

    pub(super) async fn tell(
        &mut self,
        store: &dyn Store,
        (job, number): (JobId, u32),
        answer: Answer,
        now: i64,
    ) {
        let (verdict, status, state, due_at) = match answer {
            Answer::Taken => (
                WebhookVerdict::Delivered,
                200,
                WebhookState::Delivered,
                None,
            ),
            Answer::Busy(seconds) => {
                let due = now + i64::from(seconds);
                let again = WebhookVerdict::Again(at(due));
                (again, 503, WebhookState::Pending, Some(due))
            }
            Answer::TooOften => (WebhookVerdict::Failed, 500, WebhookState::Failed, None),
            Answer::Gone => (WebhookVerdict::Gone, 410, WebhookState::Disabled, None),
        };
        let tried = WebhookTry {
            number,
            at: at(now),
            took: Duration::ZERO,
            answer: WebhookAnswer::Status(status),
        };
        let recorded = store.record_webhook_try(job, tried, verdict).await.unwrap();
        let message = self.messages.iter_mut().find(|m| m.job == job).unwrap();
        message.logged.insert(number);
        let taken = state == WebhookState::Delivered;
        let current = message.tries == number && message.tries > message.earlier;
        let counts = message.due_at.is_some() && (current || taken);
        assert_eq!(recorded, counts);
        if !counts {
            return;
        }
        (message.state, message.due_at) = (state, due_at);
        if state == WebhookState::Disabled {
            let gone = (message.account, message.url);
            self.gone.insert(gone);
            let waiting = self.messages.iter_mut();
            let waiting = waiting.filter(|it| it.due_at.is_some() && (it.account, it.url) == gone);
            waiting.for_each(|it| (it.state, it.due_at) = (state, None));
        }
    }

    pub(super) async fn replay(
        &mut self,
        store: &dyn Store,
        account: AccountId,
        job: JobId,
        now: i64,
    ) {
        let replayed = store.replay_webhook(account, job, at(now)).await.unwrap();
        let message = self.messages.iter_mut().find(|m| m.job == job);
        assert_eq!(replayed, message.is_some());
        if let Some(message) = message {
            (message.state, message.due_at) = (WebhookState::Pending, Some(now));
            message.earlier = message.tries;
            self.gone.remove(&(account, message.url));
        }
    }

    pub(super) async fn check(&self, store: &dyn Store, accounts: &[AccountId]) {
        let mut found = Vec::new();
        for account in accounts {
            let page = WebhookPage {
                account: *account,
                after: None,
                limit: 1000,
            };
            found.extend(store.list_webhooks(page).await.unwrap());
        }
        assert_eq!(found.len(), self.messages.len());
        for message in &self.messages {
            let found = found.iter().find(|found| found.job == message.job);
            let found = found.unwrap();
            let expected = (message.account, message.url, message.state);
            assert_eq!((found.account, found.url.as_str(), found.state), expected);
            assert_eq!(found.due_at, message.due_at.map(at));
            let logged = found.tries.iter().map(|tried| tried.number);
            assert!(logged.eq(message.logged.iter().copied()), "{found:?}");
        }
    }
}
