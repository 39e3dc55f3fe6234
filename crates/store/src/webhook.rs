//! Telling clients that their jobs ended: the outbox and its log.
//!
//! A message is written in the transaction that ends its job, so that there is one exactly where a
//! job ended. It is claimed, sent and only then ticked off: a process that is killed in between
//! sends it again, and a receiver tells by its id that it is the same.

use std::time::Duration;

use tryon_core::{
    id::{AccountId, JobId},
    time::Timestamp,
};

/// How long a message and what became of it is kept after its end.
pub const WEBHOOK_LIFE: Duration = Duration::from_hours(30 * 24);

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookState {
    /// It is delivered when it falls due.
    Pending,
    /// Its receiver took it.
    Delivered,
    /// Its receiver did not take it, however often it was tried.
    Failed,
    /// Its address said, now or earlier, that it is gone for good.
    Disabled,
}

impl WebhookState {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Delivered, Self::Failed, Self::Disabled];

    /// Its name in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Disabled => "disabled",
        }
    }

    /// The state of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// A message about a job's end, and its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The job: a job has one message.
    pub job: JobId,
    /// Whose it is.
    pub account: AccountId,
    /// Where it goes.
    pub url: String,
    /// Where it stands.
    pub state: WebhookState,
    /// When it is tried next; of one that is being sent, when its sender is given up.
    pub due_at: Option<Timestamp>,
    /// When the job ended.
    pub created_at: Timestamp,
    /// When it was delivered or given up.
    pub ended_at: Option<Timestamp>,
    /// The tries whose end is known, oldest first.
    pub tries: Vec<WebhookTry>,
}

/// What became of one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookTry {
    /// Its number, from 1. One that is missing was cut short with its process.
    pub number: u32,
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What came of it.
    pub answer: WebhookAnswer,
}

/// What a receiver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookAnswer {
    /// This status.
    Status(u16),
    /// Nothing, for this reason.
    Fault(String),
}

/// A message that was claimed, to be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookClaim {
    /// The job.
    pub job: JobId,
    /// Whose it is.
    pub account: AccountId,
    /// Where it goes.
    pub url: String,
    /// When the job ended.
    pub created_at: Timestamp,
    /// The number of this try, from 1.
    pub number: u32,
    /// The same since the message was made, or sent anew the last time.
    pub round: u32,
}

/// How a message goes on after a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookVerdict {
    /// It was taken.
    Delivered,
    /// It is tried again then.
    Again(Timestamp),
    /// It was tried often enough.
    Failed,
    /// The address is gone: nothing is sent there any more.
    Gone,
}

/// Which messages to list.
#[derive(Debug, Clone, Copy)]
pub struct WebhookPage {
    /// Whose.
    pub account: AccountId,
    /// Only those that come after this job's in the list, newest first.
    pub after: Option<JobId>,
    /// How many at most.
    pub limit: u32,
}
